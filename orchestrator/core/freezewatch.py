"""A run looks at the calendar of freezes."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from orchestrator.core.freezing import Calendar, Frozen

LONGEST_LOOK = 30.0
"""Seconds between two looks at the clock: it may be set, and a machine may have slept."""


class FreezeWatch:
    """Looks at the calendar for a run; remembers until when nothing can have begun, so that looking costs nothing."""

    def __init__(self, calendar: Calendar, clock: Callable[[], float]) -> None:
        """`clock`: epoch seconds."""
        self._calendar = calendar
        self._clock = clock
        self._known: tuple[float, float] | None = None
        """From when until when nothing is frozen."""

    def frozen(self) -> Frozen | None:
        now = self._clock()
        if self._known is not None and self._known[0] <= now < self._known[1]:
            return None
        found = self._calendar.frozen(now)
        if found is None:
            self._known = (now, self._calendar.next_start(now) or float("inf"))
        return found

    async def begin(self) -> Frozen:
        """Returns when a freeze holds."""
        while (found := self.frozen()) is None:
            end = self._known[1] if self._known is not None else float("inf")
            await anyio.sleep(min(LONGEST_LOOK, max(0.0, end - self._clock())))
        return found
