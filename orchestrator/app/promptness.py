"""What happens is in the journal a moment later, for those who follow it from another process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from orchestrator.core.events import Record
from orchestrator.core.state import RunState

GATHER = 0.05
"""Seconds in which events come together. The engine's own beat is a second, which is long for somebody who watches."""


class Promptness:
    """A sink that has the journal published soon after each event. A store that pays for writes takes its own time."""

    def __init__(self) -> None:
        self._came = anyio.Event()

    def handle(self, record: Record, state: RunState) -> None:  # noqa: ARG002 - the port's
        self._came.set()

    async def run(self, publish: Callable[[], Awaitable[None]]) -> None:
        """Never returns; cancel it. Raises as `publish` does."""
        while True:
            await self._came.wait()
            await anyio.sleep(GATHER)
            self._came = anyio.Event()
            await publish()
