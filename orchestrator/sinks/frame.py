"""One picture of a run in so many lines and columns: what the live view draws. Pure text, without a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.core.forecast import Forecast, forecast
from orchestrator.core.gate_state import GateRun
from orchestrator.core.model import TargetState
from orchestrator.core.outcome import FAILURES
from orchestrator.core.state import RunState
from orchestrator.core.times import format_time
from orchestrator.sinks.lines import FANCY, Glyphs, Line, Piece, at_both_ends, bar, fit, line
from orchestrator.sinks.rows import Moment, rows, tone_of
from orchestrator.wording.cells import cells
from orchestrator.wording.estimates import left
from orchestrator.wording.facts import ORDER
from orchestrator.wording.text import age, listing, one_line, plural

S = TargetState

LOW = 10
"""Lines below which a terminal is low: what is said beside the targets is kept short then."""

_WIDEST_BAR = 40
_NAMED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What the picture says beside the state."""

    rates: Mapping[str, float] = field(default_factory=dict)
    """Calls a second that the budgets allow now, by region."""
    glyphs: Glyphs = FANCY


NOTHING = Surroundings()


def frame(
    state: RunState,
    *,
    now: float,
    width: int,
    height: int,
    beside: Surroundings = NOTHING,
    estimate: Forecast | None = None,
) -> list[Line]:
    """At most `height` lines (one at least), of which none is wider than `width` cells.

    `now` is epoch seconds. `estimate`: how long it will take, where that has been asked a moment ago already.
    """
    estimate = estimate or forecast(state, now)
    low = height < LOW
    head = _header(state, estimate, now, width, beside.glyphs, low=low)
    foot = _footer(state, now, width, beside, low=low)
    gaps = 0 if low else 1 + bool(foot)
    room = max(1, height - len(head) - len(foot) - gaps)
    moment = Moment(state=state, now=now, remaining=estimate.remaining, glyphs=beside.glyphs)
    body = rows(moment, width=width, height=room)
    gap = [] if low else [Line()]
    lines = [*head, *gap, *body, *(gap if foot else []), *foot]
    if len(lines) > height:  # so low that only what matters most has a place
        lines = [*head[-1:], *foot, *body][: max(1, height)]
    return [fit(each, width) for each in lines]


# --- the head --------------------------------------------------------------------------------------------------------


def _header(state: RunState, estimate: Forecast, now: float, width: int, glyphs: Glyphs, *, low: bool) -> list[Line]:
    where = f" to {one_line(state.environment)}" if state.environment else ""
    title = Line(((one_line(state.release) + where, "strong"),))
    titles = at_both_ends(title, line(f"run {one_line(state.run)}", "quiet"), width)
    figures = _figures(state, estimate, now)
    overall = Line((*_overall(state, glyphs, width - cells(figures) - 2), (f"  {figures}", "")))
    if low:
        return [*titles[:1], overall]
    return [*titles, overall, _tally(state)]


def _tally(state: RunState) -> Line:
    """How many targets are in each state, trouble first."""
    by_state = state.count()
    pieces: list[Piece] = []
    for each in (found for found in ORDER if by_state[found]):
        pieces += [(", ", "quiet"), (f"{by_state[each]} {each}", tone_of(each))]
    return Line(tuple(pieces[1:])) if pieces else line("no targets", "quiet")


def _figures(state: RunState, estimate: Forecast, now: float) -> str:
    done = sum(target.state.is_final for target in state.targets.values())
    parts = [f"{done} of {len(state.targets)}"]
    end = state.ended_at if state.ended_at is not None else now
    if state.started_at is not None:
        parts.append(age(end - state.started_at))
    if estimate.ends_at is not None and done < len(state.targets):
        parts.append(left(estimate.ends_at - now))
    return "  ".join(parts)


def _overall(state: RunState, glyphs: Glyphs, room: int) -> tuple[Piece, ...]:
    """How far all targets are: what has ended well, what hasn't, what is at it."""
    by_state = state.count()
    failed = sum(by_state[each] for each in FAILURES)
    good = by_state[S.SUCCEEDED] + by_state[S.UNCHANGED]
    left_out = by_state[S.SKIPPED] + by_state[S.CANCELLED]
    going = sum(by_state[each] for each in (S.RUNNING, S.BAKING, S.STARTING, S.ROLLING_BACK))
    width = min(_WIDEST_BAR, room)
    if width < 5:
        return ()
    return bar(
        [
            (failed, glyphs.failed, "bad"),
            (good, glyphs.full, "good"),
            (left_out, glyphs.left_out, "quiet"),
            (going, glyphs.half, "busy"),
        ],
        len(state.targets),
        width,
        glyphs.empty,
    )


# --- the foot --------------------------------------------------------------------------------------------------------


def _footer(state: RunState, now: float, width: int, beside: Surroundings, *, low: bool) -> list[Line]:
    lines = [*_approvals(state, now, width), *_of_run(state)]
    if state.why_closed is not None:
        lines.append(line(f"nothing new starts: {one_line(state.why_closed)}", "warn"))
    budget = _budget(state, now, beside.rates)
    if budget and not (low and lines):
        lines.append(line(budget, "quiet"))
    return lines


def _approvals(state: RunState, now: float, width: int) -> list[Line]:
    """What people are asked for, each with the command that answers, whole so that it can be copied."""
    waiting: dict[str, list[GateRun]] = {}
    for gate in state.gates.gates.values():
        if gate.kind == "approval" and gate.passed is None:
            waiting.setdefault(gate.gate, []).append(gate)
    lines: list[Line] = []
    for name, gates in waiting.items():
        about = listing([gate.target or "the run" for gate in gates], _NAMED)
        asked = f": {one_line(gates[0].message)}" if gates[0].message else ""
        lines.append(line(f"{name} awaits approval, for {about}{_until(gates[0], now)}{asked}", "warn"))
        lines += [line(f"  {text}", "strong") for text in _command(["orchestrator", "approve", state.run, name], width)]
    return lines


def _until(gate: GateRun, now: float) -> str:
    if gate.deadline is None:
        return ""
    return f", until {format_time(gate.deadline)[11:16]}Z" if gate.deadline > now else ", too late"


def _command(words: list[str], width: int) -> list[str]:
    """A command in lines that fit, as a shell takes them."""
    lines, current = [], ""
    for word in words:
        if current and len(current) + len(word) + 5 > width:
            lines.append(current + " \\")
            current = "  " + word
        else:
            current = f"{current} {word}" if current else word
    return [*lines, current]


def _of_run(state: RunState) -> list[Line]:
    """What the run itself does or waits for."""
    lines = []
    hook = state.gates.running.get(None)
    if hook is not None:
        command = one_line(" ".join(state.gates.hooks[hook].command))
        lines.append(line(f"the run's {hook[1]} hook goes on: {command}", "busy"))
    for gate in state.gates.open_at(None):
        if gate.kind != "approval":
            last = f" ({gate.verdict}: {one_line(gate.reason)})" if gate.verdict is not None else ""
            lines.append(line(f"the run waits for gate {gate.gate}{last}", "busy"))
    if state.awaits_rollback and state.rollback is not None:
        what = "all that the run changed" if state.rollback.scope == "release" else "what failed"
        lines.append(line(f"{what} goes back: {one_line(state.rollback.reason)}", "warn"))
    return lines


def _budget(state: RunState, now: float, rates: Mapping[str, float]) -> str:
    """`CodeDeploy calls: 10.0/s in eu-west-1 · throttled 3 times, the last 12s ago`; throttled regions first."""
    known = {**state.budget_rates, **rates}
    regions = sorted(known, key=lambda region: (region not in state.throttled_at, region))
    if not regions:
        return ""
    allowed = listing([f"{known[region]:.1f}/s in {one_line(region)}" for region in regions], _NAMED)
    last = max(state.throttled_at.values(), default=now)
    often = f" · throttled {plural(state.throttles, 'time')}, the last {age(now - last)} ago" if state.throttles else ""
    return f"CodeDeploy calls: {allowed}{often}"
