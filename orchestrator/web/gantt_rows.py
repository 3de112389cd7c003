"""One row of the chart in time: a name, bars, and how it ended. Made from plain values, and remembered by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from orchestrator.core.model import TargetState
from orchestrator.core.spans import Span
from orchestrator.core.target_run import TargetRun
from orchestrator.web.html import Markup, join, tag
from orchestrator.web.links import element_id, target_anchor
from orchestrator.web.looks import fit, glyph, words
from orchestrator.wording.text import duration, one_line

LABELS, CHART, END = 210.0, 920.0, 26.0
"""Pixels: the names, the time, and what is left free behind it."""

ROOMY = 18.0
"""Rows that are higher have bigger names."""

BAR = 0.58
"""The share of a row's height that a deployment takes."""
_THICKNESS: Mapping[str, float] = {"needs": 0.08, "queue": 0.08, "blocked": 0.16, "upload": 0.3, "starting": 0.3}
"""The same of what is thinner."""

WAITS = frozenset({"needs", "queue", "blocked"})

SPAN_NAMES: Mapping[str, str] = {
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


@dataclass(frozen=True, slots=True)
class Bar:
    """In pixels from the left."""

    kind: str
    """That of a `core.spans.Span`, or `expected`."""
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    id: str
    state: TargetState
    critical: bool
    y: float
    height: float
    tip: str
    bars: tuple[Bar, ...]
    mark: float | None
    """Behind what the glyph of its end stands; None: it hasn't ended."""
    has_id: bool


@lru_cache(maxsize=1 << 13)
def row_markup(row: Row) -> Markup:
    """Pure; remembered, since most rows stay as they are from one drawing to the next."""
    size = 12.0 if row.height > ROOMY else 10.0
    return tag(
        "a",
        tag("title", row.tip),
        tag("rect", class_="lane", width=LABELS + CHART + END, height=row.height),
        tag("text", fit(row.id, LABELS - 14, size * 1.04), x=8, y=row.height / 2 + size * 0.36),
        join(_bar(bar, row.height) for bar in row.bars),
        glyph(row.state, row.mark + 9, row.height / 2) if row.mark is not None else None,
        id=element_id("bar", row.id) if row.has_id else None,
        href=target_anchor(row.id),
        class_=f"row s-{row.state}{' critical' if row.critical else ''}",
        transform=f"translate(0 {row.y:.1f})",
        tabindex=-1,
    )


def _bar(bar: Bar, row: float) -> Markup:
    height = _THICKNESS.get(bar.kind, BAR) * row
    width = max(1.0, bar.end - bar.start)
    y, rounding = (row - height) / 2, min(2.0, height / 2)
    return tag("rect", class_=f"span {bar.kind}", x=bar.start, y=y, width=width, height=height, rx=rounding)


def tip_of(target: TargetRun, spans: Sequence[Span], now: float) -> str:
    """What it spent its time with; how long it has waited by `now` would change all the time."""
    told = [span for span in spans if span.kind not in WAITS or span.end < now]
    parts = [f"{SPAN_NAMES[span.kind]} {duration(span.end - span.start)}" for span in told]
    return "; ".join([f"{one_line(target.id)}: {words(target.state)}", *parts])
