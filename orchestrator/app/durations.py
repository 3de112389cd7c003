"""How long deployments took in earlier runs, by the journals in the state."""

from __future__ import annotations

from pathlib import Path

from orchestrator.core.errors import OrchestratorError
from orchestrator.core.events import DurationsExpected
from orchestrator.core.model import Concurrency, TargetState
from orchestrator.core.plan import Plan
from orchestrator.core.recorder import Recorder
from orchestrator.core.runs import RunStore
from orchestrator.core.state import RunState, TargetRun

RUNS = 3
"""So many runs of the environment are looked at, from the newest on."""


def matters(concurrency: Concurrency) -> bool:
    """Whether anybody can have to wait for a place."""
    return bool(concurrency.deployments or concurrency.per_region or concurrency.pools)


class Estimates:
    """Tells the run, once, how long its targets took before. A run that goes on knows it already."""

    def __init__(self, runs: RunStore | None, plan: Plan, recorder: Recorder) -> None:
        """`runs`: None where nothing is kept."""
        self._runs = runs
        self._plan = plan
        self._recorder = recorder
        self._asked = False

    async def learn(self) -> dict[str, float]:
        """Seconds, by target. Of several calls the first asks; nothing is written to a run that has ended meanwhile."""
        state = self._recorder.state
        if not self._asked and self._runs is not None and not _expected(state):
            self._asked = True
            found = await earlier_durations(self._runs, self._plan)
            if found and state.ended_at is None:
                self._recorder.record(DurationsExpected(seconds=found))
        return _expected(state)


def _expected(state: RunState) -> dict[str, float]:
    return {target.id: target.expected for target in state.targets.values() if target.expected is not None}


async def earlier_durations(runs: RunStore, plan: Plan) -> dict[str, float]:
    """Seconds, by target: of its newest success in one of the last runs. A state that can't be read says nothing."""
    found: dict[str, float] = {}
    wanted = {step.target.id for step in plan.changes}
    looked = 0
    try:
        for summary in await runs.list_runs():
            if summary.environment != plan.environment or summary.rollback_of or summary.problem:
                continue
            if Path(summary.manifest).name != Path(plan.manifest).name:
                continue
            state = await runs.load_run(summary.run)
            for target in state.targets.values():
                seconds = _took(target)
                if seconds is not None and target.id in wanted:
                    found.setdefault(target.id, round(seconds, 1))
            looked += 1
            if looked == RUNS:
                break
    except OrchestratorError:
        return found
    return found


def _took(target: TargetRun) -> float | None:
    if target.state is not TargetState.SUCCEEDED or target.deployment_started_at is None or target.ended_at is None:
        return None
    return max(0.0, target.ended_at - target.deployment_started_at)
