"""How one run stands, and what a person can do about it."""

from __future__ import annotations

from orchestrator.core.outcome import outcome_of
from orchestrator.core.state import RunState
from orchestrator.wording.text import one_line


def standing(state: RunState, *, alive: bool) -> str:
    """The outcome; of a run that nobody carries on: `died` or `left running`. `alive`: a process carries it on."""
    outcome = state.outcome if state.is_finished else outcome_of(state)
    if outcome != "running" or alive:
        return str(outcome)
    return "died" if state.detached is None else "left running"


def next_steps(state: RunState, *, alive: bool) -> list[tuple[str, str]]:
    """Commands with which the run goes on, each after a word on what it does; empty where there is none."""
    if alive or not state.manifest or state.rehearsal or state.is_over:
        return []
    run = one_line(state.run)
    if state.function is not None:
        asked = {gate.gate for gate in state.gates.gates.values() if gate.kind == "approval" and gate.passed is None}
        waits = [("awaiting approval", f"orchestrator approve {run} {gate} [--reason TEXT]") for gate in sorted(asked)]
        return [*waits, (f"{one_line(state.function)} goes on with it; to end it", f"orchestrator cancel {run}")]
    gates = () if state.blocked is None else state.blocked.gates
    approve = [("awaiting approval", f"orchestrator approve {run} {gate} [--reason TEXT]") for gate in gates]
    return [*approve, ("then resume with" if approve else "resume with", f"orchestrator resume {run}")]
