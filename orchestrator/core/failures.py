"""How many failures a run takes before it starts nothing new."""

from __future__ import annotations

from orchestrator.core.model import Policy, TargetState
from orchestrator.core.outcome import FAILURES
from orchestrator.core.state import RunState


def reason_to_stop(state: RunState, policy: Policy, elsewhere: int = 0) -> str | None:
    """Why nothing new starts any more, by `on_failure` and `max_failures`; None: it goes on.

    `elsewhere`: so many have failed in other parts of the same release.
    """
    failed = [target for target in state.targets.values() if target.state in FAILURES]
    if not failed and not elsewhere:
        return None
    if policy.on_failure == "stop" and not failed:
        return "the run stopped because targets of another part of the release have failed (on_failure: stop)"
    if policy.on_failure == "stop":
        last = max(failed, key=lambda target: target.ended_at or 0.0)
        return f"the run stopped because {last.id} {_ended(last.state)} (on_failure: stop)"
    count = len(failed) + elsewhere
    if policy.max_failures is not None and count >= policy.max_failures:
        return f"the run stopped after {count} failures (max_failures)"
    return None


def _ended(state: TargetState) -> str:
    words = {TargetState.TIMED_OUT: "timed out", TargetState.ROLLED_BACK: "was rolled back"}
    return words.get(state, "was stopped" if state is TargetState.STOPPED else str(state))
