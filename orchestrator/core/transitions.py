"""Which state of a target may follow which."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.model import TargetState

S = TargetState

_BEFORE_START = frozenset({S.FAILED, S.TIMED_OUT, S.SKIPPED, S.CANCELLED, S.ERRORED})
_AFTER_START = frozenset({S.SUCCEEDED, S.FAILED, S.STOPPED, S.TIMED_OUT, S.ERRORED, S.ROLLING_BACK})

TRANSITIONS: Mapping[TargetState, frozenset[TargetState]] = {
    # To running at once: a deployment that somebody else has started, and that we only wait for.
    S.PENDING: _BEFORE_START | {S.BLOCKED, S.UPLOADING, S.STARTING, S.UNCHANGED, S.RUNNING},
    S.UPLOADING: _BEFORE_START | {S.PENDING, S.BLOCKED, S.STARTING},
    S.BLOCKED: _BEFORE_START | {S.PENDING, S.STARTING},
    S.STARTING: _BEFORE_START | {S.PENDING, S.BLOCKED, S.RUNNING},
    # Back to pending: its deployment has failed, and another attempt may mend that.
    S.RUNNING: _AFTER_START | {S.BAKING, S.PENDING},
    S.BAKING: _AFTER_START,
    S.ROLLING_BACK: frozenset({S.ROLLED_BACK, S.FAILED, S.STOPPED, S.TIMED_OUT, S.ERRORED}),
    # A rollback of the release begins where everything else has ended.
    S.SUCCEEDED: frozenset({S.ROLLING_BACK}),
    S.UNCHANGED: frozenset(),
    S.FAILED: frozenset({S.ROLLING_BACK}),
    S.STOPPED: frozenset({S.ROLLING_BACK}),
    S.TIMED_OUT: frozenset({S.ROLLING_BACK}),
    S.ERRORED: frozenset({S.ROLLING_BACK}),
    # Of these two only with an intent that was never answered: something may have been started.
    S.SKIPPED: frozenset({S.ROLLING_BACK}),
    S.CANCELLED: frozenset({S.ROLLING_BACK}),
    S.ROLLED_BACK: frozenset(),
}
"""From each state to those that may follow it. A resume may bring a target back; that is an event of its own."""
