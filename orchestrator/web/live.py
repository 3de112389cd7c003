"""The run of this very process, without a way round by its journal.

The engine's thread hands every event over and goes on: it waits for nobody. The page has an event loop in a thread of
its own, with a state of its own, folded from the same events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

import anyio

from orchestrator.core.events import Record
from orchestrator.core.ports import Sink
from orchestrator.core.state import RunState


class LiveTail:
    """A `core.runs.RunTail` that is told what comes. Belongs to the page's loop."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self.state = RunState()
        self._sinks = sinks
        self._count = 0
        self._came = anyio.Event()

    def take(self, records: Iterable[Record]) -> None:
        """Raises as the fold does."""
        for record in records:
            self.state.apply(record)
            for sink in self._sinks:
                sink.handle(record, self.state)
            self._count += 1
        self._came.set()

    async def read(self) -> int:
        count, self._count = self._count, 0
        self._came = anyio.Event()
        return count

    async def wait(self) -> None:
        await self._came.wait()


class LiveSink:
    """A `core.ports.Sink` in the engine's thread, which hands over to the page's.

    It keeps no more than what hasn't been taken yet, and the page's loop takes it as soon as it can.
    """

    def __init__(self, call: Callable[[Callable[[], None]], object], take: Callable[[Sequence[Record]], None]) -> None:
        """`call`: has a function called on the page's loop, from any thread; raises RuntimeError once that has ended.

        `take`: gets all records there, in their order.
        """
        self._call = call
        self._take = take
        self._waiting: deque[Record] = deque()
        self._called = False
        self._is_of_use = True

    def remember(self, records: Iterable[Record]) -> None:
        """What the run's journal holds already, before the first event of this process."""
        self._waiting.extend(records)

    def handle(self, record: Record, state: RunState) -> None:  # noqa: ARG002 - the page folds for itself
        if not self._is_of_use:
            return
        self._waiting.append(record)
        if self._called:
            return
        self._called = True
        try:
            self._call(self._hand_over)
        except RuntimeError:  # the page has ended before the run
            self._is_of_use = False
            self._waiting.clear()

    def _hand_over(self) -> None:
        """On the page's loop."""
        self._called = False  # before it is emptied: what comes meanwhile has us called again
        records: list[Record] = []
        while self._waiting:
            records.append(self._waiting.popleft())
        if records:
            self._take(records)
