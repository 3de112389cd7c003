"""Why a target isn't running: one answer for every view."""

from __future__ import annotations

from typing import assert_never

from orchestrator.core.freezing import moment
from orchestrator.core.model import TargetState
from orchestrator.core.state import RunState, TargetRun
from orchestrator.sinks.text import listing, one_line

S = TargetState

_SHOWN = 3


def waits_for(target: TargetRun, state: RunState) -> str:
    """What the target waits for, in a few words; empty when it waits for nothing."""
    match target.state:
        case S.BLOCKED:
            return one_line(target.reason or "something outside this run")
        case S.PENDING | S.UPLOADING:
            return _before_start(target, state)
        case S.STARTING:
            return "CodeDeploy's answer"
        case S.RUNNING | S.BAKING | S.ROLLING_BACK:
            return ""
        case S.SUCCEEDED | S.UNCHANGED | S.FAILED | S.STOPPED | S.TIMED_OUT:
            return ""
        case S.SKIPPED | S.CANCELLED | S.ROLLED_BACK | S.ERRORED:
            return ""
        case other:
            assert_never(other)


def _before_start(target: TargetRun, state: RunState) -> str:
    open_needs = [name for name in target.needs if name in state.targets and not state.targets[name].state.is_good]
    open_after = [
        name
        for name in target.after
        if name in state.targets and not state.targets[name].state.is_final and name not in open_needs
    ]
    if open_needs or open_after:
        return listing([*open_needs, *open_after], _SHOWN)
    if target.state is S.UPLOADING:
        return "its bundle"
    if state.closed_reason is not None:
        return f"nothing: {one_line(state.closed_reason)}"
    if state.frozen is not None:
        return f"the end of the freeze {one_line(state.frozen.window)}, {moment(state.frozen.until)}"
    return "its revision" if target.revision is None else "a free slot"


def why(target: TargetRun) -> str:
    """Why the target is as it is, in a line; empty when there is nothing to say."""
    if target.reason:
        return one_line(target.reason)
    if target.blocked_by:
        return f"blocked by {listing(target.blocked_by, _SHOWN)}"
    return ""
