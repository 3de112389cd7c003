"""Runs as they stand, read from their state and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.app.stores import is_alive, open_state
from orchestrator.core.runs import RunSummary
from orchestrator.core.state import RunState


async def look_at_run(run: str | None, state: str | None, env: Mapping[str, str]) -> tuple[RunState, bool]:
    """The run's state (None: the newest run's), and whether a process carries it on."""
    async with open_state(state, None, env) as kept:
        run_id = await kept.runs.find_run(run)
        return await kept.runs.load_run(run_id), await is_alive(kept, run_id)


async def list_runs(state: str | None, env: Mapping[str, str]) -> list[RunSummary]:
    """Newest first."""
    async with open_state(state, None, env) as kept:
        return await kept.runs.list_runs()
