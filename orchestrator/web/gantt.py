"""The run in time as SVG: a row for each target, what it spent its time with, and what is still to come.

Waiting is a thin line, preparing a thicker one, a deployment a bar: shapes tell them apart, not colours alone. What is
expected is an outline. Rows stand in the plan's order as long as the run goes on, so that none of them moves; of a run
that is over they stand by when they began. Each row is a link with the id `bar/…` and can be replaced by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from orchestrator.core.forecast import Forecast
from orchestrator.core.spans import Span, spans_of
from orchestrator.core.state import RunState, TargetRun
from orchestrator.web.axis import Axis, axis
from orchestrator.web.gantt_rows import BAR, CHART, END, LABELS, ROOMY, WAITS, Bar, Row, row_markup, tip_of
from orchestrator.web.html import Markup, join, tag
from orchestrator.web.links import element_id
from orchestrator.wording.text import plural

NOW_LINE = "now-line"
CRITICAL_BARS = "critical-bars"
"""Ids of what changes beside the rows."""

_TOP, _BOTTOM = 30.0, 16.0
"""Pixels, for the times and for the word at the line of now."""

_HEIGHTS = ((60, 26.0), (250, 20.0), (10**9, 15.0))
"""Up to so many rows, each so high."""

_COARSE = 6.0
"""Pixels in which what only waits grows: else each of a thousand rows would change all the time."""


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
    alive: bool = True
    """False: nobody carries the run on, and `now` is when its last event came."""

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
            class_="gantt" if chart.row > ROOMY else "gantt dense",
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
        return tag(
            "g", line, _centred("now" if self.alive else "last event", x, self.chart.height - 3), id=name, class_="now"
        )

    def _critical(self) -> Markup:
        """Steps from the end of each member of the critical chain, as it was or is expected, to the next one."""
        chart, number = self.chart, {name: place for place, name in enumerate(self.chart.order)}
        steps = []
        for before, after in pairwise(self.forecast.critical):
            end = self.state.targets[before].ended_at or self.forecast.ends.get(before)
            if end is not None:
                top, bottom = number[before], number[after]
                edge = BAR / 2 * chart.row * (1 if bottom > top else -1)
                steps.append(f"M{chart.x(end):.1f} {chart.middle(top) + edge:.1f}V{chart.middle(bottom) - edge:.1f}")
        path = "".join(steps) or "M0 0"
        return tag("path", id=CRITICAL_BARS if self.ids else None, class_="critical", d=path)

    # --- rows --------------------------------------------------------------------------------------------------------

    def _row(self, target: TargetRun, number: int) -> Markup:
        spans = tuple(self._shown(target))
        bars = tuple(
            Bar(span.kind, round(self.chart.x(span.start), 1), round(self.chart.x(span.end), 1)) for span in spans
        )
        row = Row(
            id=target.id,
            state=target.state,
            critical=target.id in self.forecast.critical,
            y=self.chart.y(number),
            height=self.chart.row,
            tip=tip_of(target, spans, self.now),
            bars=(*bars, *self._expected(target)),
            mark=self._mark(target, bars),
            has_id=self.ids,
        )
        return row_markup(row)

    def _shown(self, target: TargetRun) -> Iterator[Span]:
        """Of what waits for its needs nothing yet; what waits for something else grows now and then."""
        for span in spans_of(target, self.state, self.now):
            if span.end < self.now or span.kind not in WAITS or self.state.ended_at is not None:
                yield span
            elif span.kind != "needs":
                axis = self.chart.axis
                step = _COARSE / axis.width * (axis.end - axis.start)
                end = axis.start + (self.now - axis.start) // step * step
                if end > span.start:
                    yield Span(span.kind, span.start, end)

    def _expected(self, target: TargetRun) -> tuple[Bar, ...]:
        end = self.forecast.ends.get(target.id)
        if end is None or end <= self.now:
            return ()
        start = self.forecast.starts.get(target.id)
        if start is None:  # it runs
            return (Bar("expected", round(self.chart.x(self.now), 1), round(self.chart.x(end))),)
        return (Bar("expected", round(self.chart.x(start) / 2) * 2, round(self.chart.x(end) / 2) * 2),)

    def _mark(self, target: TargetRun, bars: Sequence[Bar]) -> float | None:
        if not target.state.is_final or target.ended_at is None:
            return None
        return max(round(self.chart.x(target.ended_at), 1), *(bar.end for bar in bars[-1:]), 0.0)


def gantt_svg(state: RunState, now: float, forecast: Forecast) -> Markup:
    """The whole drawing. `now`: epoch seconds. `forecast`: of the same state at the same time."""
    return Gantt(state, now, forecast, chart_of(state, now, forecast)).svg()


def _tick(chart: Chart, when: float, label: str) -> Markup:
    x = chart.x(when)
    line = tag("line", x1=x, x2=x, y1=_TOP - 4, y2=chart.height - _BOTTOM)
    return join([line, _centred(label, x, _TOP - 9)])


def _centred(text: str, x: float, y: float) -> Markup:
    return tag("text", text, x=x, y=y, text_anchor="middle")
