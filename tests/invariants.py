"""What must hold after any run, whatever went wrong in it. Judged by the fake's own record, not by the engine's."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import anyio
from chaos import LONGEST_LATENCY, TIMING, Chaos

from orchestrator.core import events as ev
from orchestrator.core.errors import ExitCode
from orchestrator.core.model import Outcome, Target, TargetState
from orchestrator.core.outcome import outcome_of
from orchestrator.core.result import exit_code_of, result_of
from orchestrator.core.state import RunState, TargetRun
from orchestrator.testing import Made

S = TargetState


def violations(chaos: Chaos) -> list[str]:
    """Everything that is wrong with the run, in words; empty: nothing."""
    chaos.world.codedeploy.catch_up()
    return [
        *once(chaos),
        *_order(chaos),
        *_limits(chaos),
        *_nothing_lost(chaos),
        *journal_violations(chaos),
        *_states(chaos),
        *_calls(chaos),
        *_blocked(chaos),
        *_outcome(chaos),
        *_closed(chaos),
        *(f"{token}: created before its intent was durable" for token in chaos.faults.created_before_durable),
    ]


def ours(chaos: Chaos, target: Target | str) -> list[Made]:
    """The deployments that this run has made for the target."""
    application = (target if isinstance(target, str) else target.id).split("/")[0]
    token = f"orchestrator:{chaos.world.run_id}/"
    return [
        made for made in chaos.world.codedeploy.of(application, "g") if made.parameters["description"].startswith(token)
    ]


def _errored(chaos: Chaos) -> set[str]:
    """Those of whose deployments we knew nothing for a while, be it in an earlier process."""
    events = [record.event for record in chaos.world.journal.records]
    return {event.target for event in events if isinstance(event, ev.TargetFinished) and event.state is S.ERRORED}


def _tried_again(chaos: Chaos) -> set[str]:
    """Those that ended without a deployment in an earlier process, and that a resume took up again: what comes only
    after them may have started meanwhile, since they had ended."""
    ends = {S.ERRORED, S.SKIPPED, S.CANCELLED}
    events = [record.event for record in chaos.world.journal.records]
    return {event.target for event in events if isinstance(event, ev.TargetFinished) and event.state in ends}


def once(chaos: Chaos) -> Iterator[str]:
    """No target is deployed more often than its retries say, and never beside itself."""
    for each in chaos.world.targets:
        made = ours(chaos, each)
        tokens = [one.parameters["description"].split(" ")[0] for one in made]
        if len(set(tokens)) < len(tokens):
            yield f"{each.id}: {len(made)} deployments with {len(set(tokens))} tokens"
        if len(made) > 1 + each.retry.times:
            yield f"{each.id}: {len(made)} deployments, and {each.retry.times} retries"
        for before, later in pairwise(made):
            if before.status != "Failed" or before.ends > later.created:
                yield f"{each.id}: {later.id} came before {before.id} had failed"
        if made and each.id in chaos.world.unchanged:
            yield f"{each.id}: deployed although unchanged"
    if chaos.world.policy.if_active != "stop":
        stopped = [made.id for made in chaos.world.codedeploy.made.values() if made.stopped and made.creator != "user"]
        yield from (f"{each} is somebody else's and was stopped" for each in stopped)


def _order(chaos: Chaos) -> Iterator[str]:
    for each in chaos.world.targets:
        for made in ours(chaos, each):
            for need in each.needs:
                if need in chaos.world.unchanged:
                    continue
                before = next(reversed(ours(chaos, need)), None)
                if before is None or before.status != "Succeeded" or before.ends > made.created:
                    yield f"{each.id}: created before {need} had succeeded"
            for name in each.after:
                known = name not in _tried_again(chaos)
                if known and any(before.ends > made.created for before in ours(chaos, name)):
                    yield f"{each.id}: created before {name} had ended"


def _limits(chaos: Chaos) -> Iterator[str]:
    limits = chaos.world.concurrency
    # Of an errored target we don't know whether its deployment still runs, so it can hold no place.
    targets = [each for each in chaos.world.targets if each.id not in _errored(chaos)]
    layers = {
        "deployments": (limits.deployments, targets),
        **{
            f"region {location}": (limits.per_region, [each for each in targets if each.location == location])
            for location in {each.location for each in targets}
        },
        **{
            f"pool {pool}": (most, [each for each in targets if each.pool == pool])
            for pool, most in limits.pools.items()
        },
    }
    for layer, (limit, members) in layers.items():
        most = chaos.world.codedeploy.most_at_once(made for each in members for made in ours(chaos, each))
        if limit is not None and most > limit:
            yield f"{layer}: {most} at once, {limit} allowed"


def _nothing_lost(chaos: Chaos) -> Iterator[str]:
    left = chaos.world.state.detached is not None
    for each in chaos.world.targets:
        run = chaos.world.state.targets[each.id]
        for made in ours(chaos, each):
            if made.id not in {run.deployment_id, *run.attempts} and run.intent is None:
                yield f"{each.id}: {made.id} was made and is not known"
            running = anyio.current_time() < made.ends
            if running and not left and run.state is not S.ERRORED and run.intent is None:
                yield f"{each.id}: {made.id} still runs and the target is {run.state}"
    detached = chaos.world.state.detached
    if detached is not None and not set(detached.running) <= chaos.world.codedeploy.made.keys():
        yield f"left running: {detached.running}"


def journal_violations(chaos: Chaos) -> Iterator[str]:
    """The journal is whole, and the state is what it says."""
    records = chaos.world.journal.records
    if [record.seq for record in records] != list(range(1, len(records) + 1)):
        yield "seq has gaps"
    if chaos.world.journal.durable != len(records):
        yield "the end of the journal is not durable"
    again = RunState()
    for record in records:
        again.apply(record)
    if result_of(again) != result_of(chaos.world.state) or again.targets != chaos.world.state.targets:
        yield "the state is not the fold of the journal"


def _states(chaos: Chaos) -> Iterator[str]:
    for each in chaos.world.targets:
        run = chaos.world.state.targets[each.id]
        made = next(reversed(ours(chaos, each)), None)
        if run.state.is_final and not _is_true(chaos, run, made):
            real = "nothing was made" if made is None else f"{made.id} is {made.status}"
            yield f"{each.id}: {run.state} ({run.reason}), and {real}"
        if not run.state.is_final and chaos.world.state.detached is None:
            yield f"{each.id}: is left {run.state}"
        if run.state.is_final and not run.state.is_good and not run.reason:
            yield f"{each.id}: {run.state} without a reason"


def _is_true(chaos: Chaos, run: TargetRun, made: Made | None) -> bool:  # noqa: PLR0911 - a table
    status = made.status if made is not None and made.ends <= anyio.current_time() else None
    rollback = made.rollback.status if made is not None and made.rollback is not None else None
    match run.state:
        case S.SUCCEEDED:
            return status == "Succeeded"
        case S.UNCHANGED:
            return run.id in chaos.world.unchanged
        case S.FAILED:
            busy = made is None and chaos.world.policy.if_active == "fail" and "if_active" in (run.reason or "")
            return busy or status == "Failed"
        case S.STOPPED:
            return status == "Stopped"
        case S.TIMED_OUT:
            return made is None or status == "Stopped" or rollback is not None
        case S.ROLLED_BACK:
            return rollback == "Succeeded"
        case S.CANCELLED | S.SKIPPED:
            return made is None or run.intent is not None
        case _:
            return run.state is S.ERRORED


def _calls(chaos: Chaos) -> Iterator[str]:
    """A throttle, or a look that had no answer, is never the outcome of a target."""
    for record in chaos.world.journal.records:
        event = record.event
        if isinstance(event, ev.TargetFinished) and event.state is S.ERRORED:
            reason = event.reason or ""
            if "Rate exceeded" in reason or reason.startswith("BatchGetDeployments: the answer was lost"):
                yield f"{event.target}: errored for a call: {reason}"
            if "DeploymentLimitExceeded" in reason:
                yield f"{event.target}: errored for a busy group, which `if_active` decides about: {reason}"


def _blocked(chaos: Chaos) -> Iterator[str]:
    state = chaos.world.state
    for each in chaos.world.targets:
        run = state.targets[each.id]
        bad = [state.targets[need] for need in each.needs]
        bad = [need for need in bad if need.state.is_final and not need.state.is_good]
        roots = {root for need in bad for root in (need.blocked_by or (need.id,))}
        closed = state.closed_reason is not None or state.detached is not None
        if run.state is S.SKIPPED and not run.blocked_by and not closed:
            yield f"{each.id}: skipped for nothing"
        early = closed and set(run.blocked_by) <= roots  # told to end before all its needs had
        if run.state is S.SKIPPED and run.blocked_by and set(run.blocked_by) != roots and not early:
            yield f"{each.id}: blocked by {run.blocked_by}, and the roots are {roots}"
        if roots and run.state is not S.SKIPPED and not closed:
            yield f"{each.id}: {run.state} although {roots} went wrong"


def _outcome(chaos: Chaos) -> Iterator[str]:
    state = chaos.world.state
    good = all(run.state.is_good for run in state.targets.values())
    code = exit_code_of(state)
    if (code is ExitCode.OK) != good:
        yield f"exit code {code}, and all good is {good}"
    if (outcome_of(state) is Outcome.RUNNING) != (state.detached is not None):
        yield "running, and nobody left"
    ends = [record.event for record in chaos.world.journal.records if isinstance(record.event, ev.RunFinished)]
    if state.is_finished and (state.outcome, state.exit_code) != (outcome_of(state), int(code)):
        yield f"finished as {state.outcome} {state.exit_code}, and is {outcome_of(state)} {code}"
    if len(ends) != (0 if state.detached is not None else 1):
        yield f"{len(ends)} ends"


def _closed(chaos: Chaos) -> Iterator[str]:
    """Once closed, nothing new is sent; what was sent before may still be carried out."""
    kinds = (ev.CancelRequested, ev.FailureLimitReached)
    records = [record for record in chaos.world.journal.records if isinstance(record.event, kinds)]
    resumed = any(isinstance(record.event, ev.RunResumed) for record in chaos.world.journal.records)
    if not records or resumed or not chaos.one_clock:
        return
    slack = LONGEST_LATENCY / 2 + (TIMING.resend_grace if chaos.faults.late else 0.0)
    last = records[0].ts - 1_800_000_000.0 + slack
    for each in chaos.world.targets:
        if any(made.created > last for made in ours(chaos, each)):
            yield f"{each.id}: created after nothing new was to start"
