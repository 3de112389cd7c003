"""The run in time as SVG: a row for each target, what it spent its time with, and what is still to come.

Waiting is a thin line, preparing a thicker one, a deployment a bar: shapes tell them apart, not colours alone. What is
expected is an outline. Rows stand in the plan's order as long as the run goes on, so that none of them moves; of a run
that is over they stand by when they began. Each row is a link with the id `bar/…` and can be replaced by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from itertools import pairwise

from orchestrator.core.forecast import Forecast
from orchestrator.core.spans import Span, spans_of
from orchestrator.core.state import RunState, TargetRun
from orchestrator.web.axis import Axis, axis
from orchestrator.web.html import NOTHING, Markup, join, tag
from orchestrator.web.links import element_id, target_anchor
from orchestrator.web.looks import fit, glyph, words
from orchestrator.wording.text import clock_time, duration, one_line, plural

NOW_LINE = "now-line"
CRITICAL_BARS = "critical-bars"
"""Ids of what changes beside the rows."""

LABELS, CHART, END = 210.0, 780.0, 26.0
"""Pixels: the names, the time, and what is left free behind it."""
_TOP, _BOTTOM = 30.0, 16.0

_HEIGHTS = ((60, 26.0), (250, 20.0), (10**9, 15.0))
"""Up to so many rows, each so high."""
_ROOMY = 18.0
"""Rows that are higher have bigger names."""

_NAMES = {
    "needs": "waited for its needs",
    "upload": "bundle",
    "queue": "waited for a place",
    "blocked": "blocked",
    "starting": "starting",
    "running": "deployment",
    "attempt": "failed attempt",
    "baking": "bake",
    "rolling_back": "rollback",
}
_THICKNESS = {"needs": 0.08, "queue": 0.08, "blocked": 0.16, "upload": 0.3, "starting": 0.3}
"""Shares of a row's height; of all others `_BAR`."""
_BAR = 0.58


@dataclass(frozen=True, slots=True)
class Chart:
    """The frame that rows stand in."""

    axis: Axis
    order: tuple[str, ...]
    row: float
    """The height of one, in pixels."""

    @property
    def height(self) -> float:
        return _TOP + len(self.order) * self.row + _BOTTOM

    def x(self, when: float) -> float:
        return LABELS + self.axis.x(when)

    def y(self, number: int) -> float:
        return _TOP + number * self.row


def chart_of(state: RunState, now: float, forecast: Forecast) -> Chart:
    """The same as long as the run doesn't outgrow it."""
    start = state.started_at if state.started_at is not None else now
    going = state.ended_at is None
    end = max(now, *forecast.ends.values(), forecast.ends_at or now) if going else _end(state)
    row = next(height for most, height in _HEIGHTS if len(state.targets) <= most)
    return Chart(axis(start, max(end, start), CHART, grows=going), _order(state, going=going), row)


def _end(state: RunState) -> float:
    """Rollbacks of CodeDeploy's own may go on after the run's end."""
    return max(state.ended_at or 0.0, *(each.ended_at or 0.0 for each in state.targets.values()), 0.0)


def _order(state: RunState, *, going: bool) -> tuple[str, ...]:
    if going:
        return tuple(state.targets)
    begun = {name: each.started_at for name, each in state.targets.items()}
    return tuple(sorted(begun, key=lambda name: (begun[name] is None, begun[name] or 0.0)))


def gantt_svg(state: RunState, now: float, forecast: Forecast) -> Markup:
    """The whole drawing. `now`: epoch seconds. `forecast`: of the same state at the same time."""
    chart = chart_of(state, now, forecast)
    width = LABELS + CHART + END
    return tag(
        "svg",
        tag("title", f"{plural(len(chart.order), 'target')} in time, in UTC"),
        tag("g", join(_tick(chart, when, label) for when, label in chart.axis.ticks()), class_="axis"),
        join(gantt_bars(state, now, forecast).values()),
        critical_bars(state, chart, forecast),
        now_line(state, chart, now),
        xmlns="http://www.w3.org/2000/svg",
        class_="gantt" if chart.row > _ROOMY else "gantt dense",
        role="group",
        aria_label=f"{plural(len(chart.order), 'target')} in time",
        width=width,
        height=chart.height,
        viewBox=f"0 0 {width:.0f} {chart.height:.0f}",
    )


def gantt_bars(state: RunState, now: float, forecast: Forecast) -> dict[str, Markup]:
    """Each target's row, by its id within the drawing. The parameters are those of `gantt_svg`."""
    chart = chart_of(state, now, forecast)
    critical = frozenset(forecast.critical)
    return {
        element_id("bar", name): _row(state.targets[name], state, chart, number, now, forecast, critical)
        for number, name in enumerate(chart.order)
    }


def now_line(state: RunState, chart: Chart, now: float) -> Markup:
    """Empty once the run is over."""
    if state.ended_at is not None:
        return tag("g", id=NOW_LINE)
    x = chart.x(now)
    return tag(
        "g",
        tag("line", x1=x, x2=x, y1=_TOP - 4, y2=chart.height - _BOTTOM),
        tag("text", "now", x=x, y=chart.height - 3, text_anchor="middle"),
        id=NOW_LINE,
    )


def critical_bars(state: RunState, chart: Chart, forecast: Forecast) -> Markup:
    """Steps from the end of each member of the critical chain, as it was or is expected, to the next one."""
    number = {name: place for place, name in enumerate(chart.order)}
    steps = []
    for before, after in pairwise(forecast.critical):
        end = state.targets[before].ended_at or forecast.ends.get(before)
        if end is None:
            continue
        top, bottom = number[before], number[after]
        edge = _BAR / 2 * chart.row * (1 if bottom > top else -1)
        x = chart.x(end)
        steps.append(f"M{x:.1f} {_middle(chart, top) + edge:.1f}V{_middle(chart, bottom) - edge:.1f}")
    return tag("path", id=CRITICAL_BARS, class_="critical", d="".join(steps) or "M0 0")


def _middle(chart: Chart, number: int) -> float:
    return chart.y(number) + chart.row / 2


def _tick(chart: Chart, when: float, label: str) -> Markup:
    x = chart.x(when)
    line = tag("line", x1=x, x2=x, y1=_TOP - 4, y2=chart.height - _BOTTOM)
    return join([line, tag("text", label, x=x, y=_TOP - 9, text_anchor="middle")])


# --- rows ------------------------------------------------------------------------------------------------------------


def _row(
    target: TargetRun,
    state: RunState,
    chart: Chart,
    number: int,
    now: float,
    forecast: Forecast,
    critical: frozenset[str],
) -> Markup:
    spans = spans_of(target, state, now)
    size = 12.0 if chart.row > _ROOMY else 10.0
    look = f"row s-{target.state}{' critical' if target.id in critical else ''}"
    return tag(
        "a",
        tag("title", _tip(target, spans)),
        tag("rect", class_="lane", width=LABELS + CHART + END, height=chart.row),
        tag("text", fit(target.id, LABELS - 14, size * 1.04), x=8, y=chart.row / 2 + size * 0.36),
        join(_span(span, chart) for span in spans),
        _expected(target, chart, now, forecast),
        _end_mark(target, spans, chart),
        id=element_id("bar", target.id),
        href=target_anchor(target.id),
        class_=look,
        transform=f"translate(0 {chart.y(number):.1f})",
        tabindex=-1,
    )


def _span(span: Span, chart: Chart) -> Markup:
    x, end = chart.x(span.start), chart.x(span.end)
    height = _THICKNESS.get(span.kind, _BAR) * chart.row
    return _bar(span.kind, x, end, height, chart)


def _bar(kind: str, x: float, end: float, height: float, chart: Chart) -> Markup:
    y = (chart.row - height) / 2
    return tag("rect", class_=f"span {kind}", x=x, y=y, width=max(1.0, end - x), height=height, rx=min(2.0, height / 2))


def _expected(target: TargetRun, chart: Chart, now: float, forecast: Forecast) -> Markup:
    end = forecast.ends.get(target.id)
    if end is None or end <= now:
        return NOTHING
    return _bar("expected", chart.x(forecast.starts.get(target.id, now)), chart.x(end), _BAR * chart.row, chart)


def _end_mark(target: TargetRun, spans: Sequence[Span], chart: Chart) -> Markup:
    if not target.state.is_final or target.ended_at is None:
        return NOTHING
    end = max([chart.x(target.ended_at), *(chart.x(span.end) for span in spans[-1:])])
    return glyph(target.state, end + 9, chart.row / 2)


def _tip(target: TargetRun, spans: Sequence[Span]) -> str:
    parts = [f"{one_line(target.id)}: {words(target.state)}"]
    parts += [
        f"{_NAMES[span.kind]} {duration(span.end - span.start)} from {clock_time(span.start, UTC)}" for span in spans
    ]
    return "; ".join(parts)
