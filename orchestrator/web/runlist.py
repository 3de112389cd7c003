"""The list of runs, looked at again while somebody looks at it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import anyio

from orchestrator.core.errors import StateError
from orchestrator.core.runs import RunStore, RunSummary
from orchestrator.web.board import MAIN, Board
from orchestrator.web.pages import runs_content


class RunList(Board):
    """Its "events" are its own changes: a list has no numbers of events to go by."""

    def __init__(self, store: RunStore, *, every: float) -> None:
        """`every`: seconds between two looks, at least."""
        super().__init__()
        self.problem: str | None = None
        """Why the state can't be read just now."""
        self.runs: Sequence[RunSummary] = ()
        self._store = store
        self._every = every
        self._looked = -math.inf
        self._reading = anyio.Lock()

    @property
    def where(self) -> str:
        return self._store.where

    async def refresh(self) -> None:
        """Unless it was looked at a moment ago."""
        async with self._reading:
            if anyio.current_time() - self._looked < self._every:
                return
            try:
                self.runs, self.problem = await self._store.list_runs(), None
            except StateError as error:
                self.problem = str(error)
            self._looked = anyio.current_time()
            self.draw()

    async def follow(self) -> None:
        """Never returns; cancel it."""
        while True:
            await self.looked_at()
            await self.refresh()
            await anyio.sleep(self._every)

    def draw(self) -> None:
        content = runs_content(self.runs, where=self.where, problem=self.problem)
        known = self._drawn.get(MAIN)
        if known is None or known.markup != content:
            self.put({MAIN: content}, self.seq + 1, whole=True)
