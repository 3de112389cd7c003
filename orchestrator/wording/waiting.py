"""Why a target isn't running: one answer for every view."""

from __future__ import annotations

from orchestrator.core.state import RunState, TargetRun
from orchestrator.core.waits import wait_of
from orchestrator.wording.text import listing, one_line

_SHOWN = 3


def waits_for(target: TargetRun, state: RunState) -> str:
    """What the target waits for, in a few words; empty when it waits for nothing."""
    wait = wait_of(target, state)
    if wait is None:
        return ""
    names = listing(wait.names, _SHOWN) if wait.names else ""
    return one_line(wait.text) + (" " if wait.text.endswith(" ") else "") + names


def why(target: TargetRun) -> str:
    """Why the target is as it is, in a line; empty when there is nothing to say."""
    if target.reason:
        return one_line(target.reason)
    if target.blocked_by:
        return f"blocked by {listing(target.blocked_by, _SHOWN)}"
    return ""
