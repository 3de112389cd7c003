"""One budget of calls for one account and region: token bucket, AIMD, priorities with ageing.

CodeDeploy publishes no request rates, so the rate is found: it starts low, grows quickly while nothing is refused (slow
start), is cut on a throttle, and then grows slowly. Calls are spaced, not burst: the first refusal then comes after one
call too many, not after fifty. Whoever waits is served by priority; waiting makes up for it, so nothing starves. Only a
stop waits behind nothing but other stops: they are few, and whoever interrupts a run has seconds.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

import anyio


class Priority(IntEnum):
    """Urgent first."""

    STOP = 0
    CREATE = 1
    POLL = 2
    LIST = 3


AGEING = 5.0
"""Seconds of waiting that are worth one class of priority."""

SLOW_START_GROWTH = 1.1
"""What one successful call does to the rate before the first throttle."""

SLOW_START_CUT = 0.5
CUT = 0.7
GROWTH_PER_SECOND = 0.01
"""After a throttle the rate grows by so much of itself in a second: the limit is touched again only after half a
minute, which keeps throttles near 1 % of the calls."""


_ONE = 1.0 - 1e-9
"""A whole token: sleeping for exactly the missing part may leave a rounding error's worth of it."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to make one call."""

    granted_at: float


@dataclass(order=True, slots=True)
class _Waiter:
    rank: float
    """Its time of arrival, later by AGEING for each class of priority: a static rank that ages by itself.

    A stop has -inf."""
    number: int
    nudge: anyio.Event = field(compare=False)
    gone: bool = field(default=False, compare=False)


class Budget:
    """Calls a second, shared by all who call CodeDeploy in one account and region."""

    def __init__(
        self,
        *,
        rate: float = 5.0,
        ceiling: float = 40.0,
        floor: float = 0.2,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        """Rates are in calls a second; `clock` is monotonic seconds."""
        self.rate = min(rate, ceiling)
        self.throttles = 0
        self._ceiling = ceiling
        self._floor = floor
        self._clock = clock
        self._tokens = 1.0
        self._counted_at: float | None = None
        self._slow_start = True
        self._last_cut = float("-inf")
        self._waiters: list[_Waiter] = []
        self._numbers = 0

    async def acquire(self, priority: Priority) -> Ticket:
        """Waits for the right to make one call."""
        me = self._join(priority)
        try:
            while not self._is_my_turn(me):
                await self._until_nudged(me)
        finally:
            me.gone = True
            self._nudge_head()
        return Ticket(self._clock())

    def succeeded(self) -> None:
        """A call was not throttled, whatever else came of it."""
        if self._tokens >= _ONE and not self._waiters:
            return  # nobody presses against the rate, so nothing was learned about it
        if self._slow_start:
            self.rate *= SLOW_START_GROWTH
        else:
            self.rate += GROWTH_PER_SECOND  # one call is 1/rate seconds of the rate in use
        self.rate = min(self.rate, self._ceiling)

    def throttled(self, ticket: Ticket) -> bool:
        """A call was refused for its rate; returns whether that cut the rate.

        Calls that were under way when the rate was cut tell nothing new and don't cut it again.
        """
        self.throttles += 1
        if ticket.granted_at <= self._last_cut:
            return False
        self._refill()
        self.rate = max(self._floor, self.rate * (SLOW_START_CUT if self._slow_start else CUT))
        self._slow_start = False
        self._last_cut = self._clock()
        self._tokens = min(self._tokens, 0.0)
        return True

    # --- decisions; nothing below awaits, but `_until_nudged` --------------------------------------------------------

    def _join(self, priority: Priority) -> _Waiter:
        self._numbers += 1
        rank = float("-inf") if priority is Priority.STOP else self._clock() + priority * AGEING
        waiter = _Waiter(rank, self._numbers, anyio.Event())
        heapq.heappush(self._waiters, waiter)
        return waiter

    def _is_my_turn(self, me: _Waiter) -> bool:
        self._refill()
        if self._head() is not me or self._tokens < _ONE:
            return False
        self._tokens -= 1.0
        heapq.heappop(self._waiters)
        return True

    def _head(self) -> _Waiter | None:
        while self._waiters and self._waiters[0].gone:
            heapq.heappop(self._waiters)
        return self._waiters[0] if self._waiters else None

    def _nudge_head(self) -> None:
        head = self._head()
        if head is not None:
            head.nudge.set()

    def _refill(self) -> None:
        now = self._clock()
        since = now - self._counted_at if self._counted_at is not None else 0.0
        self._counted_at = now
        # A timer is late by a millisecond or so: at a high rate several tokens must be able to gather meanwhile.
        capacity = max(1.0, self.rate * 0.05)
        self._tokens = min(capacity, self._tokens + since * self.rate)

    async def _until_nudged(self, me: _Waiter) -> None:
        """The head sleeps until its token is due; all others until they become the head."""
        seconds = (1.0 - self._tokens) / self.rate if self._head() is me else float("inf")
        with anyio.move_on_after(seconds):
            await me.nudge.wait()
            me.nudge = anyio.Event()
