"""What notifications say: one set of facts for all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.core.notification_specs import Moment
from orchestrator.core.outcome import FAILURES, outcome_of
from orchestrator.core.state import RunState, TargetRun
from orchestrator.core.times import format_time
from orchestrator.wording.facts import state_counts
from orchestrator.wording.text import duration, listing, one_line, plural

SHOWN_TARGETS = 25
"""Failed targets that a document names."""

SHOWN_INSTANCES = 3
"""Failed instances of each."""

_LONGEST = 300
"""Characters of a text that came from elsewhere: a reason, an error message."""

_NAMES = re.compile(r"\$\{([a-z]+)\}")


def outcome_word(state: RunState) -> str:
    """How the run stands, in the contract's words."""
    return str(state.outcome if state.is_finished else outcome_of(state))


def headline(moment: Moment | None, state: RunState, now: float) -> str:
    """`shop-1.8.0 to prod: failed after 4m05s`."""
    where = f" to {one_line(state.environment)}" if state.environment else ""
    return f"{one_line(state.release)}{where}: {_what(moment, state, now)}"


def _what(moment: Moment | None, state: RunState, now: float) -> str:  # noqa: PLR0911 - one line for each way to stand
    if state.is_finished:
        return f"{state.outcome}{_after(state, now)}".replace("_", " ")
    if state.blocked is not None:
        return f"awaits approval: {listing(state.blocked.gates, 3)}"
    if state.detached is not None:
        return f"left {'waiting' if state.detached.blocked else 'running'}: {one_line(state.detached.reason, _LONGEST)}"
    if moment == "waiting":
        return "its process has ended in the middle"
    if state.awaits_rollback:
        return "rolling back"
    waiting = approvals(state)
    if waiting and moment in {"approval", None}:
        return f"awaits approval: {listing(waiting, 3)}"
    failed = failed_targets(state)
    return f"running, {len(failed)} failed" if failed else "running"


def _after(state: RunState, now: float) -> str:
    end = state.ended_at if state.ended_at is not None else now
    return "" if state.started_at is None else f" after {duration(end - state.started_at)}"


def failed_targets(state: RunState) -> list[TargetRun]:
    return [target for target in state.targets.values() if target.state in FAILURES]


def approvals(state: RunState) -> tuple[str, ...]:
    """The approvals that the run waits for."""
    if state.blocked is not None:
        return state.blocked.gates
    if state.is_finished:
        return ()
    waiting = (gate.gate for gate in state.gates.gates.values() if gate.kind == "approval" and gate.passed is None)
    return tuple(dict.fromkeys(waiting))


def commands(moment: Moment | None, state: RunState) -> list[str]:
    """What somebody has to type for the run to go on; nothing while a process carries it on by itself."""
    found = [f"orchestrator approve {state.run} {gate}" for gate in approvals(state)]
    has_left = state.detached is not None or state.blocked is not None or moment == "waiting"
    if (has_left or state.is_finished) and not state.is_over:
        found.append(f"orchestrator resume {state.run}")
    return found


# --- templates -------------------------------------------------------------------------------------------------------


def names_of(moment: Moment | None, state: RunState, now: float) -> dict[str, str]:
    """What `${…}` in the manifest's `title`, `text` and `link` stand for."""
    failed = [one_line(target.id) for target in failed_targets(state)]
    end = state.ended_at if state.ended_at is not None else now
    return {
        "run": state.run,
        "release": one_line(state.release),
        "environment": one_line(state.environment),
        "event": moment or "progressed",
        "outcome": outcome_word(state),
        "counts": state_counts(state),
        "targets": str(len(state.targets)),
        "failed": listing(failed, 10) if failed else "none",
        "duration": duration(end - (state.started_at if state.started_at is not None else end)),
    }


def expand(template: str, names: Mapping[str, str]) -> str:
    """What isn't a name of ours stays as it is: the manifest was checked, and `$${` may stand for itself."""
    return _NAMES.sub(lambda found: names.get(found[1], found[0]), template)


# --- as text ---------------------------------------------------------------------------------------------------------


def failure_line(target: TargetRun) -> str:
    """`web/fleet failed: 2 instances failed`, in one line."""
    reason = target.error_message or target.reason or target.error_code or ""
    return one_line(f"{target.id} {target.state}" + (f": {reason}" if reason else ""), _LONGEST)


def instance_lines(target: TargetRun) -> list[str]:
    """`i-0f3a · AfterInstall · scripts/check.sh: exited with 1`, for the first of its failed instances."""
    lines = []
    for failure in target.failures[:SHOWN_INSTANCES]:
        where = [one_line(str(failure.get(name) or "")) for name in ("instance", "lifecycle_event", "script")]
        message = one_line(str(failure.get("message") or failure.get("error_code") or ""), _LONGEST)
        lines.append(" · ".join(part for part in where if part) + (f": {message}" if message else ""))
    more = target.failed_instances - len(lines)
    return [*lines, f"and {plural(more, 'more failed instance')}"] if more > 0 else lines


def as_text(moment: Moment | None, state: RunState, now: float, *, first: str | None, link: str | None) -> str:
    """Several lines. `first`: the manifest's `text`, expanded."""
    lines = [first or headline(moment, state, now), "", f"run {state.run}: {state_counts(state) or 'no targets'}"]
    for target in failed_targets(state)[:SHOWN_TARGETS]:
        lines += [failure_line(target), *(f"  {line}" for line in instance_lines(target))]
    if to_do := commands(moment, state):
        lines.append("to go on: " + ", then: ".join(to_do))
    return "\n".join([*lines, *([link] if link else [])])


# --- as a document ---------------------------------------------------------------------------------------------------


def as_document(moment: Moment | None, state: RunState, now: float, *, text: str, link: str | None) -> dict[str, Any]:
    """JSON-ready: docs/notifications.md describes it. Logs of instances stay out: nobody knows what is in them."""
    failed = failed_targets(state)
    return {
        "version": 1,
        "event": moment or "progressed",
        "run": state.run,
        "release": state.release,
        "environment": state.environment,
        "outcome": outcome_word(state),
        "exit_code": state.exit_code,
        "text": text,
        "link": link,
        "started_at": _time(state.started_at),
        "ended_at": _time(state.ended_at),
        "sent_at": format_time(now),
        "targets": len(state.targets),
        "counts": {str(name): count for name, count in state.count().items() if count},
        "failed": [_failed(target) for target in failed[:SHOWN_TARGETS]],
        "failed_targets": len(failed),
        "approvals": list(approvals(state)),
        "commands": commands(moment, state),
        "rollback_run": state.rollback_run,
    }


def _failed(target: TargetRun) -> dict[str, Any]:
    return {
        "target": target.id,
        "state": str(target.state),
        "reason": _short(target.reason),
        "region": target.region,
        "deployment_id": target.deployment_id,
        "error_code": target.error_code,
        "error_message": _short(target.error_message),
        "failed_instances": target.failed_instances,
        "instances": [
            {
                name: _short(failure.get(name))
                for name in ("instance", "lifecycle_event", "script", "error_code", "message")
            }
            for failure in target.failures[:SHOWN_INSTANCES]
        ],
    }


def _short(text: object) -> str | None:
    return one_line(str(text), _LONGEST) if text else None


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else format_time(seconds)
