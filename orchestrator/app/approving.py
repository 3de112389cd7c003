"""`approve`: what somebody decides at a gate, from any terminal or machine that reaches the run's state."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

import anyio

from orchestrator.app import approval_requests
from orchestrator.app.approval_requests import waiting
from orchestrator.app.looking import read_release
from orchestrator.app.regions import default_region
from orchestrator.app.requests import LOOK_EVERY
from orchestrator.app.resuming import recorded_plan, started_of
from orchestrator.app.stores import State, is_alive, open_state
from orchestrator.aws import AwsSession, caller_identity
from orchestrator.core.approvals import Decision, approval_gates, why_refused
from orchestrator.core.blobs import ConflictError
from orchestrator.core.errors import BlockedError, CallError, UsageError
from orchestrator.core.locks import Owner
from orchestrator.core.model import Location
from orchestrator.core.plan import Plan

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
        try:
            await approval_requests.leave(kept.blobs, run, decision)
        except ConflictError:
            raise UsageError(
                f"gate {options.gate} has a decision already{await _whose(kept, run, options.gate)}",
                hint=f"it is taken up by the run's process, or by `orchestrator resume {run}`",
            ) from None
        return Approved(run=run, answer=await _until_taken(kept, run, decision))


async def _until_taken(kept: State, run: str, decision: Decision) -> str:
    """Raises `BlockedError` when the run's process has refused it."""
    what = "approved" if decision.approved else "rejected"
    said = f"{what} by {decision.by}"
    if await is_alive(kept, run):
        for _ in range(LOOKS):
            await anyio.sleep(LOOK_EVERY / 3)
            if await waiting(kept.blobs, run, decision.gate) is None:
                made = (await kept.runs.load_run(run)).gates.approvals.get(decision.gate)
                if made is None or made.nonce != decision.nonce:
                    raise BlockedError(f"gate {decision.gate}: too late, the run's process has refused it")
                return f"{said}; the run goes on"
    return f"{said}; go on with: orchestrator resume {run}"


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
