"""One look in on a run whose plan says it all: whatever can be done now is done, and the next look is said when."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TextIO

import anyio

from orchestrator import __version__
from orchestrator.app.accounts import check_accounts
from orchestrator.app.bundles import ReleaseArtifacts
from orchestrator.app.copies import locations_of
from orchestrator.app.recorded import ResumedArtifacts, recorded_plan, started_of
from orchestrator.app.running import RunOptions, carry_out
from orchestrator.app.services import AWS_POLL_INTERVAL, SANDBOX_POLL_INTERVAL, Services, is_near, open_services
from orchestrator.app.stored import StoredFirst, find_stored
from orchestrator.app.stores import Hold, State, hold_lease, open_state
from orchestrator.app.views import ViewOptions, open_views
from orchestrator.core.conducting import Look, Order, is_over, report
from orchestrator.core.errors import OrchestratorError, StateError, UsageError
from orchestrator.core.events import ReleaseRollbackRequested, RunResumed, RunStarted
from orchestrator.core.lease import LeaseTiming
from orchestrator.core.locks import LockedError
from orchestrator.core.model import Concurrency, Policy
from orchestrator.core.pausing import Pauses, must_reopen
from orchestrator.core.plan import Plan
from orchestrator.core.ports import Artifacts
from orchestrator.core.recorder import Recorder
from orchestrator.core.runs import FencedError
from orchestrator.core.state import fold

REOPENINGS = 3
"""So many times a journal is opened that others have written to meanwhile."""


class NoSuchRunError(UsageError):
    """No later look can mend that."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LookOptions:
    state: str
    """The URL of the runs."""
    seconds: float
    """The longest that a look may take, but for its end: a few seconds more."""
    env: Mapping[str, str]
    stdout: TextIO
    stderr: TextIO
    until: Callable[[], Awaitable[None]] = anyio.sleep_forever
    """Returns when the process has to go."""
    lease: LeaseTiming | None = None


async def look_in(order: Order, options: LookOptions) -> Look:
    """Raises `UsageError` when there is no such run; whatever may be mended is said in what it returns."""
    async with open_state(options.state, None, options.env) as kept:
        try:
            await _see_that_it_exists(kept, order.run)
            for _ in range(REOPENINGS):
                look = await _look_in(order, options, kept)
                if look is not None:
                    return look
        except NoSuchRunError:
            raise
        except (LockedError, FencedError) as error:
            return Look(at=time.time(), held=str(error))
        except (OrchestratorError, ExceptionGroup, OSError) as error:
            options.stderr.write(f"{order.run}: {type(error).__name__}: {error}\n")
            return Look(at=time.time(), trouble=f"{type(error).__name__}: {error}"[:500])
        return Look(at=time.time(), held="others write to its journal")


async def _see_that_it_exists(kept: State, run: str) -> None:
    """Raises `NoSuchRunError`."""
    try:
        await kept.runs.find_run(run)
    except UsageError as error:
        raise NoSuchRunError(str(error), hint=error.hint) from error


async def _look_in(order: Order, options: LookOptions, kept: State) -> Look | None:
    """None: the journal grew before the lease was ours, so that what was read of it is out of date."""
    async with AsyncExitStack() as stack:
        journal = await stack.enter_async_context(kept.runs.open_journal(order.run, new=False))
        state = fold(journal.found.records)
        if is_over(state, order):
            return report(state, None, time.time())
        started = started_of(journal.found.records, order.run)
        plan = recorded_plan(started)
        targets = [step.target for step in plan.steps]
        opening_views = open_views(ViewOptions(), stdout=options.stdout, stderr=options.stderr, state=kept.runs.where)
        views = await stack.enter_async_context(opening_views)
        lease = hold_lease(kept, order.run, targets, wait=0.0, tell=views.console.say, timing=options.lease)
        hold = await stack.enter_async_context(lease)
        if not await journal.is_current():
            return None
        views.remember(journal.found.records)
        near, locations = is_near(options.env), locations_of(targets)
        services = await stack.enter_async_context(open_services(locations, near=near, observer=views.observer))
        recorder = Recorder(run=order.run, state=state, journal=journal, sinks=views.sinks, clock=time.time)
        if not any(target.was_changed for target in state.targets.values()):
            await check_accounts(services.session, locations)
        if must_reopen(state, time.time()):
            recorder.record(RunResumed(version=__version__, host=socket.gethostname(), pid=os.getpid()))
        if order.go_back is not None and state.rollback is None:
            recorder.record(ReleaseRollbackRequested(reason=order.go_back))
        due = await carry_out(
            plan,
            recorder=recorder,
            services=services,
            artifacts=await _artifacts(plan, recorder, services),
            views=views,
            options=_run_options(started, order, options, near=near),
            hold=hold,
            runs=kept.runs,
        )
        _see_that_it_is_ours(hold)
        return report(state, due, time.time())


def _run_options(started: RunStarted, order: Order, options: LookOptions, *, near: bool) -> RunOptions:
    interval = SANDBOX_POLL_INTERVAL if near else AWS_POLL_INTERVAL
    return RunOptions(
        poll_interval=interval,
        policy=Policy(**started.policy),
        concurrency=Concurrency(**started.concurrency),
        leave_after=options.seconds,
        env=options.env,
        pauses=Pauses.for_interval(interval, failed_elsewhere=order.failed_elsewhere),
        until=options.until,
    )


async def _artifacts(plan: Plan, recorder: Recorder, services: Services) -> Artifacts:
    """What whoever launched the run has uploaded; nothing is made here."""
    state = recorder.state
    open_ = [step for step in plan.changes if state.targets[step.target.id].revision is None]
    found = await find_stored(open_, services.stores)
    given = ReleaseArtifacts({}, services.stores, record=recorder.record)
    return ResumedArtifacts(state, StoredFirst(found, given))


def _see_that_it_is_ours(hold: Hold) -> None:
    if hold.keeper.lost.is_set():
        raise StateError("the lease was lost: another process goes on with the run, or it was unlocked")
