"""A journal for what needs none: `wait` starts nothing, so there is nothing to be found again."""

from __future__ import annotations

from orchestrator.core.events import Record


class NoJournal:
    """A `core.ports.Journal` that keeps nothing."""

    def append(self, record: Record) -> None:
        pass

    async def flush(self) -> None:
        pass

    async def publish(self) -> None:
        pass
