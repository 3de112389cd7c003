"""The engine: runs a plan. The main flow stands here, readable from `Engine.run` downwards."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from orchestrator.core import events as ev
from orchestrator.core.approvals import Approvals
from orchestrator.core.bundles import Bundles, BundlesClosedError
from orchestrator.core.control import Control, OnCancel
from orchestrator.core.errors import EndNotRecordedError, OrchestratorError, StateError
from orchestrator.core.failures import reason_to_stop
from orchestrator.core.freezewatch import FreezeWatch
from orchestrator.core.freezing import Calendar, NoFreezes
from orchestrator.core.inspector import inspectors
from orchestrator.core.leaving import Leaving
from orchestrator.core.model import (
    Concurrency,
    DeploymentStatus,
    Location,
    Outcome,
    Policy,
    Revision,
    TargetState,
    revision_from_api,
)
from orchestrator.core.outcome import FAILURES, outcome_of
from orchestrator.core.pausing import Pauses, Resting
from orchestrator.core.plan import Plan, Step
from orchestrator.core.ports import Artifact, Artifacts
from orchestrator.core.ranking import ranks
from orchestrator.core.recorder import Recorder
from orchestrator.core.region import Region
from orchestrator.core.result import exit_code_of
from orchestrator.core.retries import made_before, wants_another
from orchestrator.core.schedule import Schedule, Verdict
from orchestrator.core.slots import Slots
from orchestrator.core.stages import Outside, Stages
from orchestrator.core.standstill import Standstill
from orchestrator.core.starter import Start, Starter
from orchestrator.core.state import TargetRun
from orchestrator.core.timing import Timing
from orchestrator.core.token import run_token
from orchestrator.core.traffic import Traffic
from orchestrator.core.watcher import Watcher

FLUSH_EVERY = 1.0
"""Seconds after which the journal may publish what no step waits for: others read it while we run."""

LAST_FLUSH = 10.0
"""Seconds that the last events have to become durable; what comes after them is only the end of the process."""

MAYBE_STARTED = "a deployment may have been started"

CREATE_GRACE = 5.0
"""Seconds that a CreateDeployment under way is given when we leave: better an id than a riddle."""


class Engine:
    """One run of one plan; the state that the recorder holds says how far it has come already."""

    def __init__(  # noqa: PLR0913 - the composition root hands in all that a run needs of the world, by name
        self,
        plan: Plan,
        *,
        recorder: Recorder,
        regions: Mapping[Location, Region],
        artifacts: Artifacts,
        policy: Policy,
        concurrency: Concurrency,
        timing: Timing,
        outside: Outside,
        detach: bool = False,
        calendar: Calendar | None = None,
        durations: Mapping[str, float] | None = None,
        pauses: Pauses | None = None,
    ) -> None:
        """`outside`: where gates and hooks look; `detach`: leave once all that can start has started.

        `calendar`: the freezes that the run keeps to. `durations`: seconds that targets took in earlier runs, for who
        gets a free place first. `pauses`: only look in, and go as soon as all that is left is waiting.
        """
        self._recorder = recorder
        self._state = recorder.state
        self._regions = regions
        self._policy = policy
        self._control = Control()
        self._numbers = {step.target.id: number for number, step in enumerate(plan.steps, start=1)}
        self._schedule = Schedule(plan.steps, recorder.state)
        placed = ranks([step.target for step in plan.steps], durations or {})
        self._slots = Slots(concurrency, placed)
        self._in_turn = sorted(self._schedule.unfinished(), key=lambda step: placed[step.target.id])
        """Who starts in the same moment starts in this order."""
        self._bundles = Bundles(
            sorted((step.target for step in self._schedule.to_start()), key=lambda target: placed[target.id]),
            artifacts=artifacts,
            codedeploys={location: region.codedeploy for location, region in regions.items()},
            record=recorder.record,
            uploads=concurrency.uploads,
        )
        self._starter = Starter(recorder, self._control, policy=policy, timing=timing)
        self._watcher = Watcher(recorder, self._control, timing=timing)
        self._stages = Stages(plan, recorder, self._control, outside, poll_interval=timing.poll_interval)
        self._inspectors = inspectors(recorder, plan, regions, timing)
        self._plan = plan
        self._timing = timing
        self._pauses = pauses
        standstill = Standstill(
            recorder.state, self._schedule, self._slots, self._bundles, self._stages, seen=self._watcher.seen
        )
        self._leaving = Leaving(
            recorder,
            self._control,
            self._schedule,
            FreezeWatch(calendar or NoFreezes(), recorder.clock),
            standstill,
            self._stages.gating,
            detach=detach,
            asks_people=bool(self._stages.approvals.names),
            resting=None if pauses is None else self._resting(pauses),
        )

    def _resting(self, pauses: Pauses) -> Resting:
        return Resting(
            self._recorder,
            self._control,
            self._schedule,
            self._slots,
            self._bundles,
            self._stages,
            self._watcher,
            pauses,
        )

    async def run(self) -> None:
        """Runs the plan to its end, or until told to leave; how it went is in the recorder's state.

        Raises `StateError` when the journal can't be written: nothing goes on without it.
        """
        self._close_on_failures()  # a resumed run may have had enough of them
        if self._state.awaits_rollback:
            self._control.request(OnCancel.ROLLBACK, self._state.closed_reason or "")
        elif self._state.cancelled is not None:  # and nobody has resumed it: a pause changes nothing
            self._control.request(OnCancel(self._state.cancelled.mode), self._state.closed_reason or "")
        try:
            async with anyio.create_task_group() as services:
                for region in self._regions.values():
                    services.start_soon(region.poller.run)
                for inspector in self._inspectors:
                    services.start_soon(inspector.run)
                services.start_soon(self._flush_regularly)
                await self._deploy_all()
                services.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            self._control.leave("interrupted")
            await self._conclude()
            raise
        if not await self._conclude():
            message = f"the last events could not be written within {LAST_FLUSH:.0f} s"
            raise EndNotRecordedError(message, hint="resume the run, which finds again what isn't written")

    def cancel(self, mode: OnCancel, *, reason: str, signal: int | None = None) -> None:
        """Starts nothing new, and does with what runs as the mode says. After the end there is nothing to cancel."""
        if self._state.is_finished:
            return
        self._recorder.record(ev.CancelRequested(mode=str(mode), reason=reason, signal=signal))
        if mode is OnCancel.ROLLBACK and self._state.rollback is None:
            self._recorder.record(ev.ReleaseRollbackRequested(reason=reason))
        self._control.request(mode, reason)

    def leave(self, reason: str, *, pause: bool = False) -> None:
        """Goes, and leaves running what runs. `pause`: another process goes on soon, so that nobody need know."""
        if pause:
            self._leaving.pause(reason)
        else:
            self._control.leave(reason)

    @property
    def rests_until(self) -> float | None:
        """As `Leaving.rests_until`."""
        return self._leaving.rests_until

    @property
    def has_left(self) -> bool:
        """Before the end of the run."""
        return self._control.leaving.is_set() and self._is_open()

    @property
    def approvals(self) -> Approvals:
        """Where decisions of people come in."""
        return self._stages.approvals

    # --- all targets -------------------------------------------------------------------------------------------------

    async def _deploy_all(self) -> None:
        async with anyio.create_task_group() as helpers:
            helpers.start_soon(self._close_when_told)
            helpers.start_soon(self._bundles.run)
            for task in self._leaving.tasks():
                helpers.start_soon(task)
            async with anyio.create_task_group() as targets:
                helpers.start_soon(self._leave_when_told, targets.cancel_scope)
                helpers.start_soon(self._stages.before_run, self._control.close)
                for step in self._in_turn:
                    targets.start_soon(self._run_target, step)
                for step in self._stages.owe_hooks(self._plan.changes):
                    targets.start_soon(self._stages.on_failure, step)
            async with anyio.create_task_group() as after:
                helpers.start_soon(self._leave_when_told, after.cancel_scope)
                await self._stages.after_run()
            helpers.cancel_scope.cancel()

    async def _close_when_told(self) -> None:
        await self._control.closing.wait()
        self._bundles.close()
        self._slots.close()
        self._schedule.close()

    async def _leave_when_told(self, targets: anyio.CancelScope) -> None:
        await self._control.leaving.wait()
        with anyio.move_on_after(CREATE_GRACE):
            await self._starter.settled()
        targets.cancel()

    async def _flush_regularly(self) -> None:
        while True:
            await anyio.sleep(FLUSH_EVERY)
            await self._recorder.publish()

    async def _conclude(self) -> bool:
        """The last events, durable even while we are being cancelled; False: they are not, for want of time."""
        self._record_end()
        with anyio.move_on_after(LAST_FLUSH, shield=True) as last:
            await self._recorder.commit()
        return not last.cancelled_caught

    def _record_end(self) -> None:
        if self.has_left and not self._control.is_pause:
            self._recorder.record(self._leaving.event())
        self._request_rollback()
        outcome = outcome_of(self._state)
        if outcome not in {Outcome.RUNNING, Outcome.BLOCKED}:  # a resume goes on with these
            self._recorder.record(ev.RunFinished(outcome=outcome, exit_code=int(exit_code_of(self._state))))

    def _is_open(self) -> bool:
        """Whether a resume has anything to do: for targets, for the run's own gates, for hooks."""
        if any(not target.state.is_final for target in self._state.targets.values()):
            return True
        gates = self._state.gates
        waits = gates.failed_at(None) is None and not gates.is_through(self._state.after)
        return waits or bool(self._stages.owe_hooks(self._plan.changes))

    def _request_rollback(self) -> None:
        """As the policy says, once it is known how the run has ended; not of what was cancelled: people decide that."""
        scope = self._policy.rollback
        if scope == "none" or self._state.rollback is not None or outcome_of(self._state) is not Outcome.FAILED:
            return
        if any(target.was_changed and target.state is not TargetState.ROLLED_BACK for target in self._to_go_back()):
            reason = f"the run failed (rollback: {scope})"
            self._recorder.record(ev.ReleaseRollbackRequested(reason=reason, scope=scope))

    def _to_go_back(self) -> list[TargetRun]:
        """A target of scope `target` is one that has failed."""
        targets = self._state.targets.values()
        return [t for t in targets if self._policy.rollback == "release" or not t.state.is_good]

    # --- one target --------------------------------------------------------------------------------------------------

    async def _run_target(self, step: Step) -> None:
        """From waiting to the verdict. A fault of ours or of AWS's ends this target alone."""
        try:
            verdict = await self._with_retries(step)
        except BundlesClosedError:
            verdict = await self._closed(step)
        except StateError:
            raise  # without its journal the whole run can't go on
        except (OrchestratorError, OSError) as error:
            verdict = self._errored(step, error)
        self._recorder.record(
            ev.TargetFinished(
                target=step.target.id, state=verdict.state, reason=verdict.reason, blocked_by=verdict.blocked_by
            )
        )
        self._schedule.finished(step)
        if verdict.state in FAILURES:
            self._close_on_failures()
        await self._stages.on_failure(step)

    async def _with_retries(self, step: Step) -> Verdict:
        """As often as the target says, where another attempt may mend it."""
        known, retry = self._state.targets[step.target.id], step.target.retry
        await self._until_next_attempt(known)
        verdict = await self._deploy_target(step)
        while wants_another(known, retry, verdict.state):
            self._recorder.record(
                ev.TargetRetried(
                    target=step.target.id,
                    deployment_id=known.deployment_id or "",
                    retry=len(known.attempts) + 1,
                    reason=verdict.reason or "",
                    wait=retry.wait,
                )
            )
            await self._until_next_attempt(known)
            again = await self._deploy_target(step)
            if again.state in {TargetState.SKIPPED, TargetState.CANCELLED}:
                return verdict  # nothing new starts any more: it is as it was
            verdict = again
        return verdict

    async def _until_next_attempt(self, known: TargetRun) -> None:
        if known.retry_at is not None:
            with anyio.move_on_after(known.retry_at - self._recorder.clock()):
                await self._control.closing.wait()

    async def _deploy_target(self, step: Step) -> Verdict:
        verdict = await self._until_deployed(step)
        if verdict.state is not TargetState.SUCCEEDED:
            return verdict
        return await self._stages.after(step, self._regions[step.target.location])

    async def _until_deployed(self, step: Step) -> Verdict:
        known = self._state.targets[step.target.id]
        region = self._regions[step.target.location]
        if known.deployment_id is not None or known.intent is not None:  # a resumed run
            with self._slots.keep(step.target):
                verdict = await self._go_on(step, known, region)
        else:
            verdict = await self._wait_for_needs(step)
        if verdict is not None:
            return verdict
        artifact = made_before(known) or await self._bundles.get(step.target)
        held = await self._stages.before(step)
        if held.outcome == "failed":
            return Verdict(TargetState.FAILED, held.reason)
        needs_met = anyio.current_time()
        async with self._slots.hold(step.target):
            began = await self._start(step, known, artifact, region, waited=anyio.current_time() - needs_met)
            return began if isinstance(began, Verdict) else await self._watch(step, known, began, region)

    async def _go_on(self, step: Step, known: TargetRun, region: Region) -> Verdict | None:
        """With what an earlier process of this run began; None when no deployment came of that."""
        if known.rollback_deployment_id is not None:
            before = Verdict(TargetState.FAILED, known.error_message)
            return await self._watcher.follow_rollback(step, known.rollback_deployment_id, region, before)
        deployment_id = known.deployment_id
        if known.deployment_ended and known.status == DeploymentStatus.SUCCEEDED:
            return Verdict(TargetState.SUCCEEDED)  # it was baking, say
        if known.intent is not None:
            revision = revision_from_api(known.intent.revision)
            if revision is None:
                return Verdict(
                    TargetState.ERRORED, "the journal's intent names a revision that this version can't read"
                )
            intended = self._begin(step, known, revision, region)
            deployment_id = await self._starter.find(intended, known.intended_at or 0.0)
        return None if deployment_id is None else await self._watch(step, known, deployment_id, region)

    async def _wait_for_needs(self, step: Step) -> Verdict | None:
        """None when the target may start."""
        await self._schedule.wait(step)
        if not self._schedule.may_go(step) and not self._control.decided.is_set():
            return await self._closed(step)  # we only leave: what it waits for has yet to show how it ends
        blocked = self._schedule.blocked(step)
        if blocked is not None:
            return blocked
        if step.action == "unchanged":
            return Verdict(TargetState.UNCHANGED, step.reason)
        return await self._closed(step) if self._control.is_closed else None

    async def _start(
        self, step: Step, known: TargetRun, artifact: Artifact, region: Region, *, waited: float
    ) -> str | Verdict:
        """The deployment's id, or the verdict where none came to be."""
        self._leaving.hold_if_frozen()
        if self._control.is_closed:
            return await self._closed(step)
        self._recorder.record(ev.TargetReady(target=step.target.id, waited=waited))
        held = await self._stages.right_before(step)
        if held.outcome == "failed":
            return Verdict(TargetState.FAILED, held.reason)
        began = await self._starter.start(self._begin(step, known, artifact.revision, region))
        return await self._closed(step) if began is None else began

    def _begin(self, step: Step, known: TargetRun, revision: Revision, region: Region) -> Start:
        busy = 0.0 if known.busy_since is None else self._recorder.clock() - known.busy_since
        return Start(
            step=step,
            revision=revision,
            token=known.token or run_token(self._recorder.run, self._numbers[step.target.id], len(known.attempts)),
            region=region,
            deadline=anyio.current_time() + step.timeout - busy,
        )

    async def _watch(self, step: Step, known: TargetRun, deployment_id: str, region: Region) -> Verdict:
        since = known.deployment_started_at
        spent = 0.0 if since is None else self._recorder.clock() - since
        remaining = max(0.0, step.timeout - spent)
        return await self._watcher.watch(step, deployment_id, region, remaining=remaining, traffic=self._traffic(step))

    def _traffic(self, step: Step) -> Traffic | None:
        if not step.target.controls.follows_traffic:
            return None
        return Traffic(
            self._recorder,
            step,
            pass_gates=self._stages.at_milestone,
            let_go=self._schedule.finished,
            timing=self._timing,
        )

    # --- verdicts of our own -----------------------------------------------------------------------------------------

    async def _closed(self, step: Step) -> Verdict:
        """Of a target that didn't start because nothing starts any more.

        Where we only leave there is none: the target stays as it is, for a resume, and its task is about to be ended.
        """
        if self._state.closed_reason is None:
            await self._control.decided.wait()
        reason = self._state.closed_reason or ""
        known = self._state.targets[step.target.id]
        state = TargetState.SKIPPED if self._state.cancelled is None else TargetState.CANCELLED
        if known.failed_before is not None:  # an attempt has failed, and nothing will mend that any more
            state, reason = TargetState.FAILED, f"{known.failed_before}; no other attempt: {reason}"
        if known.intent is not None:
            reason = f"{reason}; {MAYBE_STARTED}"
        return Verdict(state, reason)

    def _errored(self, step: Step, error: Exception) -> Verdict:
        known = self._state.targets[step.target.id]
        reason = str(error)
        if known.running_ids:
            reason = f"{reason}; still running: {', '.join(known.running_ids)}"
        elif known.intent is not None:
            reason = f"{reason}; {MAYBE_STARTED}"
        return Verdict(TargetState.ERRORED, reason)

    def _close_on_failures(self) -> None:
        if self._control.decided.is_set() or self._control.leaving.is_set():
            return
        elsewhere = 0 if self._pauses is None else self._pauses.failed_elsewhere
        reason = reason_to_stop(self._state, self._policy, elsewhere)
        if reason is not None:
            if self._state.closed_reason is None:
                self._recorder.record(ev.FailureLimitReached(reason=reason))
            self._control.close()
