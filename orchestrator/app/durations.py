"""How long deployments took in earlier runs, by the journals in the state."""

from __future__ import annotations

from pathlib import Path

from orchestrator.core.errors import OrchestratorError
from orchestrator.core.model import Concurrency, TargetState
from orchestrator.core.plan import Plan
from orchestrator.core.runs import RunStore
from orchestrator.core.state import TargetRun

RUNS = 3
"""So many runs of the environment are looked at, from the newest on."""


def matters(concurrency: Concurrency) -> bool:
    """Whether anybody can have to wait for a place."""
    return bool(concurrency.deployments or concurrency.per_region or concurrency.pools)


async def earlier_durations(runs: RunStore, plan: Plan) -> dict[str, float]:
    """Seconds, by target: of its newest success in one of the last runs. A state that can't be read says nothing."""
    found: dict[str, float] = {}
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
                if seconds is not None:
                    found.setdefault(target.id, seconds)
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
