"""The rollback of a release: what a run changed goes back to what stood before it, in reverse dependency order.

It is a plan of its own, carried out by the same engine as a run of its own with its own journal, so that it starts
nothing twice and can be resumed as any run. How its targets fare is told in the journal of the run that goes back, too:
whatever looks at that run sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

import anyio

from orchestrator.core import events as ev
from orchestrator.core.controls import NO_CONTROLS
from orchestrator.core.engine import LAST_FLUSH, Engine
from orchestrator.core.errors import StateError
from orchestrator.core.model import (
    AppSpecRevision,
    DeploymentSettings,
    Revision,
    Target,
    TargetState,
    describe_revision,
    revision_from_api,
)
from orchestrator.core.outcome import goes_back, outcome_of
from orchestrator.core.plan import Plan, Step, order, step_from_dict
from orchestrator.core.recorder import Recorder
from orchestrator.core.result import exit_code_of
from orchestrator.core.runs import RunJournal
from orchestrator.core.state import RunState, TargetRun, fold

NOTHING_BEFORE = "no earlier successful deployment of it is known"

# --- what goes back --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackPlan:
    steps: tuple[Step, ...]
    """In reverse dependency order."""
    left_out: Mapping[str, str]
    """Targets that this run has changed and that can't go back, with the reason: named, never guessed."""


def plan_rollback(steps: Sequence[Step], state: RunState) -> RollbackPlan:
    """What a rollback of this run has to do. `steps`: of the run's own plan.

    What is back already, by CodeDeploy's own rollback or by an earlier one of ours, is not done again.
    """
    open_ = [step for step in steps if _is_open(state.targets[step.target.id], state)]
    left_out = {step.target.id: why for step in open_ if (why := _why_not(step.current))}
    chosen = {step.target.id: step for step in open_ if step.target.id not in left_out}
    waits = _reversed(steps, set(chosen))
    targets = {name: _back(step, waits[name], state.run) for name, step in chosen.items()}
    last_first = [targets[name] for name in reversed(list(chosen))]
    made = tuple(_step(chosen[t.id], t, state.targets[t.id]) for t in order(last_first))
    return RollbackPlan(steps=made, left_out=left_out)


def with_request(records: Sequence[ev.Record], steps: Sequence[Step]) -> RollbackPlan:
    """What a rollback of the run with these records would do, were it asked for now."""
    state = fold(records)
    request = ev.ReleaseRollbackRequested(reason="")
    state.apply(ev.Record(state.last_seq + 1, state.last_ts or 0.0, state.run, request))
    return plan_rollback(steps, state)


def _is_open(target: TargetRun, state: RunState) -> bool:
    return goes_back(target, state) and target.state is not TargetState.ROLLED_BACK


def _why_not(revision: Revision | None) -> str | None:
    if revision is None:
        return NOTHING_BEFORE
    if isinstance(revision, AppSpecRevision) and not revision.content:
        return "CodeDeploy doesn't tell the content of the AppSpec that stood there before"
    return None


def _reversed(steps: Sequence[Step], chosen: set[str]) -> dict[str, set[str]]:
    """For each of the chosen those that go back before it: what waited for it, directly or through others."""
    before: dict[str, set[str]] = {name: set() for name in chosen}
    reached: dict[str, set[str]] = {}
    """For each target the nearest chosen ones among itself and what it waits for."""
    for step in steps:  # in the plan's order: what a target waits for stands before it
        name = step.target.id
        found: set[str] = set()
        for other in (*step.target.needs, *step.target.after):
            found |= reached.get(other, set())
        if name in chosen:
            for other in found:
                before[other].add(name)
            found = {name}
        reached[name] = found
    return before


def _back(step: Step, waits: Iterable[str], run: str) -> Target:
    """The target with what stood before; nothing in it depends on the machine or the checkout."""
    current = step.current
    assert current is not None  # noqa: S101 - `_why_not` has left those out that have none
    settings = step.target.settings
    return replace(
        step.target,
        source=current,
        needs=tuple(sorted(waits)),
        after=(),
        skip_if_current=False,
        controls=step.target.controls.traffic_only(),
        settings=DeploymentSettings(
            deployment_config=settings.deployment_config,
            description=f"rollback of {run}",
            auto_rollback=(),  # a rollback that is itself rolled back would bring the failed release back
            file_exists_behavior=settings.file_exists_behavior,
            ignore_application_stop_failures=settings.ignore_application_stop_failures,
        ),
    )


def _step(step: Step, target: Target, known: TargetRun) -> Step:
    return Step(
        target=target,
        current=revision_from_api(known.revision),
        current_deployment_id=known.deployment_id,
        wanted=describe_revision(step.current),
        timeout=step.timeout,
        reason="rollback",
    )


# --- how it fares, told by the run that goes back --------------------------------------------------------------------


class Mirror:
    """A sink of the rollback: tells the run that goes back what becomes of its targets."""

    def __init__(self, parent: Recorder) -> None:
        self._parent = parent

    def handle(self, record: ev.Record, state: RunState) -> None:
        if isinstance(record.event, ev.TargetEvent):
            self.tell(state.targets[record.event.target])

    def tell(self, target: TargetRun) -> None:
        for event in mirrored(self._parent.state.targets[target.id], target):
            self._parent.record(event)


def mirrored(parent: TargetRun, child: TargetRun) -> list[ev.Event]:
    """What the run that goes back hasn't been told yet of this target. Told twice, it is nothing the second time."""
    deployment_id = child.deployment_id
    if deployment_id is None:
        return _not_rolled_back(parent, child)
    told: list[ev.Event] = []
    verdict = _verdict(parent, child)
    is_new = parent.rollback_deployment_id != deployment_id
    if is_new or (parent.state is not TargetState.ROLLING_BACK and (verdict or not child.state.is_final)):
        told.append(
            ev.RollbackStarted(
                target=parent.id,
                deployment_id=parent.deployment_id or "",
                rollback_deployment_id=deployment_id,
                of_release=True,
            )
        )
    if child.deployment_ended and (is_new or parent.rollback_status != child.status):
        told.append(
            ev.RollbackEnded(
                target=parent.id,
                rollback_deployment_id=deployment_id,
                status=child.status or "",
                error_message=child.error_message,
            )
        )
    return [*told, *verdict]


def _verdict(parent: TargetRun, child: TargetRun) -> list[ev.Event]:
    if not child.state.is_final:
        return []
    if child.state is TargetState.SUCCEEDED:
        state, note = TargetState.ROLLED_BACK, f"rolled back with {child.deployment_id}"
    else:
        state, note = _ended_badly(child.state), f"the rollback {child.deployment_id} {child.state}: {child.reason}"
    return _finish(parent, state, note)


def _ended_badly(state: TargetState) -> TargetState:
    return state if state in {TargetState.STOPPED, TargetState.TIMED_OUT, TargetState.ERRORED} else TargetState.FAILED


def _not_rolled_back(parent: TargetRun, child: TargetRun) -> list[ev.Event]:
    """It stays what it was: nothing came of its rollback."""
    if not child.state.is_final:
        return []
    return _finish(parent, parent.state, f"not rolled back: {child.reason or child.state}")


def _finish(parent: TargetRun, state: TargetState, note: str) -> list[ev.Event]:
    reason = parent.reason or ""
    if parent.state is state and reason.endswith(note):
        return []
    reason = reason.partition("; not rolled back: ")[0] if reason else ""
    reason = f"{reason}; {note}" if reason else note
    return [ev.TargetFinished(target=parent.id, state=state, reason=reason, blocked_by=parent.blocked_by)]


# --- carried out -----------------------------------------------------------------------------------------------------


class ReleaseRollback:
    """The rollback of one run, from the first time or resumed. Made where that run's own targets have all ended."""

    def __init__(
        self,
        plan: Plan,
        parent: Recorder,
        *,
        new_run: Callable[[], str],
        open_journal: Callable[[str], AbstractAsyncContextManager[RunJournal]],
        start_event: Callable[[Plan], ev.RunStarted],
        engine: Callable[[Plan, Recorder], Engine],
        looks_in: bool = False,
    ) -> None:
        """`plan`: of the run that goes back; `open_journal` opens the journal of a run, whether there is one or not.

        `looks_in`: the engine only looks in on it (`core.pausing`), so that going on is nothing worth recording.
        """
        self._plan = plan
        self._parent = parent
        self._new_run = new_run
        self._open_journal = open_journal
        self._start_event = start_event
        self._make_engine = engine
        self._engine: Engine | None = None
        self._looks_in = looks_in
        self._left: str | None = None
        self._is_pause = looks_in

    def leave(self, reason: str, *, pause: bool = False) -> None:
        """Goes, and leaves running what runs; a resume goes on."""
        if self._left is None:
            self._left, self._is_pause = reason, pause
        if self._engine is not None:
            self._engine.leave(reason, pause=pause)

    @property
    def rests_until(self) -> float | None:
        """As `Engine.rests_until`."""
        return None if self._engine is None else self._engine.rests_until

    async def run(self) -> None:
        """Until all is back that can go back, or until told to leave; how it went is in the run's own state."""
        try:
            if self._left is None:
                await self._roll_back()
        finally:
            self._record_end()
            with anyio.move_on_after(LAST_FLUSH, shield=True):
                await self._parent.commit()

    async def _roll_back(self) -> None:
        state = self._parent.state
        planned = plan_rollback(self._plan.steps, state)
        run = state.rollback_run
        if run is None:
            run = self._new_run()
            targets = tuple(step.target.id for step in planned.steps)
            self._parent.record(ev.ReleaseRollbackStarted(rollback_run=run, targets=targets))
            for name, why in planned.left_out.items():
                for event in _finish(state.targets[name], state.targets[name].state, f"not rolled back: {why}"):
                    self._parent.record(event)
            await self._parent.commit()
            if not planned.steps:
                self._parent.record(ev.ReleaseRollbackFinished(rollback_run=run))
                return
        async with self._open_journal(run) as journal:
            await self._go_on(
                run, journal, replace(self._plan, steps=planned.steps, controls=NO_CONTROLS, notifications=())
            )

    async def _go_on(self, run: str, journal: RunJournal, plan: Plan) -> None:
        records = journal.found.records
        mirror = Mirror(self._parent)
        state = fold(records)
        child = Recorder(run=run, state=state, journal=journal, sinks=[mirror], clock=self._parent.clock)
        event = self._start_event(plan)
        if not records:
            child.record(event)
            await child.commit()
        else:
            plan = replace(plan, steps=_steps_of(records[0], run))
            for target in state.targets.values():
                mirror.tell(target)
            if not state.is_over and (not self._looks_in or _must_reopen(state)):
                child.record(ev.RunResumed(version=event.version, host=event.host, pid=event.pid))
        if not state.is_over:
            self._engine = self._make_engine(plan, child)
            if self._left is not None:
                self._engine.leave(self._left, pause=self._is_pause)
            await self._engine.run()
        if state.is_finished:
            self._parent.record(ev.ReleaseRollbackFinished(rollback_run=run, resumable=not state.is_over))

    def _record_end(self) -> None:
        state = self._parent.state
        if state.awaits_rollback:
            if self._is_pause:
                return
            running = tuple(name for target in state.targets.values() for name in target.running_ids)
            self._parent.record(ev.RunDetached(reason=self._left or "interrupted", running=running))
            return
        self._parent.record(ev.RunFinished(outcome=outcome_of(state), exit_code=int(exit_code_of(state))))


def _must_reopen(state: RunState) -> bool:
    """Whether it stands as somebody has left it who didn't mean to come back."""
    return state.is_finished or state.detached is not None or state.cancelled is not None


def _steps_of(first: ev.Record, run: str) -> tuple[Step, ...]:
    if not isinstance(first.event, ev.RunStarted):
        raise StateError(f"the journal of the rollback {run} doesn't begin with run_started")
    return tuple(step_from_dict(data) for data in first.event.targets)
