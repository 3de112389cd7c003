"""Runs with parts read as one: a `RunStore` around another, for everything that only looks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress

from orchestrator.core.concurrent import map_limited
from orchestrator.core.errors import UsageError
from orchestrator.core.events import Record
from orchestrator.core.merging import Merger, merged, merged_order, parts_of
from orchestrator.core.ports import Sink
from orchestrator.core.runs import JournalContents, RunJournal, RunStore, RunSummary, RunTail
from orchestrator.core.state import RunState
from orchestrator.store.finding import named, newest
from orchestrator.store.reading import fold, fold_into

AT_ONCE = 8


class _Gathered:
    """A sink of one journal's tail: what has come since it was last emptied."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def handle(self, record: Record, state: RunState) -> None:  # noqa: ARG002 - a sink's signature
        self.records.append(record)

    def emptied(self) -> list[Record]:
        records, self.records = self.records, []
        return records


class WholeTail:
    """A `core.runs.RunTail` of a run and its parts, in the order in which their events are read."""

    def __init__(self, runs: RunStore, run: str, sinks: Sequence[Sink]) -> None:
        self.state = RunState()
        self._runs = runs
        self._run = run
        self._sinks = sinks
        self._merger = Merger(run)
        self._mine, self._theirs = _Gathered(), _Gathered()
        self._own = runs.tail(run, [self._mine])
        self._parts: dict[str, RunTail] = {}

    async def read(self) -> int:
        await self._own.read()
        for part in parts_of(self._mine.records):
            if part not in self._parts:
                self._parts[part] = self._runs.tail(part, [self._theirs])
        await map_limited(self._read_part, self._parts.values(), limit=AT_ONCE)
        # Nothing is awaited from here on: what a reader has gathered that is cancelled before, the next one takes.
        records = merged_order(self._mine.emptied(), self._theirs.emptied())
        taken = [each for record in records if (each := self._merger.take(record)) is not None]
        fold_into(self.state, taken, f"{self._runs.where}: run {self._run}", self._sinks)
        return len(taken)

    async def wait(self) -> None:
        await self._own.wait()

    @staticmethod
    async def _read_part(part: RunTail) -> None:
        with suppress(UsageError):  # it hasn't begun
            await part.read()


class WholeRuns:
    """A `core.runs.RunStore`. Journals are opened as they are: a part is a run of its own to who goes on with it."""

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

    def tail(self, run: str, sinks: Sequence[Sink] = ()) -> WholeTail:
        """See the port."""
        return WholeTail(self._runs, run, sinks)

    async def _records(self, part: str) -> tuple[Record, ...]:
        """Nothing yet where it hasn't begun."""
        try:
            return (await self._runs.read_run(part)).records
        except UsageError:
            return ()
