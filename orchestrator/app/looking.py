"""Runs as they stand, read from their state and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.app.stores import is_alive, open_state
from orchestrator.core.errors import UsageError
from orchestrator.core.events import RunStarted
from orchestrator.core.model import Target
from orchestrator.core.plan import target_from_dict
from orchestrator.core.runs import JournalContents, RunStore, RunSummary
from orchestrator.core.state import RunState, fold


async def read_release(runs: RunStore, run: str | None) -> tuple[str, JournalContents, RunState]:
    """The run's id, journal and state; for the rollback of a run those of that run, which speaks for both.

    Raises as the store does.
    """
    found = await runs.find_run(run)
    contents = await runs.read_run(found)
    state = fold(contents.records)
    if state.rollback_of is None:
        return found, contents, state
    return await read_release(runs, state.rollback_of)


async def look_at_run(run: str | None, state: str | None, env: Mapping[str, str]) -> tuple[RunState, bool]:
    """The run's state (None: the newest run's), and whether a process carries it on."""
    async with open_state(state, None, env) as kept:
        run_id = await kept.runs.find_run(run)
        found = await kept.runs.load_run(run_id)
        if run is None and found.rollback_of is not None:
            run_id = found.rollback_of
            found = await kept.runs.load_run(run_id)
        return found, await is_alive(kept, run_id)


async def targets_of_run(run: str, state: str | None, env: Mapping[str, str]) -> tuple[tuple[Target, ...], RunState]:
    """The targets as the run was planned, and its state. Raises as the store does; `UsageError` when it is empty."""
    async with open_state(state, None, env) as kept:
        contents = await kept.runs.read_run(await kept.runs.find_run(run))
    if not contents.records or not isinstance(began := contents.records[0].event, RunStarted):
        raise UsageError(f"run {run} has no targets: nothing was recorded", hint="orchestrator runs lists the runs")
    return tuple(target_from_dict(each) for each in began.targets), fold(contents.records)


async def list_runs(state: str | None, env: Mapping[str, str]) -> list[RunSummary]:
    """Newest first."""
    async with open_state(state, None, env) as kept:
        return await kept.runs.list_runs()
