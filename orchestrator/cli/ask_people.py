"""At a terminal: asks for the approvals that a run waits for, and goes on with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TextIO

import anyio
import click

from orchestrator.app.approving import ApproveOptions, approve
from orchestrator.app.resuming import ResumeOptions
from orchestrator.cli.asking import ask, ask_for_text
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.state import RunState

GoOn = Callable[[ResumeOptions], RunState]


def until_not_asked(
    state: RunState, options: ResumeOptions, env: Mapping[str, str], stderr: TextIO, go_on: GoOn
) -> RunState:
    """Asks as long as the run waits for people and they approve. The state as it stands then.

    `options`: how to resume it; `go_on` does that.
    """
    while state.blocked is not None and not state.rehearsal:
        try:
            decided = [_decide(state, gate, options.state, env, stderr) for gate in state.blocked.gates]
        except click.Abort:
            return state
        if not all(decided):
            return state
        state = go_on(options)
    return state


def _decide(state: RunState, gate: str, where: str | None, env: Mapping[str, str], stderr: TextIO) -> bool:
    found = [run for run in state.gates.gates.values() if run.gate == gate and run.kind == "approval"]
    targets = ", ".join(run.target or "the run" for run in found)
    message = next((f": {run.message}" for run in found if run.message), "")
    if not ask(f"\nrun {state.run} waits for an approval: {gate}, for {targets}{message}", f"Approve {gate}?", stderr):
        return False
    reason = ask_for_text("Why (may stay empty)")
    decision = ApproveOptions(run=state.run, gate=gate, approved=True, reason=reason or None, state=where)
    try:
        done = anyio.run(partial(approve, decision, env))
    except OrchestratorError as error:
        click.echo(f"error: {error}", file=stderr)
        return False
    click.echo(f"gate {gate} {done.answer}", file=stderr)
    return True
