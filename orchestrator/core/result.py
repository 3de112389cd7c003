"""The result file of the contract, and the exit code: both read from the state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.core.errors import ExitCode
from orchestrator.core.model import Outcome, TargetState
from orchestrator.core.outcome import outcome_of
from orchestrator.core.state import RunState, TargetRun
from orchestrator.core.times import format_time
from orchestrator.core.waits import Wait, wait_of

_SIGINT = 2


_EXIT_CODES: Mapping[Outcome, ExitCode] = {
    Outcome.SUCCEEDED: ExitCode.OK,
    Outcome.FAILED: ExitCode.FAILED,
    Outcome.ROLLED_BACK: ExitCode.ROLLED_BACK,
    Outcome.ROLLBACK_FAILED: ExitCode.ROLLBACK_FAILED,
    Outcome.BLOCKED: ExitCode.BLOCKED,
    Outcome.CANCELLED: ExitCode.FAILED,
    Outcome.RUNNING: ExitCode.RUNNING,
}


def exit_code_of(state: RunState) -> ExitCode:
    """The contract's exit code for the run as it stands; a signal that changed how it went names itself."""
    outcome = outcome_of(state)
    signal = state.cancelled.signal if state.cancelled is not None else None
    if signal is not None and outcome in {Outcome.CANCELLED, Outcome.BLOCKED, Outcome.RUNNING}:
        return ExitCode.SIGINT if signal == _SIGINT else ExitCode.SIGTERM
    return _EXIT_CODES[outcome]


def result_of(state: RunState) -> dict[str, Any]:
    """What `--result` writes and `status --output json` prints."""
    return {
        "version": 1,
        "run": state.run,
        "release": state.release,
        "environment": state.environment,
        "outcome": str(state.outcome if state.is_finished else outcome_of(state)),
        "started_at": _time(state.started_at),
        "ended_at": _time(state.ended_at),
        "targets": [_target(target, state) for target in state.targets.values()],
    }


def result_of_cut_off(state: RunState, problem: str) -> dict[str, Any]:
    """The result of a run that can't go on, and why: what wasn't over is `errored`, which is our fault."""
    result = result_of(state)
    for target, known in zip(result["targets"], state.targets.values(), strict=True):
        if not known.state.is_final:
            running = f"; still running: {', '.join(known.running_ids)}" if known.running_ids else ""
            reason = f"{problem}{running}"
            target |= {"state": str(TargetState.ERRORED), "reason": reason}
    return {**result, "outcome": str(Outcome.FAILED)}


def _target(target: TargetRun, state: RunState) -> dict[str, Any]:
    wait = wait_of(target, state)
    return {
        "target": target.id,
        "state": str(target.state),
        "deployment_id": target.deployment_id,
        "rollback_deployment_id": target.rollback_deployment_id,
        "revision": target.revision,
        "digest": target.digest,
        "started_at": _time(target.started_at),
        "ended_at": _time(target.ended_at),
        "reason": target.reason,
        "blocked_by": list(target.blocked_by),
        "waiting_for": None if wait is None else _wait(wait),
        "attempts": list(target.attempts),
        "failures": [dict(failure) for failure in target.failures],
    }


def _wait(wait: Wait) -> dict[str, Any]:
    return {"kind": wait.kind, "text": wait.text + ", ".join(wait.names), "targets": list(wait.names)}


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else format_time(seconds)
