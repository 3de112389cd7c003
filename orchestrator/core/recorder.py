"""Where events come into being: numbered, folded into the state, given to the journal and to every view."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestrator.core.events import Event, Record
from orchestrator.core.ports import Journal, Sink
from orchestrator.core.state import RunState


class Recorder:
    """The one owner of a run's state.

    `record` is synchronous, so that no other task can come between an event and its effect; `commit` waits until all
    that was recorded is durable, and stands before every step that depends on it.
    """

    def __init__(
        self, *, run: str, state: RunState, journal: Journal, sinks: Sequence[Sink], clock: Callable[[], float]
    ) -> None:
        """`clock` gives epoch seconds."""
        self.run = run
        self.state = state
        self.clock = clock
        self.began = state.last_seq
        """The last event that was there before this process."""
        self._journal = journal
        self._sinks = tuple(sinks)

    def record(self, event: Event) -> None:
        record = Record(self.state.last_seq + 1, self.clock(), self.run, event)
        self.state.apply(record)
        self._journal.append(record)
        for sink in self._sinks:
            sink.handle(record, self.state)

    def watch(self, sink: Sink) -> None:
        """Tells one more view, from the next event on."""
        self._sinks = (*self._sinks, sink)

    async def commit(self) -> None:
        """Raises `StateError` when the journal can't be written: the run must not go on without it."""
        await self._journal.flush()

    async def publish(self) -> None:
        """Lets others see what was recorded, when it suits the journal; no step depends on it. Raises as `commit`."""
        await self._journal.publish()
