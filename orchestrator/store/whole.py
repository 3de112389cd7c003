"""Runs with parts read as one: a `RunStore` around another, for everything that only looks."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from orchestrator.core.concurrent import map_limited
from orchestrator.core.errors import UsageError
from orchestrator.core.events import Record
from orchestrator.core.merging import merged, parts_of
from orchestrator.core.runs import JournalContents, RunJournal, RunStore, RunSummary
from orchestrator.core.state import RunState
from orchestrator.store.finding import named, newest
from orchestrator.store.reading import fold

AT_ONCE = 8


class WholeRuns:
    """A `core.runs.RunStore`. Journals are opened as they are: a part is a run of its own to whoever goes on with it."""

    def __init__(self, runs: RunStore) -> None:
        self._runs = runs

    @property
    def where(self) -> str:
        return self._runs.where

    @property
    def single(self) -> RunStore:
        """Each journal by itself."""
        return self._runs

    def open_journal(self, run: str, *, new: bool) -> AbstractAsyncContextManager[RunJournal]:
        return self._runs.open_journal(run, new=new)

    async def list_runs(self) -> list[RunSummary]:
        """Without the parts, which their runs speak for."""
        return [each for each in await self._runs.list_runs() if each.part_of is None]

    async def find_run(self, run: str | None) -> str:
        if run is None:
            return newest(await self.list_runs(), self.where)
        try:
            return await self._runs.find_run(run)
        except UsageError:  # the beginning of a run is that of its parts, too
            return named(run, sorted(each.run for each in await self.list_runs()), self.where)

    async def read_run(self, run: str) -> JournalContents:
        own = await self._runs.read_run(run)
        parts = parts_of(own.records)
        if not parts:
            return own
        found = dict(zip(parts, await map_limited(self._records, parts, limit=AT_ONCE), strict=True))
        return JournalContents(records=tuple(merged(run, own.records, found)), note=own.note)

    async def load_run(self, run: str) -> RunState:
        contents = await self.read_run(run)
        return fold(contents.records, f"{self.where}: run {run}")

    async def _records(self, part: str) -> tuple[Record, ...]:
        """Nothing yet where it hasn't begun."""
        try:
            return (await self._runs.read_run(part)).records
        except UsageError:
            return ()
