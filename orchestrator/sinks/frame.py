"""One picture of a run in so many lines and columns: what the live view draws. Pure text, without a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.model import TargetState
from orchestrator.core.state import RunState, TargetRun
from orchestrator.wording.facts import ORDER, progress, state_counts
from orchestrator.wording.text import age, counts, duration, one_line, plural
from orchestrator.wording.waiting import waits_for, why

S = TargetState

_STATE_WIDTH = max(len(state) for state in TargetState)
_WIDEST = 34

_RANK: Mapping[TargetState, int] = {
    S.ROLLING_BACK: 0,
    S.RUNNING: 0,
    S.BAKING: 0,
    S.STARTING: 0,
    S.ERRORED: 1,
    S.FAILED: 1,
    S.TIMED_OUT: 1,
    S.STOPPED: 1,
    S.ROLLED_BACK: 1,
    S.UPLOADING: 2,
    S.BLOCKED: 2,
    S.PENDING: 3,
    S.CANCELLED: 4,
    S.SKIPPED: 4,
    S.SUCCEEDED: 5,
    S.UNCHANGED: 6,
}
"""What changes stands first, then trouble (told above the table besides), then what is to come, then what is done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line of the picture; a target's has its state, so that it can be coloured."""

    text: str
    state: TargetState | None = None


def frame(state: RunState, *, now: float, width: int, height: int) -> list[Line]:
    """At most `height` lines, of which none is longer than `width`; one row and the footer at least.

    `now` is epoch seconds.
    """
    targets = sorted(state.targets.values(), key=lambda target: _RANK[target.state])
    footer = _footer(state, now)
    room = max(1, height - len(footer) - 1)
    shown = targets if len(targets) <= room else targets[: room - 1]
    column = min(_WIDEST, max((len(target.id) for target in shown), default=0))
    lines = [Line(text=_row(target, state, now, column), state=target.state) for target in shown]
    if len(shown) < len(targets):
        lines.append(Line(text=_rest(targets[len(shown) :])))
    lines += [Line(text=text) for text in ("", *footer)]
    return [Line(text=_cut(line.text, width), state=line.state) for line in lines]


def _cut(text: str, width: int) -> str:
    """Cut to the width; spaces inside are kept, for they make the columns."""
    return text if len(text) <= width else text[: max(0, width - 1)].rstrip() + "…"


def _row(target: TargetRun, state: RunState, now: float, column: int) -> str:
    name = one_line(target.id, column).ljust(column)
    return f"{name}  {str(target.state).ljust(_STATE_WIDTH)}  {_detail(target, state, now)}".rstrip()


def _detail(target: TargetRun, state: RunState, now: float) -> str:
    waiting = waits_for(target, state)
    if waiting:
        return f"waits for {waiting}"
    end = target.ended_at if target.ended_at is not None else now
    took = age(end - target.started_at) if target.started_at is not None else ""
    deployment = target.rollback_deployment_id or target.deployment_id or ""
    done = progress(target.overview)
    return "  ".join(part for part in (done.ljust(5), took.rjust(6), deployment, why(target)) if part)


def _rest(targets: Sequence[TargetRun]) -> str:
    tally = counts((str(name), sum(target.state is name for target in targets)) for name in ORDER)
    return f"… and {len(targets)} more: {tally}"


def _footer(state: RunState, now: float) -> list[str]:
    tally = state_counts(state) or "no targets yet"
    end = state.ended_at if state.ended_at is not None else now
    parts = [tally]
    if state.started_at is not None:
        parts.append(duration(end - state.started_at))
    parts += [f"{rate:.1f} calls/s in {one_line(region)}" for region, rate in sorted(state.budget_rates.items())]
    if state.throttles:
        parts.append(plural(state.throttles, "throttle"))
    lines = [" · ".join(parts)]
    if state.why_closed is not None:
        lines.append(f"nothing new starts: {one_line(state.why_closed)}")
    return lines
