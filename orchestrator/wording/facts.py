"""Facts about a target's deployment that more than one view puts into words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.core.model import DeploymentStatus, TargetState
from orchestrator.core.state import RunState, TargetRun
from orchestrator.wording.text import block, counts, duration, one_line, plural
from orchestrator.wording.waiting import why

ORDER = (
    TargetState.ERRORED,
    TargetState.FAILED,
    TargetState.TIMED_OUT,
    TargetState.STOPPED,
    TargetState.ROLLING_BACK,
    TargetState.ROLLED_BACK,
    TargetState.RUNNING,
    TargetState.BAKING,
    TargetState.STARTING,
    TargetState.UPLOADING,
    TargetState.BLOCKED,
    TargetState.PENDING,
    TargetState.SUCCEEDED,
    TargetState.UNCHANGED,
    TargetState.SKIPPED,
    TargetState.CANCELLED,
)
"""The order in which states are counted: trouble first."""

_DONE = ("Succeeded", "Skipped", "Ready")


def progress(overview: Mapping[str, int]) -> str:
    """`2/3`, or `2/3, 1 failed`: instances that are done, of all; empty while CodeDeploy hasn't counted them."""
    total = sum(overview.values())
    if total == 0:
        return ""
    failed = overview.get("Failed", 0)
    done = sum(overview.get(status, 0) for status in _DONE)
    return f"{done}/{total}, {failed} failed" if failed else f"{done}/{total}"


def state_counts(state: RunState) -> str:
    """`2 failed, 5 succeeded`."""
    by_state = state.count()
    return counts((str(name), by_state[name]) for name in ORDER)


def how_long(target: TargetRun, now: float | None) -> str:
    """From the target's start to its end, or to `now`; empty when it never started."""
    end = target.ended_at if target.ended_at is not None else now
    if target.started_at is None or end is None:
        return ""
    return duration(end - target.started_at)


def rollback_is_live(target: TargetRun) -> bool:
    """CodeDeploy rolls this target back, as far as we know."""
    if target.rollback_deployment_id is None:
        return False
    finished = {str(status) for status in DeploymentStatus if status.is_final}
    return target.rollback_status not in finished


def failure_lines(failures: tuple[Mapping[str, Any], ...], failed: int, indent: str) -> list[str]:
    """Each failed instance in a block: where, in which script, what it said."""
    lines: list[str] = []
    for failure in failures:
        lines += _failure(failure, indent)
    if failed > len(failures):
        lines.append(f"{indent}and {plural(failed - len(failures), 'more failed instance')}")
    return lines


def cause(target: TargetRun) -> str:
    """Why the target has failed, in a line: the script on the instance where that is known, else what CodeDeploy says.

    Empty when nothing is known.
    """
    for failure in target.failures[:1]:
        where = " ".join(part for part in (_text(failure, "lifecycle_event"), _text(failure, "script")) if part)
        what = ": ".join(part for part in (_text(failure, "error_code"), _text(failure, "message")) if part)
        if where or what:
            return ": ".join(
                part for part in (f"{where} on {_text(failure, 'instance') or 'an instance'}", what) if part
            )
    error = ": ".join(one_line(part) for part in (target.error_code, target.error_message) if part)
    return error or why(target)


def _failure(failure: Mapping[str, Any], indent: str) -> list[str]:
    where = [_text(failure, "instance") or "an instance", _text(failure, "lifecycle_event"), _text(failure, "script")]
    lines = [indent + " · ".join(part for part in where if part)]
    code, message = _text(failure, "error_code"), _text(failure, "message")
    if code or message:
        lines.append(f"{indent}  {': '.join(part for part in (code, message) if part)}")
    return lines + block(str(failure.get("log_tail") or ""), f"{indent}  | ")


def _text(failure: Mapping[str, Any], name: str) -> str:
    value = failure.get(name)
    return one_line(str(value)) if value else ""
