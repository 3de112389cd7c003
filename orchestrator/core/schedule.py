"""Which target may start when. Decides synchronously; the engine's tasks wait for what it decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from orchestrator.core.model import TargetState
from orchestrator.core.plan import Step
from orchestrator.core.state import RunState, TargetRun

UNDER_WAY = frozenset({TargetState.STARTING, TargetState.RUNNING, TargetState.BAKING, TargetState.ROLLING_BACK})


def is_unmade(target: TargetRun) -> bool:
    """Whether what it deploys has yet to be made ready: no process of this run has pinned its revision."""
    return target.deployment_id is None and target.revision is None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a target ended in this run."""

    state: TargetState
    reason: str | None = None
    blocked_by: tuple[str, ...] = ()


class Schedule:
    """Counts, for each target, the needs and afters that haven't ended."""

    def __init__(self, steps: Sequence[Step], state: RunState) -> None:
        self._state = state
        self._steps = {step.target.id: step for step in steps}
        self._open: dict[str, int] = {}
        self._dependents: dict[str, list[str]] = {step.target.id: [] for step in steps}
        self._go: dict[str, anyio.Event] = {}
        self._let_go: set[str] = set()
        """Those that nobody waits for any more."""
        for step in steps:
            self._add(step)

    def unfinished(self) -> list[Step]:
        """In plan order."""
        return [step for name, step in self._steps.items() if not self._state.targets[name].state.is_final]

    def to_start(self) -> list[Step]:
        """Those of the unfinished that will need an artifact."""
        return [
            step
            for step in self.unfinished()
            if step.action == "deploy" and is_unmade(self._state.targets[step.target.id])
        ]

    def can_anything_start(self) -> bool:
        return any(step.action == "deploy" and not self._began(step) for step in self.unfinished())

    def anything_under_way(self) -> bool:
        return any(self._began(step) for step in self.unfinished())

    async def wait(self, step: Step) -> None:
        """Returns when all that the target waits for has ended, or when the run was closed."""
        await self._go[step.target.id].wait()

    def may_go(self, step: Step) -> bool:
        """Whether nothing that the target waits for is open any more."""
        return self._open[step.target.id] == 0

    def finished(self, step: Step) -> None:
        """The target has its verdict, or what its dependents wait for: those that waited for it last may go."""
        if step.target.id in self._let_go:
            return
        self._let_go.add(step.target.id)
        for name in self._dependents[step.target.id]:
            self._open[name] -= 1
            if self._open[name] == 0:
                self._go[name].set()

    def close(self) -> None:
        """Nobody waits any longer."""
        for go in self._go.values():
            go.set()

    def blocked(self, step: Step) -> Verdict | None:
        """A need that has ended, and not well, blocks; it is named by its root cause.

        Needs that were only cancelled block nothing by themselves: the run starts nothing new, and that is the reason.
        """
        roots: dict[str, None] = {}  # a set that keeps its order
        for name in step.target.needs:
            need = self._state.targets.get(name)
            if need is not None and need.state.is_final and not need.state.is_good:
                roots |= dict.fromkeys(need.blocked_by or (name,))
        if all(self._state.targets[name].state is TargetState.CANCELLED for name in roots):
            return None
        names = ", ".join(f"{name} ({self._state.targets[name].state})" for name in roots)
        return Verdict(TargetState.SKIPPED, f"needs {names}", tuple(roots))

    def _began(self, step: Step) -> bool:
        known = self._state.targets[step.target.id]
        return known.is_live or known.state in UNDER_WAY

    def _add(self, step: Step) -> None:
        name = step.target.id
        before = {other for other in (*step.target.needs, *step.target.after) if other in self._steps}
        targets = self._state.targets
        still_open = [each for each in before if not (targets[each].state.is_final or targets[each].lets_others_go)]
        self._let_go |= before - set(still_open)
        for other in still_open:
            self._dependents[other].append(name)
        self._open[name] = len(still_open)
        self._go[name] = anyio.Event()
        if not still_open:
            self._go[name].set()
