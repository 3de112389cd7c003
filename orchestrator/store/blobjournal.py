"""The journal's objects: one writer at a time, many waiters to one object, and what nobody waits for gathered."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import anyio

from orchestrator.core.blobs import Blobs, ConflictError
from orchestrator.core.errors import StateError
from orchestrator.core.events import Record, RunStarted
from orchestrator.core.notification_events import NotificationEvent
from orchestrator.core.runs import FencedError, JournalContents
from orchestrator.store.marks import mark
from orchestrator.store.pieces import Piece, object_content

SHORTEST_LAG = 1.0
LONGEST_LAG = 60.0
AGE_SHARE = 60.0
"""Others see a run late by at most a sixtieth of its age, within these bounds; all in seconds."""

BUSY = 1.0
GATHER = 0.1
"""When the last object is younger than `BUSY` seconds, the next waits so long for others to join: a thousand starts in
a minute share objects, and a step that comes alone waits for nothing."""

OBJECTS_A_PART = 100
LAST_PART = 10
"""Objects that are worth a part when the journal is closed."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """An object that is being written: the same bytes under the same number until that is settled."""

    number: int
    content: bytes
    records: int


class BlobJournal:
    """A `core.runs.RunJournal` of numbered objects, each written only where there is none.

    Whoever finds the next number taken is fenced: another process goes on with the run. A batch leaves `_batch` only
    when it is known to be written; so however a waiter is cancelled, nothing is lost, doubled or reordered.
    """

    def __init__(
        self,
        blobs: Blobs,
        run: str,
        *,
        folder: str,
        last: int,
        found: JournalContents,
        writer: str,
        loose: Sequence[bytes] = (),
    ) -> None:
        """`folder`: of the run's objects, with a slash; `last`: the last number that is there; `writer`: unique.

        `loose`: the contents of the last objects that are in no part yet.
        """
        self.found = found
        self._blobs = blobs
        self._run = run
        self._folder = folder
        self._last = last
        self._writer = writer
        self._seq = found.records[-1].seq if found.records else 0
        self._lines: list[bytes] = []
        self._batch: _Batch | None = None
        self._marks: deque[str] = deque()
        self._first_mark: str | None = None
        self._settled = list(loose)  # contents of the last objects that are in no part yet
        self._appended = 0
        self._durable = 0
        self._opened_at = anyio.current_time()
        self._pending_since = 0.0
        self._written_at = -math.inf
        self._parting = False
        self._writing: anyio.Event | None = None
        self._fenced: FencedError | None = None
        self._remember_turn(found.records)

    def append(self, record: Record) -> None:
        """Raises `StateError` when the record doesn't follow the last one."""
        if record.seq != self._seq + 1:
            raise StateError(
                f"event {record.seq} can't follow event {self._seq} of run {self._run}",
                hint="the run was read before another process wrote to it: resume it again",
            )
        self._seq = record.seq
        if not self._lines:
            self._pending_since = anyio.current_time()
        self._lines.append(record.to_json().encode("ascii") + b"\n")
        self._appended += 1
        name = mark(record)
        if name is not None and isinstance(record.event, RunStarted):
            self._first_mark = name
        elif name is not None:
            self._marks.append(name)

    async def flush(self) -> None:
        """Returns when all that was appended so far is durable; all that is pending goes in one object.

        Raises `FencedError`, also ever after; and `StateError` when the store can't be reached: what is pending is
        kept then, and the next flush tries it again.
        """
        wanted = self._appended
        while self._durable < wanted or self._marks:
            if self._writing is not None:
                await self._writing.wait()
            else:
                await self._lead()

    async def publish(self) -> None:
        """Writes what is pending once it has waited for `lag` seconds."""
        pending = self._durable < self._appended
        if pending and anyio.current_time() - self._pending_since >= self._lag():
            await self.flush()
        if len(self._settled) >= OBJECTS_A_PART and not self._parting:
            await self._write_part()

    async def is_current(self) -> bool:
        """See `RunJournal`."""
        return await self._blobs.get(self._folder + Piece(self._last + 1, self._last + 1).name) is None

    async def close(self) -> None:
        """After the last flush: leaves little to read for others."""
        if len(self._settled) >= LAST_PART:
            await self._write_part()

    def _lag(self) -> float:
        age = anyio.current_time() - self._opened_at
        return min(LONGEST_LAG, max(SHORTEST_LAG, age / AGE_SHARE))

    # --- writing -----------------------------------------------------------------------------------------------------

    async def _lead(self) -> None:
        if self._fenced is not None:
            raise FencedError(self._fenced.message, hint=self._fenced.hint)
        finished = self._writing = anyio.Event()
        try:
            await self._write()
        finally:
            self._writing = None
            finished.set()

    async def _write(self) -> None:
        if self._first_mark is not None:
            # Before the journal: a run that has done something is always in the list.
            await self._blobs.put(self._first_mark, b"")
            self._first_mark = None
        if self._batch is None and self._lines:
            if anyio.current_time() - self._written_at < BUSY:
                await anyio.sleep(GATHER)
            lines, self._lines = self._lines, []
            number = self._last + 1
            self._batch = _Batch(number, object_content(number, self._writer, lines), len(lines))
        if self._batch is not None:
            await self._write_batch(self._batch)
        if not self._lines:
            while self._marks:  # after the journal: the list never says more than it
                await self._blobs.put(self._marks[0], b"")
                self._marks.popleft()

    async def _write_batch(self, batch: _Batch) -> None:
        try:
            await self._blobs.put(self._folder + Piece(batch.number, batch.number).name, batch.content, absent=True)
        except ConflictError as error:
            self._fenced = FencedError(
                f"another process goes on with run {self._run}: object {batch.number} of its journal is there already",
                hint=f"this process leaves everything as it is; watch the run with: orchestrator status {self._run}",
            )
            raise self._fenced from error
        self._batch = None
        self._last = batch.number
        self._written_at = anyio.current_time()
        self._durable += batch.records
        self._settled.append(batch.content)

    async def _write_part(self) -> None:
        """Without it reading takes longer, and that is all."""
        self._parting = True
        contents = tuple(self._settled)
        part = Piece(self._last - len(contents) + 1, self._last)
        try:
            with suppress(StateError):
                await self._blobs.put(self._folder + part.name, b"".join(contents))
                del self._settled[: len(contents)]
        finally:
            self._parting = False

    def _remember_turn(self, records: tuple[Record, ...]) -> None:
        """The last mark anew: the process that should have written it may have died before."""
        last = next((record for record in reversed(records) if not isinstance(record.event, NotificationEvent)), None)
        ends = (*records[:1], *(() if last is None else (last,)))
        turns = [name for record in ends if (name := mark(record)) is not None]
        self._marks.extend(turns)
