"""A time axis: from when to when, and its ticks, at round times in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, takewhile
from math import ceil, floor

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
"""Seconds; of more days, whole numbers of them."""

MOST = 9
"""Ticks."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Times are epoch seconds."""

    start: float
    end: float
    step: float
    width: float
    """In pixels."""

    def x(self, when: float) -> float:
        """Pixels from the left; what is outside stands at the rim."""
        share = (when - self.start) / (self.end - self.start)
        return min(1.0, max(0.0, share)) * self.width

    def ticks(self) -> tuple[tuple[float, str], ...]:
        """When, and how it is written."""
        first = ceil(self.start / self.step) * self.step
        times = takewhile(lambda when: when <= self.end, (first + number * self.step for number in count()))
        return tuple((when, self._label(when)) for when in times)

    def _label(self, when: float) -> str:
        moment = datetime.fromtimestamp(when, UTC)
        if self.step >= 86400 or (when % 86400 == 0 and self.step >= 3600):
            return moment.strftime("%d %b")
        return moment.strftime("%H:%M:%S" if self.step < 60 else "%H:%M")


def axis(start: float, end: float, width: float, *, grows: bool) -> Axis:
    """`grows`: `end` will be later soon; the axis then ends at the next tick but one, so that it seldom changes."""
    length = max(1.0, end - start)
    step = _step(length)
    if grows:
        step = _step(length * 1.1)
        end = (floor(end / step) + 1) * step
    return Axis(start, max(end, start + 1.0), step, width)


def _step(length: float) -> float:
    for step in _STEPS:
        if length / step <= MOST:
            return step
    return ceil(length / MOST / 86400) * 86400
