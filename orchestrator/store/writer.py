"""Who writes a journal: the lock that lets one process do so, and the note beside it that says which."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from dataclasses import asdict
from pathlib import Path

from orchestrator.core.errors import ExitCode, StateError
from orchestrator.core.runs import Writer

__all__ = ["JournalBusyError", "Writer", "lock", "read_note"]


class JournalBusyError(StateError):
    """Another process writes this run's journal."""

    exit_code = ExitCode.BLOCKED


def lock(descriptor: int, note: Path, run: str) -> None:
    """Takes the journal's lock, and writes down who has it. The lock goes with the descriptor, also in a crash.

    Raises `JournalBusyError` that says who has it already.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = read_note(note)
        raise JournalBusyError(
            f"run {run} is being carried on by {holder or 'another process'}",
            hint=f"wait for it, or watch it with: orchestrator status {run}",
        ) from None
    note.write_text(json.dumps(asdict(Writer(pid=os.getpid(), host=socket.gethostname()))) + "\n", encoding="utf-8")


def read_note(note: Path) -> Writer | None:
    """Who writes the journal, or died doing so; None when nobody says."""
    try:
        fields = json.loads(note.read_text(encoding="utf-8"))
        pid, host = fields["pid"], fields["host"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # 0 and negative numbers mean groups of processes to kill(2)
    return Writer(pid=pid, host=str(host)) if isinstance(pid, int) and pid > 0 else None
