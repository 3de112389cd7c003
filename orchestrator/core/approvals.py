"""Approvals: one decision for each approval gate of a run, by whoever makes it, wherever that person is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import anyio

from orchestrator.core import gate_events as gev
from orchestrator.core.controls import GateSpec
from orchestrator.core.gate_state import GateRun
from orchestrator.core.measuring import span
from orchestrator.core.plan import Plan
from orchestrator.core.recorder import Recorder
from orchestrator.core.state import RunState
from orchestrator.core.times import format_time

GRACE = 5.0
"""Seconds after the deadline in which a decision that was made in time may still arrive."""

REHEARSED = "the rehearsal"


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What somebody has decided."""

    gate: str
    approved: bool
    by: str
    given_at: float
    """Epoch seconds, by their clock."""
    reason: str | None = None
    nonce: str = ""


def approval_gates(plan: Plan) -> dict[str, GateSpec]:
    """The approvals that the plan has, by name."""
    controls = [plan.controls, *(step.target.controls for step in plan.changes)]
    return {gate.name: gate for each in controls for gate in each.gates if gate.is_approval}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a decision can't be taken."""

    message: str
    hint: str | None = None
    is_late: bool = False
    """It is a good decision, and its time is over."""

    def __str__(self) -> str:
        return self.message


def why_refused(decision: Decision, state: RunState, known: Iterable[str]) -> Refusal | None:
    """None: it can be taken. `known`: the approval gates of the run."""
    names = sorted(known)
    if decision.gate not in names:
        hint = f"it has {', '.join(names)}" if names else "it has none"
        return Refusal(f"there is no approval gate {decision.gate!r} in run {state.run}", hint)
    if (made := state.gates.approvals.get(decision.gate)) is not None:
        return Refusal(f"gate {decision.gate} is already {describe(made)}", "a decision can't be taken back")
    asked = state.gates.asked_since(decision.gate)
    if asked is not None and asked[1] is not None and decision.given_at > asked[1]:
        return Refusal(
            f"too late: gate {decision.gate} could be approved until {format_time(asked[1])}",
            f"start a new run; what this one left is ended by `orchestrator resume {state.run}`",
            is_late=True,
        )
    if state.is_finished:
        return Refusal(f"run {state.run} is over ({state.outcome}): nothing of it waits for an approval")
    return None


def describe(decision: gev.ApprovalDecided) -> str:
    """`approved by arn:…: looks good`."""
    reason = f": {decision.reason}" if decision.reason else ""
    return f"{'approved' if decision.approved else 'rejected'} by {decision.by}{reason}"


class Approvals:
    """Waits for decisions, and takes them."""

    def __init__(self, recorder: Recorder, gates: Mapping[str, GateSpec], *, rehearsal: bool = False) -> None:
        """`rehearsal`: nobody is asked, and each is approved as soon as it is waited for."""
        self._recorder = recorder
        self._gates = gates
        self._rehearsal = rehearsal
        self._decided = {name: anyio.Event() for name in gates}
        self._waiting: list[GateRun] = []

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._gates)

    @property
    def open(self) -> tuple[str, ...]:
        """Those that nobody has decided."""
        return tuple(name for name in self._gates if name not in self._recorder.state.gates.approvals)

    def waiting(self) -> dict[str | None, list[str]]:
        """The gates that people can still decide, by the targets that wait for them now (None: the run)."""
        found: dict[str | None, list[str]] = {}
        for gate in self._waiting:
            if self._is_late(gate):
                continue
            found.setdefault(gate.target, []).append(gate.gate)
        return found

    def decide(self, decision: Decision) -> Refusal | None:
        """Takes a decision, from a person or a request. Returns why it is refused, or None."""
        refused = why_refused(decision, self._recorder.state, self._gates)
        if refused is not None:
            return refused
        self._recorder.record(
            gev.ApprovalDecided(
                gate=decision.gate,
                approved=decision.approved,
                by=decision.by,
                reason=decision.reason,
                given_at=decision.given_at,
                nonce=decision.nonce,
            )
        )
        self._decided[decision.gate].set()
        return None

    async def wait(self, gate: GateRun) -> tuple[bool, str]:
        """Whether it was approved, and by whom, or why it wasn't. `gate`: where it stands."""
        approvals = self._recorder.state.gates.approvals
        if self._rehearsal and gate.gate not in approvals:
            self.decide(Decision(gate=gate.gate, approved=True, by=REHEARSED, given_at=self._recorder.clock()))
        if gate.gate not in approvals:
            await self._until_decided(gate)
        made = approvals.get(gate.gate)
        if made is None:
            within = "" if gate.timeout is None else f" within {span(gate.timeout)}"
            return False, f"nobody approved it{within}"
        return made.approved, describe(made)

    def _deadline(self, gate: GateRun) -> float | None:
        asked = self._recorder.state.gates.asked_since(gate.gate)
        return None if asked is None else asked[1]

    def _is_late(self, gate: GateRun) -> bool:
        deadline = self._deadline(gate)
        return deadline is not None and deadline <= self._recorder.clock()

    async def _until_decided(self, gate: GateRun) -> None:
        deadline = self._deadline(gate)
        self._waiting.append(gate)
        try:
            with anyio.move_on_after(None if deadline is None else deadline + GRACE - self._recorder.clock()):
                await self._decided[gate.gate].wait()
        finally:
            self._waiting.remove(gate)
