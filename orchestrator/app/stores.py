"""Where runs are kept."""

from __future__ import annotations

from pathlib import Path

from orchestrator.core.errors import NotSupportedYetError
from orchestrator.store.local import DEFAULT_ROOT, LocalStore
from orchestrator.store.runs import WRITER
from orchestrator.store.writer import read_note


def choose_store(state: str | None, of_manifest: str | None = None) -> LocalStore:
    """`--state`, else what the manifest says, else `.orchestrator/`."""
    where = state or of_manifest
    if where is None:
        return LocalStore(DEFAULT_ROOT)
    if "://" in where:
        raise NotSupportedYetError(
            f"the state {where}: only local folders are supported; state in S3 is not supported yet",
            hint="name a folder, with --state or in the manifest",
        )
    return LocalStore(Path(where))


def is_alive(store: LocalStore, run: str) -> bool:
    """Whether a process on this machine carries the run on."""
    writer = read_note(store.root / "runs" / run / WRITER)
    return writer is not None and bool(writer.is_alive())
