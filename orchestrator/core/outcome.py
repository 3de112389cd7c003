"""How a run stands, from the states of its targets, and from its own gates."""

from __future__ import annotations

from orchestrator.core.model import Outcome, TargetState
from orchestrator.core.state import RunState, TargetRun

S = TargetState

FAILURES = frozenset({S.FAILED, S.STOPPED, S.TIMED_OUT, S.ROLLED_BACK, S.ERRORED})
"""States that count as a failure of the release."""


def outcome_of(state: RunState) -> Outcome:
    """How the run stands, from its targets alone."""
    targets = state.targets.values()
    if state.blocked is not None or (state.detached is not None and state.detached.blocked):
        return Outcome.BLOCKED
    if state.detached is not None or state.awaits_rollback or any(not target.state.is_final for target in targets):
        return Outcome.RUNNING
    return _outcome_of_rollback(state) or _outcome_of_release(state)


def outcome_told(state: RunState) -> Outcome:
    """As the run's events have told it so far, without a look at any target: cheap enough for each event."""
    is_blocked = state.blocked is not None or (state.detached is not None and state.detached.blocked)
    return Outcome.BLOCKED if is_blocked and not state.is_finished else state.outcome


def _outcome_of_rollback(state: RunState) -> Outcome | None:
    """None where it was about nothing, or only about a part of what the run has changed."""
    to_go_back = [target for target in state.targets.values() if goes_back(target, state)]
    if state.rollback is None or not to_go_back:
        return None
    if any(target.state is not S.ROLLED_BACK for target in to_go_back):
        return Outcome.ROLLBACK_FAILED
    return Outcome.ROLLED_BACK if state.rollback.scope == "release" else None


def _outcome_of_release(state: RunState) -> Outcome:
    targets = state.targets.values()
    if all(target.state.is_good for target in targets):
        return _outcome_of_good_targets(state)
    if state.cancelled is not None:
        return Outcome.CANCELLED
    if any(_rollback_failed(target) for target in targets):
        return Outcome.ROLLBACK_FAILED
    changed = [target for target in targets if target.was_changed]
    if changed and all(target.state is S.ROLLED_BACK for target in changed):
        return Outcome.ROLLED_BACK
    return Outcome.FAILED


def _outcome_of_good_targets(state: RunState) -> Outcome:
    """The run's own gates have a say, too."""
    if state.gates.failed_at(None) is not None:
        return Outcome.FAILED
    if state.gates.is_through(state.after):
        return Outcome.SUCCEEDED
    return Outcome.RUNNING if state.cancelled is None else Outcome.CANCELLED


def goes_back(target: TargetRun, state: RunState) -> bool:
    """Whether a rollback of this run is about the target; also when it is back already."""
    if state.rollback is None or not target.was_changed:
        return False
    return state.rollback.scope == "release" or not target.state.is_good


def _rollback_failed(target: TargetRun) -> bool:
    return target.rollback_deployment_id is not None and target.state in {S.FAILED, S.STOPPED, S.TIMED_OUT}
