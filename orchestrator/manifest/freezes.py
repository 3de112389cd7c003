"""When freeze windows begin and end: recurrence rules, time zones, and the nights on which clocks are set.

A window begins and ends by the clock on the wall. In the night in which clocks go back it begins with the first and
ends with the last of two equal times; a time that the clocks jump over is the moment of the jump.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from orchestrator.core.freezing import Calendar, FreezeWindow, Frozen, NoFreezes

if TYPE_CHECKING:
    from dateutil.rrule import rrule, rruleset

ANCHOR = datetime(2024, 1, 1)  # noqa: DTZ001 - a day, not a moment
"""What INTERVAL and COUNT count from: a Monday, the first of a month and of a year."""

HORIZON = timedelta(days=400)
"""So far ahead windows are looked for: those of a yearly rule are found."""

LAST_MINUTE = time(23, 59)
"""As an end it means midnight."""

_UNTIL_IN_UTC = re.compile(r"(UNTIL=\d{8}T\d{6})Z")

Interval = tuple[float, float]
"""Epoch seconds; the end isn't part of it."""


def parse_rule(text: str) -> rrule | rruleset:
    """The days of a rule. Raises ValueError when it is none."""
    from dateutil.rrule import rrulestr  # noqa: PLC0415 - only manifests with freeze windows pay for it

    return rrulestr(_UNTIL_IN_UTC.sub(r"\1", text), dtstart=ANCHOR)


def calendar_of(windows: Sequence[FreezeWindow]) -> Calendar:
    return Windows(windows) if windows else NoFreezes()


class Windows:
    """Fulfils `core.freezing.Calendar`."""

    def __init__(self, windows: Sequence[FreezeWindow]) -> None:
        self._windows = [_Window(window) for window in windows]

    def frozen(self, now: float) -> Frozen | None:
        holding = [(found[1], window) for window in self._windows if (found := window.at(now)) is not None]
        if not holding:
            return None
        until, window = max(holding, key=lambda each: each[0])
        return Frozen(window=str(window.what), until=self._end(now, until))

    def next_start(self, now: float) -> float | None:
        starts = [interval[0] for window in self._windows for interval in window.intervals(now) if interval[0] > now]
        return min(starts, default=None)

    def _end(self, now: float, until: float) -> float:
        """The end of all windows that follow each other without a gap."""
        for start, end in sorted(interval for window in self._windows for interval in window.intervals(now)):
            if start <= until < end:
                until = end
        return until


class _Window:
    """One window, with the intervals around the day that was asked for last."""

    def __init__(self, what: FreezeWindow) -> None:
        self.what = what
        self._rule = parse_rule(what.rrule)
        self._zone = ZoneInfo(what.tz)
        self._start, self._end = time.fromisoformat(what.start), time.fromisoformat(what.end)
        self._day: date | None = None
        self._known: list[Interval] = []

    def at(self, now: float) -> Interval | None:
        return next((each for each in self.intervals(now) if each[0] <= now < each[1]), None)

    def intervals(self, now: float) -> list[Interval]:
        """From the day before this moment on, as far as the horizon."""
        today = datetime.fromtimestamp(now, self._zone).date()
        if today != self._day:
            self._day, self._known = today, list(self._around(today))
        return self._known

    def _around(self, today: date) -> Iterator[Interval]:
        first = datetime.combine(today, time()) - timedelta(days=2)
        for day in _days(self._rule.between(first, first + HORIZON, inc=True)):
            yield self._interval(day)

    def _interval(self, day: date) -> Interval:
        end_day, end = day, self._end
        if end == LAST_MINUTE:
            end_day, end = day + timedelta(days=1), time()
        elif end <= self._start:
            end_day = day + timedelta(days=1)
        return (
            _moment(datetime.combine(day, self._start), self._zone, last=False),
            _moment(datetime.combine(end_day, end), self._zone, last=True),
        )


def _days(moments: Iterable[datetime]) -> Iterator[date]:
    """Each day once, also where a rule names several times of it."""
    return iter(dict.fromkeys(each.date() for each in moments))


def _moment(wall: datetime, zone: ZoneInfo, *, last: bool) -> float:
    """Epoch seconds of a time on the wall: the first or the last such moment; of one that isn't, the jump over it."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    if first <= second:
        return second if last else first
    return _jump(second, first, zone)


def _jump(before: float, after: float, zone: ZoneInfo) -> float:
    """The second between these two at which the zone's offset changes."""
    low, high = int(before), int(after)
    old = _offset(low, zone)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(middle, zone) == old:
            low = middle
        else:
            high = middle
    return float(high)


def _offset(seconds: int, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(seconds, UTC).astimezone(zone).utcoffset()
