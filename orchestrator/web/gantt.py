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

SPAN_NAMES = {
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

    def middle(self, number: int) -> float:
        return self.y(number) + self.row / 2


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


@dataclass(frozen=True, slots=True)
class Gantt:
    """The drawing of a run at one moment."""

    state: RunState
    now: float
    """Epoch seconds."""
    forecast: Forecast
    """Of the same state at the same time."""
    chart: Chart
    ids: bool = True
    """False: for a second drawing in the same document, since an id may stand there only once."""

    def svg(self) -> Markup:
        chart, width = self.chart, LABELS + CHART + END
        return tag(
            "svg",
            tag("title", f"{plural(len(chart.order), 'target')} in time, in UTC"),
            tag("g", join(_tick(chart, when, label) for when, label in chart.axis.ticks()), class_="axis"),
            join(self._row(self.state.targets[name], number) for number, name in enumerate(chart.order)),
            self._critical(),
            self._now_line(),
            xmlns="http://www.w3.org/2000/svg",
            class_="gantt" if chart.row > _ROOMY else "gantt dense",
            role="group",
            aria_label=f"{plural(len(chart.order), 'target')} in time",
            width=width,
            height=chart.height,
            viewBox=f"0 0 {width:.0f} {chart.height:.0f}",
        )

    def parts(self) -> dict[str, Markup]:
        """What changes as time goes on, by its id within the drawing: each target's row, and what lies over them."""
        rows = {
            element_id("bar", name): self._row(self.state.targets[name], number)
            for number, name in enumerate(self.chart.order)
        }
        return rows | {CRITICAL_BARS: self._critical(), NOW_LINE: self._now_line()}

    # --- over the rows -----------------------------------------------------------------------------------------------

    def _now_line(self) -> Markup:
        """Empty once the run is over."""
        name = NOW_LINE if self.ids else None
        if self.state.ended_at is not None:
            return tag("g", id=name, class_="now")
        x = self.chart.x(self.now)
        line = tag("line", x1=x, x2=x, y1=_TOP - 4, y2=self.chart.height - _BOTTOM)
        return tag("g", line, _centred("now", x, self.chart.height - 3), id=name, class_="now")

    def _critical(self) -> Markup:
        """Steps from the end of each member of the critical chain, as it was or is expected, to the next one."""
        chart, number = self.chart, {name: place for place, name in enumerate(self.chart.order)}
        steps = []
        for before, after in pairwise(self.forecast.critical):
            end = self.state.targets[before].ended_at or self.forecast.ends.get(before)
            if end is not None:
                top, bottom = number[before], number[after]
                edge = _BAR / 2 * chart.row * (1 if bottom > top else -1)
                steps.append(f"M{chart.x(end):.1f} {chart.middle(top) + edge:.1f}V{chart.middle(bottom) - edge:.1f}")
        path = "".join(steps) or "M0 0"
        return tag("path", id=CRITICAL_BARS if self.ids else None, class_="critical", d=path)

    # --- rows --------------------------------------------------------------------------------------------------------

    def _row(self, target: TargetRun, number: int) -> Markup:
        chart, spans = self.chart, spans_of(target, self.state, self.now)
        size = 12.0 if chart.row > _ROOMY else 10.0
        critical = " critical" if target.id in self.forecast.critical else ""
        return tag(
            "a",
            tag("title", _tip(target, spans)),
            tag("rect", class_="lane", width=LABELS + CHART + END, height=chart.row),
            tag("text", fit(target.id, LABELS - 14, size * 1.04), x=8, y=chart.row / 2 + size * 0.36),
            join(_span(span, chart) for span in spans),
            self._expected(target),
            _end_mark(target, spans, chart),
            id=element_id("bar", target.id) if self.ids else None,
            href=target_anchor(target.id),
            class_=f"row s-{target.state}{critical}",
            transform=f"translate(0 {chart.y(number):.1f})",
            tabindex=-1,
        )

    def _expected(self, target: TargetRun) -> Markup:
        end = self.forecast.ends.get(target.id)
        if end is None or end <= self.now:
            return NOTHING
        start = self.forecast.starts.get(target.id, self.now)
        return _bar("expected", self.chart.x(start), self.chart.x(end), _BAR * self.chart.row, self.chart)


def gantt_svg(state: RunState, now: float, forecast: Forecast) -> Markup:
    """The whole drawing. `now`: epoch seconds. `forecast`: of the same state at the same time."""
    return Gantt(state, now, forecast, chart_of(state, now, forecast)).svg()


def _tick(chart: Chart, when: float, label: str) -> Markup:
    x = chart.x(when)
    line = tag("line", x1=x, x2=x, y1=_TOP - 4, y2=chart.height - _BOTTOM)
    return join([line, _centred(label, x, _TOP - 9)])


def _centred(text: str, x: float, y: float) -> Markup:
    return tag("text", text, x=x, y=y, text_anchor="middle")


def _span(span: Span, chart: Chart) -> Markup:
    height = _THICKNESS.get(span.kind, _BAR) * chart.row
    return _bar(span.kind, chart.x(span.start), chart.x(span.end), height, chart)


def _bar(kind: str, x: float, end: float, height: float, chart: Chart) -> Markup:
    y = (chart.row - height) / 2
    return tag("rect", class_=f"span {kind}", x=x, y=y, width=max(1.0, end - x), height=height, rx=min(2.0, height / 2))


def _end_mark(target: TargetRun, spans: Sequence[Span], chart: Chart) -> Markup:
    if not target.state.is_final or target.ended_at is None:
        return NOTHING
    end = max([chart.x(target.ended_at), *(chart.x(span.end) for span in spans[-1:])])
    return glyph(target.state, end + 9, chart.row / 2)


def _tip(target: TargetRun, spans: Sequence[Span]) -> str:
    parts = [f"{one_line(target.id)}: {words(target.state)}"]
    parts += [
        f"{SPAN_NAMES[span.kind]} {duration(span.end - span.start)} from {clock_time(span.start, UTC)}"
        for span in spans
    ]
    return "; ".join(parts)
