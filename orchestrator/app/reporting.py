"""The report of a run: read from the state, whoever carried the run on, and written as one file."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from orchestrator import __version__
from orchestrator.app.files import write_whole
from orchestrator.app.stores import State, is_alive, open_state
from orchestrator.core.blobs import UnreachableError
from orchestrator.core.errors import OrchestratorError, StateError
from orchestrator.core.events import Record
from orchestrator.core.state import RunState
from orchestrator.web.assets import sheet
from orchestrator.web.chronicle import Chronicle, read_chronicle
from orchestrator.web.report import EVENTS_KEPT, report
from orchestrator.web.view import RunView

PATIENCE = 20.0
"""Seconds that a state may take to be read again when its run has just ended."""


async def read_view(run: str | None, state: str | None, env: Mapping[str, str]) -> RunView:
    """All that is kept of the run (None: the newest one), with the run that rolled it back.

    One whose journal is damaged comes as a view with a `problem`. Raises `UsageError` when there is no such run,
    `UnreachableError` when the state can't be read at all.
    """
    async with open_state(state, None, env) as kept:
        name = await kept.runs.find_run(run)
        view = await _view(kept, name)
        if run is None and view.state.rollback_of is not None:
            view = await _view(kept, view.state.rollback_of)
        return await _with_rollback(kept, view)


async def _view(kept: State, run: str) -> RunView:
    try:
        contents = await kept.runs.read_run(run)
        state, chronicle = read_chronicle(contents.records, EVENTS_KEPT)
    except UnreachableError:
        raise
    except StateError as error:
        return RunView(run=run, problem=str(error))
    alive = not state.is_finished and await is_alive(kept, run)
    return RunView(run=run, state=state, told=chronicle.told, alive=alive, note=contents.note)


async def _with_rollback(kept: State, view: RunView) -> RunView:
    name = view.state.rollback_run
    if name is None:
        return view
    try:
        return view.with_rollback(await _view(kept, name))
    except OrchestratorError:  # gone, or never written: the run's own journal tells how its targets fared
        return view


def report_of(view: RunView) -> str:
    """The document."""
    return report(view, time.time(), css=sheet("style.css") + sheet("drawing.css"), version=__version__)


# --- beside a run ----------------------------------------------------------------------------------------------------


class _Seen:
    """What this process has seen of its run: enough for a report where the state can't be read any more."""

    def __init__(self) -> None:
        self.state: RunState | None = None
        self.chronicle = Chronicle(EVENTS_KEPT)

    def remember(self, records: Iterable[Record]) -> None:
        _, self.chronicle = read_chronicle(records, EVENTS_KEPT)

    def handle(self, record: Record, state: RunState) -> None:
        self.state = state
        self.chronicle.handle(record, state)

    @property
    def view(self) -> RunView | None:
        """None: no run has begun."""
        if self.state is None:
            return None
        return RunView(run=self.state.run, state=self.state, told=self.chronicle.told)


@asynccontextmanager
async def report_beside(
    path: Path, state: str | None, env: Mapping[str, str], complain: Callable[[str], None]
) -> AsyncIterator[_Seen]:
    """Writes the report of the run that happens in the block, at its end, however it ends. Never raises for that."""
    seen = _Seen()
    try:
        yield seen
    finally:
        with anyio.CancelScope(shield=True):
            if (view := seen.view) is not None:
                await _write(path, view, state, env, complain)


async def _write(
    path: Path, view: RunView, state: str | None, env: Mapping[str, str], complain: Callable[[str], None]
) -> None:
    try:
        with anyio.fail_after(PATIENCE):
            read = await read_view(view.run, state, env)
            view = view if read.problem is not None else read.carried_on(alive=False)
    except (OrchestratorError, TimeoutError):
        pass  # what was seen here has to do; that the state is out of reach has been said by others
    try:
        write_whole(path, report_of(view))
    except OSError as error:
        complain(f"warning: --report: can't write {path}: {error.strerror or error}")
