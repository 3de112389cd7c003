"""A process that only looks in on a run: it goes when all that is left is waiting, and says when to look again.

Nothing of this is recorded: between two looks the run stands as its journal says, and the next look goes on from there.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import inf

from orchestrator.core.approvals import GRACE
from orchestrator.core.bundles import Bundles
from orchestrator.core.control import Control
from orchestrator.core.model import DeploymentStatus, TargetState
from orchestrator.core.plan import Step
from orchestrator.core.recorder import Recorder
from orchestrator.core.schedule import Schedule
from orchestrator.core.slots import Slots
from orchestrator.core.stages import Stages
from orchestrator.core.state import RunState, TargetRun
from orchestrator.core.watcher import Watcher

LOOK = 0.2
"""Seconds between two looks at whether all is at rest."""

SHARE_OF_AGE = 0.1
"""A deployment is looked at again after a tenth of the time that it has run for, within the bounds below."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pauses:
    """How a run is looked in on. Seconds, but for the last."""

    least: float = 8.0
    """What is due earlier than that is waited for by the process itself."""
    soon: float = 15.0
    """Between two looks at a young deployment."""
    late: float = 60.0
    """Between two looks at an old one, or at gates in a long bake."""
    failed_elsewhere: int = 0
    """Targets that have failed in other parts of the same release: they count for `max_failures`, too."""

    @classmethod
    def for_interval(cls, poll_interval: float, *, failed_elsewhere: int = 0) -> Pauses:
        """In proportion to the poll interval, as the engine's other times: a sandbox in a hurry is looked at often."""
        share = min(1.0, poll_interval / 5.0)
        usual = cls()
        return cls(
            least=usual.least * share,
            soon=usual.soon * share,
            late=usual.late * share,
            failed_elsewhere=failed_elsewhere,
        )


def must_reopen(state: RunState, now: float) -> bool:
    """Whether what an earlier process has said about its leaving has to be taken back (`RunResumed`).

    A cancel that is being carried out stays: only people take that back.
    """
    if state.is_finished or state.cancelled is not None:
        return False
    thawed = state.frozen is not None and state.frozen.until <= now
    return state.detached is not None or state.blocked is not None or thawed


class Resting:
    """Whether anything of a run goes on in this process, and until when nothing will. Looks; changes nothing."""

    def __init__(
        self,
        recorder: Recorder,
        control: Control,
        schedule: Schedule,
        slots: Slots,
        bundles: Bundles,
        stages: Stages,
        watcher: Watcher,
        pauses: Pauses,
    ) -> None:
        self._recorder = recorder
        self._state = recorder.state
        self._control = control
        self._schedule = schedule
        self._slots = slots
        self._bundles = bundles
        self._stages = stages
        self._watcher = watcher
        self._busy: Step | None = None
        """The last one that was found to be going on: of thousands it is asked first."""
        self._pauses = pauses

    def until(self) -> float | None:
        """Epoch seconds of the next look that is due; None: something goes on that a process has to stay for.

        `inf`: only people can go on with it.
        """
        if not self._bundles.are_done or self._stages.hooks.running or self._control.stopping.is_set():
            return None
        begun = self._stages.gating.begun()
        if self._busy is not None and self._goes_on(self._busy, begun):
            return None  # nobody else need be looked at
        earliest = self._of_gates(None) if None in begun else self._of_run()
        for step in self._schedule.unfinished():
            if earliest is None:
                return None
            moment = self._of_step(step, begun)
            if moment is None:
                self._busy = step
            earliest = _earliest(earliest, moment)
        if earliest is None or earliest - self._recorder.clock() < self._pauses.least:
            return None
        return earliest

    def _goes_on(self, step: Step, begun: AbstractSet[str | None]) -> bool:
        is_final = self._state.targets[step.target.id].state.is_final
        return not is_final and self._of_step(step, begun) is None

    def _of_step(self, step: Step, begun: AbstractSet[str | None]) -> float | None:
        """`begun`: who stands at a gate, or bakes."""
        known = self._state.targets[step.target.id]
        if known.id in begun:
            return _earliest(self._of_gates(known.id), self._of_deployment(step, known))
        if known.rollback_deployment_id is not None or known.is_live:
            is_asked_to_go_on = known.status == DeploymentStatus.READY and step.target.controls.on_ready == "continue"
            return None if is_asked_to_go_on else self._of_deployment(step, known)
        if known.deployment_id is not None:
            return None  # it has ended, and its verdict is being found
        return self._of_start(step, known)

    def _of_gates(self, target: str | None) -> float | None:
        gating = self._stages.gating
        asked = [gate.deadline for gate in self._state.gates.open_at(target) if gate.kind == "approval"]
        people = min((moment + GRACE for moment in asked if moment is not None), default=inf)
        return _earliest(people, gating.sleeps_until(target, self._pauses.late))

    def _of_run(self) -> float | None:
        """Where none of its own gates is asked."""
        if not self._schedule.unfinished():
            return None  # what comes after the targets is about to begin
        is_through = self._stages.may_begin or self._state.frozen is not None
        return inf if is_through or not self._schedule.can_anything_start() else None

    def _of_deployment(self, step: Step, known: TargetRun) -> float | None:
        """Of one that runs, as far as we know; inf where none does."""
        running = known.running_ids
        if not running:
            return inf if known.intent is None else None
        if not set(running) <= self._watcher.seen or not self._watcher.stopping.isdisjoint(running):
            return None  # nobody has asked for it yet, or it is being stopped
        now = self._recorder.clock()
        began = known.deployment_started_at or now
        due = now + self.look_after(now - began)
        is_ours = known.deployment_id in running
        return min(due, max(now, began + step.timeout)) if is_ours else due

    def _of_start(self, step: Step, known: TargetRun) -> float | None:
        now = self._recorder.clock()
        if self._state.frozen is not None:
            return self._state.frozen.until
        if known.retry_at is not None and known.retry_at > now:
            return known.retry_at
        if self._slots.holds(known.id):
            if known.state is not TargetState.BLOCKED or known.busy_since is None:
                return None  # it is being started
            return min(now + self.look_after(now - known.busy_since), known.busy_since + step.timeout)
        return None if self._may_start(step) else inf

    def _may_start(self, step: Step) -> bool:
        """As far as the run itself is concerned: what it waits for has ended, and there is room."""
        if step.action == "unchanged" or not self._schedule.may_go(step):
            return self._schedule.may_go(step)
        return self._stages.may_begin and self._slots.has_room(step.target)

    def look_after(self, age: float) -> float:
        """Seconds until the next look at something that has gone on for `age` seconds."""
        return min(self._pauses.late, max(self._pauses.soon, age * SHARE_OF_AGE))


def _earliest(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else min(one, other)
