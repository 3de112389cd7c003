"""Runs in an object store: `runs/<run>/journal/…` and `index/…` below one root."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio

from orchestrator.core.blobs import Blobs
from orchestrator.core.concurrent import map_limited
from orchestrator.core.errors import StateError, UsageError
from orchestrator.core.locks import LOCKS, LockTable
from orchestrator.core.ports import Sink
from orchestrator.core.runs import JournalContents, RunSummary, Writer
from orchestrator.core.state import RunState
from orchestrator.store.blobjournal import BlobJournal
from orchestrator.store.blobtail import BlobTail
from orchestrator.store.closing import flushed_at_the_end
from orchestrator.store.finding import check_run_id, named, newest, suggest
from orchestrator.store.marks import INDEX, runs_of, summaries
from orchestrator.store.pieces import Piece, cover, parse_pieces
from orchestrator.store.reading import fold

READS_AT_ONCE = 32

LAST_FLUSH = 10.0
"""Seconds for the last events; then they are given up, and a resume finds out what they would have said."""


def new_writer() -> str:
    return secrets.token_hex(8)


class BlobStore:
    """A `core.runs.RunStore` over `Blobs`."""

    def __init__(self, blobs: Blobs, *, writer: Callable[[], str] = new_writer) -> None:
        """`writer` makes a word that no other writer has."""
        self._blobs = blobs
        self._writer = writer

    @property
    def where(self) -> str:
        return self._blobs.where

    @asynccontextmanager
    async def open_journal(self, run: str, *, new: bool) -> AsyncIterator[BlobJournal]:
        """See the port. Opening locks nobody out: of two that go on with a run, the first to write fences the other."""
        check_run_id(run)
        found, last, loose = await self._read(run)
        if new and last:
            raise StateError(f"run {run} exists already in {self.where}", hint="start another run")
        if not new and not last:
            raise UsageError(f"no run {run!r} in {self.where}", hint="see: orchestrator runs")
        journal = BlobJournal(
            self._blobs, run, folder=_folder(run), last=last, found=found, writer=self._writer(), loose=loose
        )
        async with flushed_at_the_end(journal, within=LAST_FLUSH):
            yield journal
        with anyio.move_on_after(LAST_FLUSH):
            await journal.close()

    async def list_runs(self) -> list[RunSummary]:
        """One listing, and one look at who holds the locks."""
        names = await self._blobs.list(INDEX)
        return summaries(names, await self._writers()) if names else []

    async def find_run(self, run: str | None) -> str:
        if run is None:
            return newest(await self.list_runs(), self.where)
        return named(run, await self._names(), self.where)

    async def read_run(self, run: str) -> JournalContents:
        check_run_id(run)
        found, last, _ = await self._read(run)
        if not last:
            names = await self._names()
            if run not in names:
                raise UsageError(f"no run {run!r} in {self.where}", hint=suggest(run, names))
        return found

    async def load_run(self, run: str) -> RunState:
        return fold((await self.read_run(run)).records, f"{self.where}/{_folder(run)}journal")

    def tail(self, run: str, sinks: Sequence[Sink] = ()) -> BlobTail:
        """See the port."""
        check_run_id(run)

        async def missing() -> UsageError:
            return UsageError(f"no run {run!r} in {self.where}", hint=suggest(run, await self._names()))

        return BlobTail(self._blobs, _folder(run), missing, sinks)

    async def _names(self) -> list[str]:
        return runs_of(await self._blobs.list(INDEX))

    async def _read(self, run: str) -> tuple[JournalContents, int, list[bytes]]:
        """The run's records, the number of the last object (0: there is none), and what is in no part yet."""
        folder = _folder(run)
        where = f"{self.where}/{folder}".rstrip("/")
        names = await self._blobs.list(folder)
        pieces = cover((name.removeprefix(folder) for name in names), where)
        contents = await map_limited(lambda piece: self._content(folder, piece), pieces, limit=READS_AT_ONCE)
        records = parse_pieces(pieces, contents, where)
        return JournalContents(records=records), pieces[-1].last if pieces else 0, _loose(pieces, contents)

    async def _content(self, folder: str, piece: Piece) -> bytes:
        blob = await self._blobs.get(folder + piece.name)
        if blob is None:
            raise StateError(f"{self.where}/{folder}{piece.name} was listed and isn't there", hint="try again")
        return blob.content

    async def _writers(self) -> dict[str, Writer]:
        table = LockTable.parse(await self._blobs.get(LOCKS), self.where)
        return {each.run: Writer(pid=each.owner.pid, host=each.owner.host) for each in table.holders.values()}


def _loose(pieces: Sequence[Piece], contents: Sequence[bytes]) -> list[bytes]:
    """The contents of the last objects that are in no part: processes that came and went soon have left them so."""
    parted = max((number for number, piece in enumerate(pieces, start=1) if piece.first != piece.last), default=0)
    return list(contents[parted:])


def _folder(run: str) -> str:
    return f"runs/{run}/"
