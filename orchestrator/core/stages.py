"""What stands around the deployment of a target, and around the whole run: gates, hooks and the bake."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import anyio

from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.approvals import Approvals, approval_gates
from orchestrator.core.calling_off import cancel_after
from orchestrator.core.control import Control
from orchestrator.core.controls import Controls, GateSpec
from orchestrator.core.errors import CallError
from orchestrator.core.gating import PASSED, Gating, Held, Place
from orchestrator.core.hook_facts import facts_of_run, facts_of_target
from orchestrator.core.hooks import Hooks
from orchestrator.core.model import Target, TargetState
from orchestrator.core.outcome import FAILURES
from orchestrator.core.plan import Plan, Step
from orchestrator.core.ports import Commands, Gates
from orchestrator.core.recorder import Recorder
from orchestrator.core.region import Region
from orchestrator.core.schedule import Verdict
from orchestrator.core.shapes import alarms as names_of_alarms

ALARMS = "the group's alarms"
"""As what a bake watches them; no gate of a manifest can have this name."""

POLLS_BETWEEN_ALARMS = 3
"""The group's alarms are looked at as often as every third poll: each 15 s against AWS."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outside:
    """What gates and hooks need of the world."""

    gates: Gates
    commands: Commands
    rehearsal: bool = False
    """Approvals are given as soon as they are waited for."""


class Stages:
    """One for a run. Whatever goes wrong outside is a verdict; only `StateError` is raised."""

    def __init__(
        self, plan: Plan, recorder: Recorder, control: Control, outside: Outside, *, poll_interval: float
    ) -> None:
        """`poll_interval`: seconds."""
        self._plan = plan
        self._recorder = recorder
        self._state = recorder.state
        self._control = control
        self.approvals = Approvals(recorder, approval_gates(plan), rehearsal=outside.rehearsal)
        self.gating = Gating(recorder, outside.gates, self.approvals)
        self.hooks = Hooks(recorder, outside.commands)
        self._alarms_interval = POLLS_BETWEEN_ALARMS * poll_interval
        self._begun = anyio.Event()
        """Set when the run's own gates and hooks let targets start."""

    @property
    def may_begin(self) -> bool:
        """Whether the run's own gates and hooks have let targets start."""
        return self._begun.is_set()

    # --- the run -----------------------------------------------------------------------------------------------------

    async def before_run(self, close: Callable[[], None]) -> None:
        """Lets the targets go once the run's own before-gates and hooks are through; `close`: they aren't."""
        controls = self._plan.controls
        held = PASSED
        if self._plan.changes:
            facts = facts_of_run(self._state)
            over = self._control.closing
            held = await self.gating.pass_all(
                Place(target=None, phase="before", facts=facts), controls.gates_before, over=over
            )
            if held.outcome == "passed":
                held = await self.hooks.run_all(None, "before", controls.hooks_before, facts, self._control.stopping)
        if held.outcome == "failed":
            self._recorder.record(ev.FailureLimitReached(reason=held.reason))
            close()
        if held.outcome == "passed":
            self._begun.set()

    async def after_run(self) -> None:
        """Once all targets have ended: a failure here fails the run, as the fold of its events says."""
        targets = self._state.targets.values()
        if not self._plan.changes or not all(target.state.is_final for target in targets):
            return
        if all(target.state.is_good for target in targets):
            held = await self._pass_after_run()
            if held.outcome == "failed":
                await self._run_failed(held.reason)
        elif any(target.state in FAILURES for target in targets) or self._state.gates.failed_at(None):
            await self._run_failed(self._state.closed_reason or "targets have failed")

    async def _pass_after_run(self) -> Held:
        controls, over = self._plan.controls, self._control.stopping
        facts = facts_of_run(self._state, run_state="succeeded")
        held = await self.hooks.run_all(None, "after", controls.hooks_after, facts, over)
        if held.outcome != "passed":
            return held
        return await self.gating.pass_all(
            Place(target=None, phase="after", facts=facts), controls.gates_after, over=over
        )

    async def _run_failed(self, reason: str) -> None:
        facts = facts_of_run(self._state, run_state="failed", run_reason=reason)
        hooks = self._plan.controls.hooks_on_failure
        self._warn(await self.hooks.run_all(None, "on_failure", hooks, facts, self._control.leaving))

    # --- a target ----------------------------------------------------------------------------------------------------

    async def before(self, step: Step) -> Held:
        """The run's own, then the target's gates; holds no place in any queue meanwhile."""
        if not self._begun.is_set():
            await self._until_begun()
        place = self._place(step, "before")
        return await self.gating.pass_all(place, step.target.controls.gates_before, over=self._control.closing)

    async def _until_begun(self) -> None:
        async with anyio.create_task_group() as tasks:
            for event in (self._begun, self._control.closing):
                tasks.start_soon(cancel_after, event, tasks.cancel_scope)

    async def right_before(self, step: Step) -> Held:
        """The hooks, with the target's place taken."""
        hooks = step.target.controls.hooks_before
        return await self.hooks.run_all(step.target.id, "before", hooks, self._facts(step), self._control.stopping)

    async def at_milestone(self, step: Step, milestone: str) -> Held:
        """The after-gates of a target that waits for a state before its deployment's end."""
        place = self._place(step, milestone)
        return await self.gating.pass_all(place, step.target.controls.gates_after, over=self._control.stopping)

    async def after(self, step: Step, region: Region) -> Verdict:
        """Of a target whose deployment has succeeded: hooks, then bake and gates."""
        controls = step.target.controls
        if not (controls.hooks_after or controls.gates_after or controls.bake):
            return Verdict(TargetState.SUCCEEDED)
        facts = self._facts(step, target_state="succeeded")
        held = await self.hooks.run_all(step.target.id, "after", controls.hooks_after, facts, self._control.stopping)
        if held.outcome == "passed":
            held = await self._bake(step, region)
        match held.outcome:
            case "passed":
                return Verdict(TargetState.SUCCEEDED)
            case "failed":
                return Verdict(TargetState.FAILED, held.reason)
            case "interrupted":
                return Verdict(TargetState.STOPPED, "stopped on request after its deployment had succeeded")

    async def on_failure(self, step: Step) -> None:
        """After the verdict, which it doesn't change any more."""
        hooks, known = step.target.controls.hooks_on_failure, self._state.targets[step.target.id]
        if hooks and known.state in FAILURES:
            over = self._control.leaving
            held = await self.hooks.run_all(step.target.id, "on_failure", hooks, self._facts(step), over)
            self._warn(held, step.target.id)

    def owe_hooks(self, steps: Sequence[Step]) -> list[Step]:
        """Those that have failed in an earlier process, which may have gone before their hooks had run."""
        failed = [step for step in steps if self._state.targets[step.target.id].state in FAILURES]
        return [step for step in failed if self._owes(step.target.id, step.target.controls)]

    def _owes(self, target: str | None, controls: Controls) -> bool:
        """Whether not all of its on_failure hooks have run; what stands behind one that failed isn't run."""
        known = self._state.gates.hooks
        ran = [known.get((target, "on_failure", number)) for number in range(len(controls.hooks_on_failure))]
        ended = [hook.finished if hook is not None else None for hook in ran]
        return None in ended and not any(finished is not None and not finished.ok for finished in ended)

    # --- the bake ----------------------------------------------------------------------------------------------------

    async def _bake(self, step: Step, region: Region) -> Held:
        target, controls = step.target, step.target.controls
        known = self._state.targets[target.id]
        gates = () if self._passed_before(step) and not controls.bake else controls.gates_after
        if not gates and not controls.bake:
            return PASSED
        if known.bake_until is None:
            alarms = await self._alarms(target, region) if controls.bake else ()
            self._recorder.record(gev.BakeStarted(target=target.id, seconds=controls.bake, alarms=alarms))
        watched = (*gates, *_watch(known.bake_alarms, self._alarms_interval))
        hold_until = known.bake_until or 0.0
        place = self._place(step, "after", hold_until=hold_until)
        return await self.gating.pass_all(place, watched, over=self._control.stopping)

    def _passed_before(self, step: Step) -> bool:
        """At `ready` or `traffic_shifted`."""
        phase, gates = step.target.controls.wait_for, self._state.gates.gates
        found = [gates.get((step.target.id, phase, gate.name)) for gate in step.target.controls.gates_after]
        return all(gate is not None and gate.passed is True for gate in found)

    async def _alarms(self, target: Target, region: Region) -> tuple[str, ...]:
        """Those that CodeDeploy itself would have watched: the target's own setting, or the group's."""
        if target.settings.alarms is not None:
            return names_of_alarms(target.settings.alarms)
        try:
            groups = await region.codedeploy.groups(target.application_name, [target.deployment_group_name])
        except CallError as error:
            message = f"its group's alarms aren't watched while it bakes, since they can't be asked for: {error}"
            self._recorder.record(ev.WarningRaised(message=message, target=target.id))
            return ()
        group = groups.get(target.deployment_group_name)
        return () if group is None else group.alarms

    # --- helpers -----------------------------------------------------------------------------------------------------

    def _place(self, step: Step, phase: str, *, hold_until: float = 0.0) -> Place:
        facts = {**self._facts(step), "ORCHESTRATOR_PHASE": phase}
        return Place(
            target=step.target.id, phase=phase, location=step.target.location, facts=facts, hold_until=hold_until
        )

    def _facts(self, step: Step, **more: str | None) -> Mapping[str, str]:
        return facts_of_target(self._state, step, **more)

    def _warn(self, held: Held, target: str | None = None) -> None:
        if held.outcome == "failed":
            self._recorder.record(ev.WarningRaised(message=held.reason, target=target))


def _watch(alarms: Sequence[str], interval: float) -> tuple[GateSpec, ...]:
    """A gate over the group's alarms: bad once is enough, as it is for CodeDeploy."""
    if not alarms:
        return ()
    settings = {"names": list(alarms)}
    return (GateSpec(name=ALARMS, kind="cloudwatch_alarm", settings=settings, interval=interval, is_lenient=True),)
