"""A journal of numbered objects, followed: the next number is asked for, less and less often while there is none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio

from orchestrator.core.blobs import Blobs
from orchestrator.core.concurrent import map_limited
from orchestrator.core.errors import StateError, UsageError
from orchestrator.core.ports import Sink
from orchestrator.core.state import RunState
from orchestrator.store.pieces import Piece, cover, parse_pieces
from orchestrator.store.reading import fold_into

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 15.0
GROWTH = 1.3
"""Seconds between two looks: a writer leaves at least one second between two objects that nobody waits for."""

STEPS = 8
"""So many objects are asked for one by one; whoever is further behind lists them, and finds parts that hold many."""

READS_AT_ONCE = 16


class BlobTail:
    """A `core.runs.RunTail` over `Blobs`. While nothing comes, a look is one GetObject."""

    def __init__(
        self, blobs: Blobs, folder: str, missing: Callable[[], Awaitable[UsageError]], sinks: Sequence[Sink] = ()
    ) -> None:
        """`folder`: of the run's objects, with a slash; `missing`: what to raise when there is none."""
        self.state = RunState()
        self._blobs = blobs
        self._folder = folder
        self._missing = missing
        self._sinks = sinks
        self._last = 0
        self._pause = FIRST_PAUSE

    @property
    def _where(self) -> str:
        return f"{self._blobs.where}/{self._folder}".rstrip("/")

    async def read(self) -> int:
        count = 0
        behind = self._last == 0
        for _ in range(0 if behind else STEPS):
            piece = Piece(self._last + 1, self._last + 1)
            blob = await self._blobs.get(self._folder + piece.name)
            if blob is None:
                break
            count += self._take([piece], [blob.content])
        else:
            count += await self._read_listed()
        if count:
            self._pause = FIRST_PAUSE
        return count

    async def wait(self) -> None:
        await anyio.sleep(self._pause)
        self._pause = min(LONGEST_PAUSE, self._pause * GROWTH)

    async def _read_listed(self) -> int:
        names = [name.removeprefix(self._folder) for name in await self._blobs.list(self._folder)]
        pieces = cover(names, self._where, first=self._last + 1)
        if not pieces:
            if self._last == 0:
                raise await self._missing()
            return 0
        return self._take(pieces, await map_limited(self._content, pieces, limit=READS_AT_ONCE))

    async def _content(self, piece: Piece) -> bytes:
        blob = await self._blobs.get(self._folder + piece.name)
        if blob is None:
            raise StateError(f"{self._where}/{piece.name} was listed and isn't there", hint="try again")
        return blob.content

    def _take(self, pieces: Sequence[Piece], contents: Sequence[bytes]) -> int:
        """Nothing is awaited here: a reader that is cancelled has taken an object wholly, or not at all."""
        records = parse_pieces(pieces, contents, self._where)
        fold_into(self.state, records, self._where, self._sinks)
        self._last = pieces[-1].last
        return len(records)
