"""`rollback`: what a run changed goes back to what stood before it, in reverse dependency order."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TextIO

from orchestrator import __version__
from orchestrator.app.accounts import check_accounts
from orchestrator.app.bundles import ReleaseArtifacts
from orchestrator.app.looking import read_release
from orchestrator.app.recorded import ResumedArtifacts, recorded_plan, started_of
from orchestrator.app.resuming import GoOnOptions
from orchestrator.app.running import RunOptions, carry_out
from orchestrator.app.services import AWS_POLL_INTERVAL, SANDBOX_POLL_INTERVAL, Services, is_near, open_services
from orchestrator.app.standing import group_key, read_groups
from orchestrator.app.stores import hold_lease, open_state
from orchestrator.app.views import open_views
from orchestrator.core.errors import BlockedError
from orchestrator.core.events import ReleaseRollbackRequested, RunResumed
from orchestrator.core.locks import Owner
from orchestrator.core.merging import check_undivided
from orchestrator.core.model import Concurrency, Policy
from orchestrator.core.plan import Plan
from orchestrator.core.recorder import Recorder
from orchestrator.core.rollback import RollbackPlan, with_request
from orchestrator.core.state import RunState, TargetRun, fold


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackOptions(GoOnOptions):
    force: bool = False
    """Also groups that somebody has deployed to since."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    state: RunState
    plan: RollbackPlan

    @property
    def is_empty(self) -> bool:
        """Nothing of the run is left to go back, and nothing of it is left open."""
        return self.state.is_finished and not self.plan.steps and not self.plan.left_out


Confirm = Callable[[Preview], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class RolledBack:
    state: RunState
    was_over: bool
    """There was nothing to roll back."""


async def preview(run: str | None, where: str | None, env: Mapping[str, str]) -> Preview:
    """What a rollback would do, from the run's journal alone; CodeDeploy isn't asked."""
    async with open_state(where, None, env) as kept:
        found, contents, state = await read_release(kept.runs, run)
        check_undivided(contents.records, "rollback")
        plan = recorded_plan(started_of(contents.records, found))
        return Preview(state=state, plan=with_request(contents.records, plan.steps))


async def roll_back(
    options: RollbackOptions, env: Mapping[str, str], *, stdout: TextIO, stderr: TextIO, confirm: Confirm
) -> RolledBack | None:
    """None when it was declined.

    Raises `BlockedError` when groups have been deployed to since, `LockedError` while somebody carries the run on, and
    `UsageError` when there is no such run.
    """
    seen = await preview(options.run, options.state, env)
    if seen.is_empty:
        return RolledBack(state=seen.state, was_over=True)
    if not confirm(seen):
        return None
    run = seen.state.run
    async with AsyncExitStack() as stack:
        kept = await stack.enter_async_context(open_state(options.state, None, env))
        plan = recorded_plan(started_of((await kept.runs.read_run(run)).records, run))
        near = is_near(env)
        opening_views = open_views(options.views, stdout=stdout, stderr=stderr, state=kept.runs.where)
        views = await stack.enter_async_context(opening_views)
        targets = [step.target for step in plan.steps]
        services = await stack.enter_async_context(
            open_services([target.location for target in targets], near=near, observer=views.observer)
        )
        await check_accounts(services.session, [target.location for target in targets])
        lease = hold_lease(kept, run, targets, wait=options.lock_wait, tell=views.console.say)
        hold = await stack.enter_async_context(lease)
        journal = await stack.enter_async_context(kept.runs.open_journal(run, new=False))
        started = started_of(journal.found.records, run)
        state = fold(journal.found.records)  # as it stands now that it's ours
        if not options.force:
            await _refuse_what_moved_on(plan, state, services)
        views.remember(journal.found.records)
        recorder = Recorder(run=run, state=state, journal=journal, sinks=views.sinks, clock=time.time)
        recorder.record(ReleaseRollbackRequested(reason=f"asked for by {Owner.of_this_process()}"))
        recorder.record(RunResumed(version=__version__, host=socket.gethostname(), pid=os.getpid()))
        await recorder.commit()
        await carry_out(
            plan,
            recorder=recorder,
            services=services,
            artifacts=ResumedArtifacts(state, ReleaseArtifacts({}, services.stores, record=recorder.record)),
            views=views,
            options=RunOptions(
                poll_interval=options.poll_interval or (SANDBOX_POLL_INTERVAL if near else AWS_POLL_INTERVAL),
                policy=Policy(**started.policy),
                concurrency=Concurrency(**started.concurrency),
                on_cancel=options.on_cancel,
                leave_after=options.leave_after,
                detach=options.detach,
                env=env,
            ),
            hold=hold,
            runs=kept.runs,
        )
        return RolledBack(state=state, was_over=False)


async def _refuse_what_moved_on(plan: Plan, state: RunState, services: Services) -> None:
    """What stands there now is somebody's newer work: to put it back to what was before us would undo that."""
    ours = {step.target.id: _of_this_run(state.targets[step.target.id]) for step in plan.steps}
    targets = [step.target for step in plan.steps if ours[step.target.id]]
    groups = await read_groups(targets, services.impatient())
    moved = [
        f"{target.id}: {group.last_attempted_id} ({group.last_attempted_status})"
        for target in targets
        if (group := groups.get(group_key(target))) is not None
        and group.last_attempted_id is not None
        and group.last_attempted_id not in ours[target.id]
    ]
    if moved:
        raise BlockedError(
            f"deployed to since run {state.run}:\n  " + "\n  ".join(moved),
            hint="--force rolls these back all the same, to what stood before the run",
        )


def _of_this_run(target: TargetRun) -> frozenset[str]:
    """Empty where it has changed nothing, or where it isn't known with which deployment: that is looked up first."""
    ids = (target.deployment_id, target.rollback_deployment_id, *target.attempts)
    return frozenset(each for each in ids if each is not None) if target.intent is None else frozenset()
