"""Which run is meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from orchestrator.core.errors import StateError, UsageError
from orchestrator.core.runs import RunSummary

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHOWN = 5


def check_run_id(run: str) -> None:
    """Raises `UsageError`."""
    if not RUN_ID.fullmatch(run):
        raise UsageError(f"{run!r} is no run id", hint="letters, digits and . _ - make one; see: orchestrator runs")


def named(run: str, names: Sequence[str], where: str) -> str:
    """The run with this id, or with an id that alone begins so. Raises `UsageError`. `names` are sorted."""
    if run in names:
        return run
    matches = [name for name in names if name.startswith(run)] if run else []
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(f"{run!r} is the beginning of {len(matches)} runs: {_some(matches)}", hint="write more of it")
    raise UsageError(f"no run {run!r} in {where}", hint=suggest(run, names))


def newest(runs: Sequence[RunSummary], where: str) -> str:
    """The newest run that can be read. `runs` are sorted, newest first. Raises `StateError`, or `UsageError`."""
    found = next((run for run in runs if run.problem is None), None)
    if found is not None:
        return found.run
    if runs:
        message = f"none of the {len(runs)} runs in {where} can be read; {runs[0].run}: {runs[0].problem}"
        raise StateError(message, hint="see: orchestrator runs")
    raise UsageError(f"there are no runs in {where}", hint="start one with: orchestrator apply MANIFEST")


def suggest(run: str, names: Sequence[str]) -> str:
    """What to do about a run that isn't there."""
    close_names = difflib.get_close_matches(run, names, n=3)
    if close_names:
        return f"did you mean {' or '.join(close_names)}?"
    return f"there are: {_some(names)}" if names else "there are no runs here; is this the right folder (--state)?"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[-_SHOWN:]) + more
