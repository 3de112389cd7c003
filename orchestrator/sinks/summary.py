"""The end of a run in plain text: what happened to each target, why, what is left, and the outcome as the last line."""

from __future__ import annotations

from orchestrator.core.model import TargetState
from orchestrator.core.outcome import FAILURES, outcome_of
from orchestrator.core.state import RunState, TargetRun
from orchestrator.wording.facts import ORDER, failure_lines, how_long, rollback_is_live, state_counts
from orchestrator.wording.standing import next_steps
from orchestrator.wording.text import counts, duration, one_line, plural
from orchestrator.wording.waiting import waits_for, why

S = TargetState

FOLD_ABOVE = 50
"""So many rows are read; of more, those without trouble are only counted."""

DETAILED = 20
"""So many failed targets are told at length."""

_QUIET = (S.SUCCEEDED, S.UNCHANGED, S.SKIPPED, S.CANCELLED, S.PENDING, S.BLOCKED)
_REASON = 24
"""The least room that a reason gets."""


def summary(
    state: RunState, *, alive: bool = False, follow: str | None = "orchestrator wait", width: int = 80
) -> list[str]:
    """The lines to print.

    `alive`: a process still carries the run on, so that deployments are running and not left running.
    `follow`: the command that takes the ids of what was left running; None: say nothing of it.
    """
    if not state.run:
        return ["nothing was recorded", "", "outcome: unknown"]
    lines = [_title(state)]
    if state.targets:
        lines += ["", *_table(state, width)]
    lines += _failed(state)
    left = left_running(state, alive=alive, follow=follow)
    if left:
        lines += ["", *left]
    return [*lines, "", _outcome(state), *_go_on(state, alive=alive)]


def _title(state: RunState) -> str:
    where = f" to {one_line(state.environment)}" if state.environment else ""
    return f"run {one_line(state.run)}: {one_line(state.release)}{where}, {plural(len(state.targets), 'target')}"


# --- the table -------------------------------------------------------------------------------------------------------


def _table(state: RunState, width: int) -> list[str]:
    shown, folded = _fold(list(state.targets.values()))
    rows = [_row(target, state) for target in shown]
    columns = [max((len(row[place]) for row in rows), default=0) for place in range(4)]
    room = max(_REASON, width - sum(size + 2 for size in columns if size))
    # A failure's reason stands in full below the table; any other has only this place.
    rooms = [room if target.state in FAILURES else None for target in shown]
    lines = [_join(row, columns, limit) for row, limit in zip(rows, rooms, strict=True)]
    if folded:
        tally = counts((str(name), sum(target.state is name for target in folded)) for name in ORDER)
        lines.append(f"not listed: {tally}")
    return lines


def _fold(targets: list[TargetRun]) -> tuple[list[TargetRun], list[TargetRun]]:
    """What is listed, and what is only counted: the states with the least to say go first, until the rest fits."""
    folded: list[TargetRun] = []
    for group in (_QUIET[:2], _QUIET[2:]):
        if len(targets) > FOLD_ABOVE:
            folded += [target for target in targets if target.state in group]
            targets = [target for target in targets if target.state not in group]
    return targets, folded


def _row(target: TargetRun, state: RunState) -> tuple[str, str, str, str, str]:
    waiting = waits_for(target, state)
    reason = f"waits for {waiting}" if waiting else why(target)
    return (
        one_line(target.id),
        str(target.state),
        target.deployment_id or "",
        how_long(target, state.ended_at or state.last_ts),
        reason,
    )


def _join(row: tuple[str, ...], columns: list[int], room: int | None) -> str:
    cells = [cell.ljust(size) for cell, size in zip(row[:4], columns, strict=True) if size]
    return "  ".join([*cells, one_line(row[4], room)]).rstrip()


# --- failures --------------------------------------------------------------------------------------------------------


def _failed(state: RunState) -> list[str]:
    failed = [target for target in state.targets.values() if target.state in FAILURES]
    lines: list[str] = []
    for target in failed[:DETAILED]:
        lines += ["", *_failure(target)]
    if len(failed) > DETAILED:
        rest = len(failed) - DETAILED
        lines += ["", f"and {plural(rest, 'more failed target')}: orchestrator status {state.run} --output json"]
    return lines


def _failure(target: TargetRun) -> list[str]:
    deployment = f" ({target.deployment_id})" if target.deployment_id else ""
    reason = why(target)
    lines = [f"{one_line(target.id)} {target.state}{deployment}" + (f": {reason}" if reason else "")]
    error = ": ".join(one_line(part) for part in (target.error_code, target.error_message) if part)
    if error and error not in reason:
        lines.append(f"  CodeDeploy says: {error}")
    lines += failure_lines(target.failures, target.failed_instances, "  ")
    if target.rollback_deployment_id is not None:
        lines.append(f"  rollback {target.rollback_deployment_id}: {one_line(target.rollback_status or 'unknown')}")
    return lines


# --- what is left ----------------------------------------------------------------------------------------------------


def left_running(state: RunState, *, alive: bool = False, follow: str | None = "orchestrator wait") -> list[str]:
    """What runs on at CodeDeploy, as far as is known, and how to follow it; nothing when nothing does.

    The parameters are those of `summary`.
    """
    live: list[tuple[str, str]] = []
    unanswered: list[str] = []
    for target in state.targets.values():
        if rollback_is_live(target) and target.rollback_deployment_id is not None:
            live.append((target.rollback_deployment_id, f"{target.id}, a rollback"))
        elif target.intent is not None:
            unanswered.append(f"{target.id} ({target.intent.token})")
        elif target.is_live and target.deployment_id is not None:
            live.append((target.deployment_id, target.id))
    lines: list[str] = []
    if live:
        word = "running" if alive else "left running"
        lines += [f"{word}: " + ", ".join(f"{id_} ({one_line(what)})" for id_, what in live)]
        ids = [id_ for id_, _ in live]
        if follow is not None and not alive:
            lines += _commands(f"follow with: {follow}", state, [ids])
            if _was_to_be_stopped(state):
                stop = "stop with: aws deploy stop-deployment"
                lines += _commands(stop, state, [[each] for each in ids], " --deployment-id")
    if unanswered:
        lines += ["may be running (CodeDeploy did not answer): " + one_line(", ".join(unanswered))]
    return lines


def _go_on(state: RunState, *, alive: bool) -> list[str]:
    """How to resume, as the last line, where there is anything to resume."""
    return [f"{what}: {command}" for what, command in next_steps(state, alive=alive)]


def _was_to_be_stopped(state: RunState) -> bool:
    return state.cancelled is not None and state.cancelled.mode in {"stop", "rollback"}


def _commands(command: str, state: RunState, groups: list[list[str]], option: str = "") -> list[str]:
    """A command for each group of ids and region, which is named only where there is more than one."""
    regions = {each: target.region for target in state.targets.values() for each in _ids_of(target)}
    several = len({target.region for target in state.targets.values()}) > 1
    by_region: dict[tuple[int, str], list[str]] = {}
    for number, ids in enumerate(groups):
        for each in ids:
            by_region.setdefault((number, regions[each]), []).append(each)
    return [
        f"{command} " + (f"--region {region} " if several and region else "") + f"{option} {' '.join(found)}".strip()
        for (_, region), found in by_region.items()
    ]


def _ids_of(target: TargetRun) -> tuple[str, ...]:
    return tuple(each for each in (target.deployment_id, target.rollback_deployment_id) if each is not None)


def _outcome(state: RunState) -> str:
    outcome = state.outcome if state.is_finished else outcome_of(state)
    tally = state_counts(state) or "no targets"
    end = state.ended_at if state.ended_at is not None else state.last_ts
    took = f" in {duration(end - state.started_at)}" if end is not None and state.started_at is not None else ""
    reason = f"; {one_line(state.why_closed)}" if state.why_closed else ""
    return f"outcome: {outcome} ({tally}){took}{reason}"
