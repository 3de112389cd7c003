"""The rows of the live picture: which targets are shown, in which order, and what each row says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.model import TargetState
from orchestrator.core.outcome import FAILURES
from orchestrator.core.state import RunState, TargetRun
from orchestrator.sinks.choosing import choose, is_failing
from orchestrator.sinks.lines import Glyphs, Line, Piece, Tone, bar, cell, column, line
from orchestrator.wording.cells import cells, cut_middle
from orchestrator.wording.estimates import left, roughly
from orchestrator.wording.facts import ORDER, cause, progress
from orchestrator.wording.text import age, counts, duration, one_line, plural
from orchestrator.wording.waiting import waits_for, why

S = TargetState

BAR = 8
"""Characters of a target's own bar."""

BARS_FROM = 76
"""Columns from which on there is room for bars; below that figures do."""

_LATE = 1.25
"""A target is said to be late when it takes so much longer than usual."""

_TONES: Mapping[TargetState, Tone] = {
    **dict.fromkeys(FAILURES, "bad"),
    S.ROLLING_BACK: "warn",
    S.BLOCKED: "warn",
    S.RUNNING: "busy",
    S.BAKING: "busy",
    S.STARTING: "busy",
    S.UPLOADING: "busy",
    S.SUCCEEDED: "good",
    S.UNCHANGED: "good",
}


def tone_of(state: TargetState) -> Tone:
    return _TONES.get(state, "quiet")


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """What the rows are made from."""

    state: RunState
    now: float
    """Epoch seconds."""
    remaining: Mapping[str, float]
    """Seconds that targets still need, as `core.forecast` estimates."""
    glyphs: Glyphs


def rows(moment: Moment, *, width: int, height: int) -> list[Line]:
    """At most `height` lines (one at least), in columns; the last one counts what there was no room for."""
    targets = list(moment.state.targets.values())
    if not targets:
        return []
    shown = choose(moment.state, height)
    names = column([one_line(target.id) for target in shown], _name_limit(width))
    states = column([target.state for target in shown], 12)
    lines: list[Line] = []
    spare = height - len(shown)
    for target in shown:
        below = _instances(target, spare)
        lines.append(_row(target, moment, _Columns(width, names, states), events=not below))
        spare -= len(below)
        lines += below
    if len(shown) < len(targets):
        lines.append(_rest(targets, shown))
    return lines


@dataclass(frozen=True, slots=True)
class _Columns:
    width: int
    """Of all."""
    names: int
    states: int


def _rest(targets: Iterable[TargetRun], shown: Sequence[TargetRun]) -> Line:
    there = {target.id for target in shown}
    hidden = [target for target in targets if target.id not in there]
    tally = counts((str(name), sum(target.state is name for target in hidden)) for name in ORDER)
    return line(f"… and {len(hidden)} more: {tally}", "quiet")


# --- a row -----------------------------------------------------------------------------------------------------------


def _name_limit(width: int) -> int:
    if width >= 100:
        return 40
    return width // 3 if width >= 60 else max(10, width // 2)


def _row(target: TargetRun, moment: Moment, columns: _Columns, *, events: bool) -> Line:
    tone: Tone = "bad" if is_failing(target) else tone_of(target.state)
    name = cut_middle(one_line(target.id), columns.names)
    pieces: list[Piece] = [
        (f"{_glyph(target, moment.glyphs)} ", tone),
        (cell(name, columns.names) + "  ", "quiet" if tone == "quiet" else "strong"),
        (cell(target.state, columns.states), tone),
    ]
    if target.state in FAILURES:
        return Line((*pieces, (f"  {cause(target)}", "")))
    waiting = waits_for(target, moment.state) if target.deployment_id is None else ""
    if waiting:
        return Line((*pieces, (f"  waits for {waiting}", "quiet")))
    if target.started_at is not None:
        pieces += [("  ", ""), *_progress(target, moment.glyphs, bars=columns.width >= BARS_FROM)]
        end = target.ended_at if target.ended_at is not None else moment.now
        pieces.append((f"  {age(end - target.started_at):>6}", ""))
    detail = _detail(target, moment, events=events)
    return Line((*pieces, (f"  {detail}", ""))) if detail else Line(tuple(pieces))


def _glyph(target: TargetRun, glyphs: Glyphs) -> str:
    match target.state:
        case state if state in FAILURES or is_failing(target):
            return glyphs.failed
        case S.RUNNING | S.BAKING | S.STARTING | S.ROLLING_BACK | S.UPLOADING:
            return glyphs.busy
        case S.SUCCEEDED | S.UNCHANGED:
            return glyphs.done
        case S.BLOCKED:
            return glyphs.held
        case S.PENDING:
            return glyphs.waiting
        case _:
            return glyphs.left_out


def _progress(target: TargetRun, glyphs: Glyphs, *, bars: bool) -> list[Piece]:
    """Instances that are done, of all, as a bar and in figures; a fixed width, so that columns stay."""
    total = sum(target.overview.values())
    failed = target.overview.get("Failed", 0)
    figures = progress(target.overview).split(",")[0]
    pieces: list[Piece] = []
    if bars and target.state in {S.RUNNING, S.BAKING, S.ROLLING_BACK} and total:
        good = total - failed - target.overview.get("Pending", 0) - target.overview.get("InProgress", 0)
        parts: list[tuple[int, str, Tone]] = [
            (failed, glyphs.failed, "bad"),
            (good, glyphs.full, "good"),
            (target.overview.get("InProgress", 0), glyphs.half, "busy"),
        ]
        pieces += [*bar(parts, total, BAR, glyphs.empty), (" ", "")]
    elif bars:
        pieces.append((" " * (BAR + 1), ""))
    return [*pieces, (f"{figures:>5}", "bad" if failed else "")]


# --- what there is to say --------------------------------------------------------------------------------------------


def _detail(target: TargetRun, moment: Moment, *, events: bool) -> str:
    if target.state.is_final:
        return why(target) or (target.deployment_id or "")
    failed = target.overview.get("Failed", 0)
    parts = [
        f"{plural(failed, 'instance')} failed" if failed else "",
        _waits(target, moment),
        _estimate(target, moment),
        _events(target) if events else "",
        target.rollback_deployment_id or target.deployment_id or "",
    ]
    return "  ".join(part for part in parts if part)


def _waits(target: TargetRun, moment: Moment) -> str:
    if target.state is S.BAKING and target.bake_until is not None and target.bake_until > moment.now:
        return f"bakes for another {duration(target.bake_until - moment.now)}"
    waiting = waits_for(target, moment.state)
    return f"waits for {waiting}" if waiting else ""


def _estimate(target: TargetRun, moment: Moment) -> str:
    if target.state is not S.RUNNING:
        return ""
    taken = moment.now - (target.deployment_started_at or moment.now)
    usual = target.expected
    if usual is not None and taken > max(usual * _LATE, usual + 10.0):
        return f"usually {roughly(usual)}"
    remaining = moment.remaining.get(target.id)
    return "" if remaining is None else left(remaining)


def _events(target: TargetRun) -> str:
    """Where its instances are: `2 in AfterInstall, 1 in ValidateService`."""
    tally: dict[str, int] = {}
    for instance in target.instances:
        if instance.get("status") == "InProgress" and instance.get("lifecycle_event"):
            event = one_line(str(instance["lifecycle_event"]))
            tally[event] = tally.get(event, 0) + 1
    return counts((f"in {event}", number) for event, number in tally.items())


def _instances(target: TargetRun, room: int) -> list[Line]:
    """A line for each instance that is at something, or has failed, where there is room for all of them."""
    busy = [each for each in target.instances if each.get("status") in {"InProgress", "Failed", "Ready"}]
    if target.state.is_final or not busy or len(busy) > room or room < 4:
        return []
    width = max(cells(one_line(str(each.get("instance")))) for each in busy)
    return [_instance(each, width) for each in busy]


def _instance(instance: Mapping[str, object], width: int) -> Line:
    failed = instance.get("status") == "Failed"
    at = [one_line(str(instance[name])) for name in ("lifecycle_event", "script") if instance.get(name)]
    text = f"    {cell(one_line(str(instance.get('instance'))), width)}  {instance.get('status')}  {' '.join(at)}"
    return line(text.rstrip(), "bad" if failed else "quiet")
