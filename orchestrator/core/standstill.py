"""Whether anything can still go on by itself: then a process stays, else it may leave."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from orchestrator.core.bundles import Bundles
from orchestrator.core.model import TargetState
from orchestrator.core.plan import Step
from orchestrator.core.schedule import Schedule
from orchestrator.core.slots import Slots
from orchestrator.core.stages import Stages
from orchestrator.core.state import RunState


class Standstill:
    """Looks at a run; changes nothing."""

    def __init__(
        self,
        state: RunState,
        schedule: Schedule,
        slots: Slots,
        bundles: Bundles,
        stages: Stages,
        *,
        seen: AbstractSet[str],
    ) -> None:
        """`seen`: the deployments that CodeDeploy has told us of in this process."""
        self._state = state
        self._schedule = schedule
        self._slots = slots
        self._bundles = bundles
        self._stages = stages
        self._seen = seen

    def waits_for_ends(self) -> bool:
        """Whether nothing but the end of a deployment lets another one start."""
        return self._bundles.are_done and not any(self._can_start(step) for step in self._schedule.unfinished())

    def only_people(self) -> tuple[str, ...]:
        """The approvals that all that is left waits for; none where something else can still go on."""
        waiting = self._stages.gating.waits_for_people()
        if not waiting or not self._bundles.are_done or self._stages.hooks.running:
            return ()
        for step in self._schedule.unfinished():
            if step.target.id not in waiting and self._schedule.may_go(step) and None not in waiting:
                return ()
        return tuple(sorted({gate for gates in waiting.values() for gate in gates}))

    def _can_start(self, step: Step) -> bool:
        """Whether the target, or one that waits for it, may start without the end of a deployment that runs."""
        known = self._state.targets[step.target.id]
        if known.rollback_deployment_id is not None or known.state is TargetState.BLOCKED:
            return False
        if known.deployment_id is not None:  # what wasn't looked at yet may have ended, and others waited for it
            return known.deployment_id not in self._seen
        if known.intent is not None:
            return True
        return self._schedule.may_go(step) and self._slots.has_room(step.target)
