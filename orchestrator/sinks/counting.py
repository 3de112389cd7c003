"""A histogram of targets, whose lines are written once for each change, not once for each scrape.

The event loop counts while other threads read: a lock for each set of labels, held for microseconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from threading import Lock

from orchestrator.sinks.exposition import PREFIX, Family, number, pairs


class Histogram:
    """How often values fell below each bound; with labels, or the one series without."""

    def __init__(self, name: str, help_text: str, bounds: Sequence[float], *labels: str) -> None:
        """`bounds`: upper ones, included, rising, without the infinite one."""
        self.name, self._help, self._labels = PREFIX + name, help_text, labels
        self._bounds = tuple(bounds)
        self._lock = Lock()
        self._series: dict[tuple[str, ...], _Series] = {}
        if not labels:
            self._series[()] = self._new(())

    def observe(self, value: float, *values: str) -> None:
        """Something below 0, which two clocks can make of what happened at once, is 0."""
        found = self._series.get(values)
        if found is None:
            with self._lock:
                found = self._series.setdefault(values, self._new(values))
        found.observe(max(0.0, value))

    def family(self) -> Family:
        with self._lock:
            found = list(self._series.values())
        return Family(self.name, "histogram", self._help, b"".join([each.lines() for each in found]))

    def _new(self, values: tuple[str, ...]) -> _Series:
        return _Series(self.name, self._labels, values, self._bounds)


class _Series:
    """One set of labels."""

    def __init__(self, name: str, labels: Sequence[str], values: Sequence[str], bounds: tuple[float, ...]) -> None:
        own = dict(zip(labels, values, strict=True))
        before = pairs({key: value for key, value in own.items() if key < "le"})
        after = pairs({key: value for key, value in own.items() if key > "le"})
        self._head = f'{name}_bucket{{{before}{"," if before else ""}le="'
        self._tail = f'"{"," if after else ""}{after}}} '
        self._rest = (f"{name}_count{_braces(labels, values)} ", f"{name}_sum{_braces(labels, values)} ")
        self._bounds = bounds
        self._lock = Lock()
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._lines: bytes | None = None

    def observe(self, value: float) -> None:
        with self._lock:
            self._counts[bisect_left(self._bounds, value)] += 1
            self._sum += value
            self._lines = None

    def lines(self) -> bytes:
        with self._lock:
            if self._lines is None:
                self._lines = self._written().encode()
            return self._lines

    def _written(self) -> str:
        counts, head, tail = list(accumulate(self._counts)), self._head, self._tail
        bounds = [number(bound) for bound in (*self._bounds, float("inf"))]
        buckets = "".join([f"{head}{le}{tail}{count}.0\n" for le, count in zip(bounds, counts, strict=True)])
        count_head, sum_head = self._rest
        return f"{buckets}{count_head}{counts[-1]}.0\n{sum_head}{number(self._sum)}\n"


def _braces(labels: Sequence[str], values: Sequence[str]) -> str:
    return f"{{{pairs(dict(zip(labels, values, strict=True)))}}}" if labels else ""
