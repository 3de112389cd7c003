"""`apply`: from a plan to the end of its run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TextIO

from orchestrator.app.proving import not_verified
from orchestrator.app.running import RunOptions, carry_out, open_recorder, start_event
from orchestrator.app.services import AWS_POLL_INTERVAL, SANDBOX_POLL_INTERVAL, is_near
from orchestrator.app.stores import hold_lease, open_state
from orchestrator.app.undertakings import Planned, Undertaking
from orchestrator.app.views import ViewOptions, open_views
from orchestrator.core.control import OnCancel
from orchestrator.core.events import FreezeOverridden
from orchestrator.core.freezing import Frozen, refuse
from orchestrator.core.plan import Plan
from orchestrator.core.recorder import Recorder
from orchestrator.core.state import RunState
from orchestrator.core.token import new_run_id
from orchestrator.manifest.freezes import calendar_of
from orchestrator.wording.text import plural


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplyOptions:
    views: ViewOptions
    state: str | None = None
    poll_interval: float | None = None
    """Seconds; None: what suits AWS or the sandbox."""
    on_cancel: OnCancel = OnCancel.WAIT
    lock_wait: float = 0.0
    """Seconds to wait for the locks of others."""
    leave_after: float | None = None
    """Seconds; then we go, and leave running what runs."""
    detach: bool = False
    """Leave once all that can start has started."""
    notify: bool | None = None
    """Whether notifications are sent; None: unless it is a rehearsal."""
    override_freeze: str | None = None
    """Why freezes don't count for this run; None: they do."""


Confirm = Callable[[Planned], bool]


async def apply(
    undertaking: Undertaking,
    options: ApplyOptions,
    env: Mapping[str, str],
    *,
    stdout: TextIO,
    stderr: TextIO,
    confirm: Confirm,
) -> RunState | None:
    """The run, from the plan to its end. None when there was a plan and it was declined.

    Raises `BlockedError` in a freeze, and when a saved plan is no longer true.
    """
    async with AsyncExitStack() as stack:
        state = await stack.enter_async_context(open_state(options.state, undertaking.state, env))
        opening_views = open_views(options.views, stdout=stdout, stderr=stderr, state=state.runs.where)
        views = await stack.enter_async_context(opening_views)
        planned = await stack.enter_async_context(undertaking.open(env, state, views.observer, preflight=True))
        for remark in planned.remarks:
            views.console.say(remark)
        if planned.unverified:
            raise not_verified(planned.unverified)
        frozen = frozen_now(planned.plan)
        if frozen is not None and undertaking.is_rehearsal:
            views.console.say(f"a rehearsal, so it goes on; but {frozen}")
        elif frozen is not None and options.override_freeze is None:
            raise refuse(frozen, planned.plan.environment)
        if not confirm(planned):
            return None
        run = new_run_id(time.time())
        hold, plan = None, planned.plan
        if not undertaking.is_rehearsal:
            lease = hold_lease(state, run, undertaking.targets, wait=options.lock_wait, tell=views.console.say)
            hold = await stack.enter_async_context(lease)
            plan = await planned.again() if hold.waited or undertaking.is_saved else plan
        plan = _told(plan, notify=options.notify, rehearsal=undertaking.is_rehearsal, tell=views.console.say)
        journal = await stack.enter_async_context(state.runs.open_journal(run, new=True))
        recorder = open_recorder(run, journal, views)
        settings = RunOptions(
            poll_interval=_interval(undertaking, options, env),
            policy=undertaking.policy,
            concurrency=undertaking.concurrency,
            on_cancel=options.on_cancel,
            leave_after=options.leave_after,
            detach=options.detach,
            env=env,
            keeps_freezes=not undertaking.is_rehearsal and options.override_freeze is None,
        )
        recorder.record(start_event(plan, settings, undertaking.chosen))
        if options.override_freeze is not None:
            override(recorder, options.override_freeze, frozen)
        await recorder.commit()
        await carry_out(
            plan,
            recorder=recorder,
            services=planned.services,
            artifacts=planned.artifacts(recorder.record),
            views=views,
            options=settings,
            hold=hold,
            runs=state.runs,
        )
        return recorder.state


def _told(plan: Plan, *, notify: bool | None, rehearsal: bool, tell: Callable[[str], None]) -> Plan:
    """Without notifications where none are to be sent."""
    if not plan.notifications or notify or (notify is None and not rehearsal):
        return plan
    if rehearsal and notify is None:
        tell(f"a rehearsal: {plural(len(plan.notifications), 'notification')} not sent; --notify sends them")
    return replace(plan, notifications=())


def frozen_now(plan: Plan) -> Frozen | None:
    """A freeze that holds now, where there is something to deploy."""
    return calendar_of(plan.freeze).frozen(time.time()) if plan.changes else None


def override(recorder: Recorder, reason: str, frozen: Frozen | None) -> None:
    recorder.record(FreezeOverridden(reason=reason, window=None if frozen is None else frozen.window))


def _interval(undertaking: Undertaking, options: ApplyOptions, env: Mapping[str, str]) -> float:
    if options.poll_interval is not None:
        return options.poll_interval
    return SANDBOX_POLL_INTERVAL if undertaking.is_rehearsal or is_near(env) else AWS_POLL_INTERVAL
