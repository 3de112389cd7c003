"""Which targets the live picture shows when there isn't room for all, and in which order."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.model import TargetState
from orchestrator.core.outcome import FAILURES
from orchestrator.core.state import RunState, TargetRun

S = TargetState

_RANK: Mapping[TargetState, int] = {
    S.ERRORED: 1,
    S.FAILED: 1,
    S.TIMED_OUT: 1,
    S.STOPPED: 1,
    S.ROLLED_BACK: 1,
    S.ROLLING_BACK: 2,
    S.RUNNING: 3,
    S.BAKING: 3,
    S.STARTING: 3,
    S.BLOCKED: 4,
    S.UPLOADING: 5,
    S.PENDING: 6,
    S.CANCELLED: 7,
    S.SKIPPED: 7,
    S.SUCCEEDED: 8,
    S.UNCHANGED: 9,
}
"""What has failed or is failing stands first, then what runs, what is held up, what is to come, and what is done."""


IN_LINE = 3
"""Of those that only wait for a free place so many are shown before what is done: they all say the same."""

_LAST = 10


def choose(state: RunState, height: int) -> list[TargetRun]:
    """Those that fit, with a line for the rest. Failed ones leave two thirds of the room to what still goes on."""
    targets = list(state.targets.values())
    if len(targets) <= height:
        return sorted(targets, key=_order)
    crowd = {target.id for target in [each for each in targets if _is_in_line(each, state)][IN_LINE:]}
    ordered = sorted(targets, key=lambda target: (_LAST, 0.0) if target.id in crowd else _order(target))
    room = max(1, height - 1)
    failed = [target for target in ordered if target.state in FAILURES]
    others = [target for target in ordered if target.state not in FAILURES]
    going = sum(not target.state.is_final for target in others)
    for_failed = max(room // 3, room - going)
    kept = failed[:for_failed]
    shown = {target.id for target in (*kept, *others[: room - len(kept)])}
    return [target for target in ordered if target.id in shown]


def _order(target: TargetRun) -> tuple[int, float]:
    """Within what has ended the newest first; within what runs the oldest. What waits keeps the plan's order."""
    rank = 0 if is_failing(target) else _RANK[target.state]
    if target.state.is_final:
        return rank, -(target.ended_at or 0.0)
    return rank, target.started_at or 0.0


def _is_in_line(target: TargetRun, state: RunState) -> bool:
    """It could start, if there were a place."""
    if target.state is not S.PENDING:
        return False
    needs = (state.targets.get(name) for name in target.needs)
    return all(need is None or need.lets_others_go for need in needs)


def is_failing(target: TargetRun) -> bool:
    """It still runs, and instances of it have failed already."""
    return not target.state.is_final and target.overview.get("Failed", 0) > 0
