"""Files that say how a run has ended. They are written however it ends, as far as this process knows."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from orchestrator.cli.files import check_writable, write_whole
from orchestrator.core.events import Record
from orchestrator.core.result import result_of, result_of_cut_off
from orchestrator.core.state import RunState
from orchestrator.sinks.dialects import dialect_of
from orchestrator.wording.text import write_line


@dataclass(kw_only=True, slots=True)
class Endings:
    """Listens to the run, as any view does, to know it when it ends by an error."""

    stderr: TextIO
    result: Path | None = None
    junit: Path | None = None
    step_summary: Path | None = None
    """The summary of a step of GitHub Actions, which others write to as well."""
    state: RunState | None = field(default=None, init=False)
    """None: no run has begun."""

    def handle(self, record: Record, state: RunState) -> None:  # noqa: ARG002 - the port gives the record to every sink
        self.state = state

    def write(self, state: RunState, *, problem: str | None = None) -> bool:
        """False when one that was asked for can't be written. `problem`: why this process can't go on with the run."""
        written = True
        if self.result is not None:
            found = result_of(state) if problem is None else result_of_cut_off(state, problem)
            written = self._put("--result", self.result, json.dumps(found, indent=2) + "\n")
        if self.junit is not None:
            from orchestrator.sinks.junit import junit  # noqa: PLC0415 - only when asked for

            text = junit(state, host=socket.gethostname(), problem=problem)
            written = self._put("--junit", self.junit, text) and written
        if self.step_summary is not None:
            self._add_to_step(self.step_summary, state, problem)
        return written

    def _put(self, option: str, path: Path, text: str) -> bool:
        try:
            write_whole(path, text)
        except OSError as error:
            write_line(self.stderr, f"error: {option}: can't write {path}: {error.strerror or error}")
            return False
        return True

    def _add_to_step(self, path: Path, state: RunState, problem: str | None) -> None:
        """Nobody has asked for it, so a release doesn't fail for it."""
        from orchestrator.sinks.step_summary import append_summary  # noqa: PLC0415 - only in GitHub Actions

        try:
            append_summary(path, state, problem)
        except OSError as error:
            write_line(self.stderr, f"warning: GITHUB_STEP_SUMMARY can't be written: {error.strerror or error}")


def endings_of(given: Mapping[str, Any], env: Mapping[str, str], stderr: TextIO) -> Endings:
    """Raises `UsageError` for files that can't be written."""
    for name in ("result", "junit"):
        check_writable(given[name], f"--{name}")
    summary = env.get("GITHUB_STEP_SUMMARY") if dialect_of(env) == "github" else None
    return Endings(
        stderr=stderr,
        result=given["result"],
        junit=given["junit"],
        step_summary=Path(summary) if summary else None,
    )
