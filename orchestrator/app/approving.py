"""`approve`: what somebody decides at a gate, from any terminal or machine that reaches the run's state."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import anyio

from orchestrator.app import approval_requests
from orchestrator.app.approval_requests import waiting
from orchestrator.app.looking import read_release
from orchestrator.app.recorded import recorded_plan, started_of
from orchestrator.app.regions import default_region
from orchestrator.app.requests import LOOK_EVERY
from orchestrator.app.stores import State, is_alive, open_state
from orchestrator.app.waking import wake, whole_and_parts
from orchestrator.aws import AwsSession, caller_identity
from orchestrator.core.approvals import Decision, approval_gates, why_refused
from orchestrator.core.blobs import ConflictError
from orchestrator.core.errors import BlockedError, CallError, UsageError
from orchestrator.core.locks import Owner
from orchestrator.core.model import Location
from orchestrator.core.plan import Plan
from orchestrator.core.state import RunState

LOOKS = 15
"""Three in the time between two looks of a living process."""

WHO_PATIENCE = 5.0
"""Seconds that STS may take to say who approves; then it is the user of this machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApproveOptions:
    run: str
    gate: str
    approved: bool
    reason: str | None = None
    state: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Approved:
    run: str
    answer: str


async def approve(options: ApproveOptions, env: Mapping[str, str]) -> Approved:
    """Records the decision. Raises `UsageError` for a gate or a run that takes none, `BlockedError` when it's late."""
    async with open_state(options.state, None, env) as kept:
        run, contents, state = await read_release(kept.runs, options.run)
        plan = recorded_plan(started_of(contents.records, run))
        decision = Decision(
            gate=options.gate,
            approved=options.approved,
            by=await who(plan, env),
            given_at=time.time(),
            reason=options.reason,
            nonce=secrets.token_hex(8),
        )
        refused = why_refused(decision, state, approval_gates(plan))
        if refused is not None:
            raise (BlockedError if refused.is_late else UsageError)(str(refused), hint=refused.hint)
        whole, parts = await whole_and_parts(kept, run)
        askers = [part for part in parts if part == run or await _asks(kept, part, options.gate)]
        for asker in askers:
            await _leave(kept, asker, decision)
        woken = await wake(kept, whole)
        answer = await _until_taken(kept, run, askers, decision, expected=woken or await _is_any_alive(kept, askers))
        return Approved(run=run, answer=answer if answer is not None else _not_taken(decision, state))


async def _asks(kept: State, part: str, gate: str) -> bool:
    """Whether the part of the run has that gate."""
    records = (await kept.runs.read_run(part)).records
    return gate in approval_gates(recorded_plan(started_of(records, part)))


async def _is_any_alive(kept: State, runs: Sequence[str]) -> bool:
    return any([await is_alive(kept, run) for run in runs])


async def _leave(kept: State, run: str, decision: Decision) -> None:
    """Raises `UsageError` when somebody's decision lies there already."""
    try:
        await approval_requests.leave(kept.blobs, run, decision)
    except ConflictError:
        raise UsageError(
            f"gate {decision.gate} has a decision already{await _whose(kept, run, decision.gate)}",
            hint=f"it is taken up by the run's process, or by `orchestrator resume {run}`",
        ) from None


async def _until_taken(
    kept: State, run: str, askers: Sequence[str], decision: Decision, *, expected: bool
) -> str | None:
    """None: nobody has taken it. `expected`: somebody is there who should. Raises `BlockedError` when it's refused."""
    for _ in range(LOOKS if expected else 0):
        await anyio.sleep(LOOK_EVERY / 3)
        if not [each for each in askers if await waiting(kept.blobs, each, decision.gate) is not None]:
            made = (await kept.runs.load_run(run)).gates.approvals.get(decision.gate)
            if made is None or made.nonce != decision.nonce:
                raise BlockedError(f"gate {decision.gate}: too late, the run's process has refused it")
            return f"{_said(decision)}; the run goes on"
    return None


def _said(decision: Decision) -> str:
    return f"{'approved' if decision.approved else 'rejected'} by {decision.by}"


def _not_taken(decision: Decision, state: RunState) -> str:
    if state.function is not None:
        return f"{_said(decision)}; {state.function} goes on when it looks in on the run next"
    return f"{_said(decision)}; go on with: orchestrator resume {state.run}"


async def _whose(kept: State, run: str, gate: str) -> str:
    decision = await waiting(kept.blobs, run, gate)
    return "" if decision is None else f": {'approved' if decision.approved else 'rejected'} by {decision.by}"


async def who(plan: Plan, env: Mapping[str, str]) -> str:
    """The AWS caller identity; where AWS can't be asked, the user and the machine."""
    region = default_region(env) or next((step.target.location.region for step in plan.steps), "us-east-1")
    try:
        with anyio.fail_after(WHO_PATIENCE):
            async with AwsSession() as session:
                return (await caller_identity(session, Location(region=region))).arn
    except (CallError, TimeoutError):
        owner = Owner.of_this_process()
        return f"{owner.user}@{owner.host}"
