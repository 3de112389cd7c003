"""Runs a plan: recorder, engine, views and signals side by side."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import anyio

from orchestrator import __version__
from orchestrator.app.approval_requests import DecisionTaker
from orchestrator.app.bundles import ReleaseArtifacts
from orchestrator.app.durations import Estimates, matters
from orchestrator.app.notifying import open_notifier, tell_the_end
from orchestrator.app.outside import outside_of
from orchestrator.app.requests import obey_request, obey_requests
from orchestrator.app.services import Services
from orchestrator.app.signals import obey_signals
from orchestrator.app.stores import Hold
from orchestrator.app.views import Views
from orchestrator.core.control import OnCancel
from orchestrator.core.controls import controls_to_dict
from orchestrator.core.engine import Engine
from orchestrator.core.errors import StateError, UsageError
from orchestrator.core.events import ApiThrottled, RunStarted, WarningRaised
from orchestrator.core.freezing import Calendar
from orchestrator.core.lease import LeaseKeeper
from orchestrator.core.model import Concurrency, Policy
from orchestrator.core.notification_specs import specs_to_list
from orchestrator.core.pausing import Pauses
from orchestrator.core.phases import Phases
from orchestrator.core.plan import Plan, step_to_dict
from orchestrator.core.ports import Artifacts, Journal
from orchestrator.core.recorder import Recorder
from orchestrator.core.rollback import ReleaseRollback
from orchestrator.core.runs import RunJournal, RunStore
from orchestrator.core.state import RunState
from orchestrator.core.timing import Timing
from orchestrator.core.token import new_run_id
from orchestrator.manifest.freezes import calendar_of
from orchestrator.sinks.summary import left_running


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    poll_interval: float
    """Seconds."""
    policy: Policy = field(default_factory=Policy)
    concurrency: Concurrency = field(default_factory=Concurrency)
    on_cancel: OnCancel = OnCancel.WAIT
    stops: bool = True
    """Whether the deployments are ours to stop."""
    leave_after: float | None = None
    """Seconds; then we go, and leave running what runs."""
    detach: bool = False
    """Leave once all that can start has started."""
    keeps_freezes: bool = True
    """False: somebody has said that freezes don't count, or it's a rehearsal."""
    env: Mapping[str, str] = field(default_factory=dict)
    """What this process was given: gates look there for a token, and commands get it."""
    pauses: Pauses | None = None
    """Only look in on the run, and go as soon as all that is left is waiting; None: stay with it."""
    until: Callable[[], Awaitable[None]] | None = None
    """Returns when a process that only looks in has to go; None: signals tell what to do."""


class CutOffError(StateError):
    """The run's state can't be written any more: it has ended in the middle, and what runs at CodeDeploy goes on."""

    def __init__(self, cause: StateError, state: RunState) -> None:
        super().__init__(cause.message, hint=cause.hint)
        self.exit_code = cause.exit_code
        self.state = state
        """As far as this process knows it."""
        for line in left_running(state):
            self.add_note(line)
        if state.manifest and not state.rehearsal:
            self.add_note(f"resume with: orchestrator resume {state.run}")


def _fault_of_state(error: BaseException) -> StateError | None:
    """Task groups wrap it."""
    while isinstance(error, BaseExceptionGroup):
        ours = error.subgroup(StateError)
        if ours is None:
            return None
        error = ours.exceptions[0]
    return error if isinstance(error, StateError) else None


def start_event(
    plan: Plan, options: RunOptions, chosen: Mapping[str, Any] | None = None, *, rollback_of: str | None = None
) -> RunStarted:
    """`chosen`: what was selected of the manifest, for a resume. `rollback_of`: the run that this one rolls back."""
    return RunStarted(
        rollback_of=rollback_of,
        release=plan.release,
        environment=plan.environment,
        manifest=plan.manifest,
        manifest_digest=plan.manifest_digest,
        committed_at=plan.committed_at,
        targets=tuple(step_to_dict(step) for step in plan.steps),
        policy=asdict(options.policy),
        concurrency=asdict(options.concurrency),
        controls=controls_to_dict(plan.controls),
        version=__version__,
        host=socket.gethostname(),
        pid=os.getpid(),
        options=chosen or {},
        freeze=tuple(asdict(window) for window in plan.freeze),
        notifications=tuple(specs_to_list(plan.notifications)),
    )


def open_recorder(run: str, journal: Journal, views: Views) -> Recorder:
    return Recorder(run=run, state=RunState(), journal=journal, sinks=views.sinks, clock=time.time)


async def carry_out(
    plan: Plan,
    *,
    recorder: Recorder,
    services: Services,
    artifacts: Artifacts,
    views: Views,
    options: RunOptions,
    hold: Hold | None = None,
    runs: RunStore | None = None,
) -> float | None:
    """Runs the engine to its end, with its views, under signals. How it went is in the recorder's state.

    `hold`: the run's lease and where requests to it come in; None for what starts nothing.
    `runs`: where a rollback keeps its journal; None: nothing goes back.

    Returns when the next look is due, in epoch seconds, where it only looks in (`options.pauses`) and all was at rest.

    An error, such as a journal that can't be written any more, carries a note of the deployments that run on.
    """

    def throttled(region: str, operation: str, rate: float) -> None:
        recorder.record(ApiThrottled(service="codedeploy", operation=operation, region=region, rate=rate))

    services.throttles.listener = throttled
    views.rates = services.rates
    views.take_up(recorder)

    pauses = options.pauses
    estimates = Estimates(runs if pauses is None else None, plan, recorder)
    known = await estimates.learn() if matters(options.concurrency) else {}

    def engine_for(
        plan: Plan, recorder: Recorder, artifacts: Artifacts, options: RunOptions, calendar: Calendar | None = None
    ) -> Engine:
        def warn(message: str) -> None:
            recorder.record(WarningRaised(message=message))

        return Engine(
            plan,
            recorder=recorder,
            regions=services.regions(options.poll_interval, warn),
            artifacts=artifacts,
            policy=options.policy,
            concurrency=options.concurrency,
            timing=Timing.for_interval(options.poll_interval),
            outside=outside_of(plan, services.session, options.env, rehearsal=recorder.state.rehearsal),
            detach=options.detach,
            calendar=calendar,
            durations=known,
            pauses=pauses,
        )

    engine = Phases(
        recorder,
        engine_for(plan, recorder, artifacts, options, calendar_of(plan.freeze) if options.keeps_freezes else None),
        None if runs is None else _rollback(plan, recorder, services, options, runs, engine_for),
    )
    specs = recorder.state.notifications.specs
    try:
        async with (
            open_notifier(specs, recorder, options.env, views.observer) as notifier,
            anyio.create_task_group() as beside,
        ):
            for task in views.tasks:
                beside.start_soon(task)
            beside.start_soon(estimates.learn)
            beside.start_soon(views.promptness.run, recorder.publish)
            if hold is not None:
                services.guard.ensure = hold.keeper.ensure
                beside.start_soon(hold.keeper.keep)
            if notifier is not None:
                notifier.begin()
                beside.start_soon(notifier.run)
            hurried, died = False, True
            try:
                hurried = await _run_engine(engine, recorder, views, options, hold)
                died = False
            finally:
                await tell_the_end(notifier, hurried=hurried, died=died)
            beside.cancel_scope.cancel()
    except Exception as error:
        cause = _fault_of_state(error)
        if cause is None:
            for line in left_running(recorder.state):
                error.add_note(line)
            raise
        raise CutOffError(cause, recorder.state) from error
    return engine.rests_until


async def _run_engine(engine: Phases, recorder: Recorder, views: Views, options: RunOptions, hold: Hold | None) -> bool:
    """To its end, while it obeys signals, requests and decisions; whether it was told to leave at once."""
    async with anyio.create_task_group() as beside:
        with anyio.CancelScope() as everything:
            beside.start_soon(_obey, engine, options, everything, views.console.say)
            if hold is not None:
                beside.start_soon(_leave_when_lost, engine, hold.keeper)
                if options.pauses is not None:  # it may be gone again before anything beside it has looked
                    await obey_request(hold.blobs, recorder.run, partial(_cancel, engine))
                beside.start_soon(obey_requests, hold.blobs, recorder.run, partial(_cancel, engine))
                decisions = DecisionTaker(hold.blobs, engine.approvals, recorder)
                await decisions.look()  # before any time-out: what was decided in time counts
                beside.start_soon(decisions.run)
            if options.leave_after is not None:
                beside.start_soon(_leave_after, engine, options)
            await engine.run()
        beside.cancel_scope.cancel()
    return everything.cancelled_caught


def _rollback(
    plan: Plan,
    recorder: Recorder,
    services: Services,
    options: RunOptions,
    runs: RunStore,
    engine_for: Callable[[Plan, Recorder, Artifacts, RunOptions], Engine],
) -> ReleaseRollback:
    """Goes as far as it can: what waits for something that didn't go back is left alone, all else goes on."""
    policy = Policy(on_failure="continue", if_active=options.policy.if_active)
    options = replace(options, policy=policy)
    chosen: Mapping[str, Any] = {"sandbox": True} if recorder.state.rehearsal else {}
    return ReleaseRollback(
        plan,
        recorder,
        new_run=lambda: new_run_id(time.time()),
        open_journal=partial(_old_or_new, runs),
        start_event=lambda plan: start_event(plan, options, chosen, rollback_of=recorder.run),
        engine=lambda plan, recorder: engine_for(plan, recorder, _given(services, recorder), options),
        looks_in=options.pauses is not None,
    )


def _given(services: Services, recorder: Recorder) -> Artifacts:
    """What stood there before is in its bucket, or it can't go back: nothing is made for a rollback."""
    return ReleaseArtifacts({}, services.stores, record=recorder.record)


@asynccontextmanager
async def _old_or_new(runs: RunStore, run: str) -> AsyncIterator[RunJournal]:
    try:
        await runs.read_run(run)
    except UsageError:
        new = True
    else:
        new = False
    async with runs.open_journal(run, new=new) as journal:
        yield journal


def _cancel(engine: Phases, mode: OnCancel, reason: str) -> None:
    engine.cancel(mode, reason=reason)


async def _leave_when_lost(engine: Phases, keeper: LeaseKeeper) -> None:
    await keeper.lost.wait()
    engine.leave("the lease was lost: another process has taken over, or it was unlocked")


async def _leave_after(engine: Phases, options: RunOptions) -> None:
    seconds = options.leave_after or 0.0
    await anyio.sleep(seconds)
    engine.leave(f"the {seconds:.0f} s of --for are over", pause=options.pauses is not None)


async def _obey(
    engine: Phases, options: RunOptions, everything: anyio.CancelScope, tell: Callable[[str], None]
) -> None:
    if options.until is None:
        await obey_signals(engine, options.on_cancel, stops=options.stops, everything=everything, tell=tell)
        return
    await options.until()
    engine.leave("told to go", pause=True)
