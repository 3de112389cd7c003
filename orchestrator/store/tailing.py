"""A journal's file, followed: only what was added is read, and whether anything was costs one look at its size."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from orchestrator.core.errors import StateError, UsageError
from orchestrator.core.ports import Sink
from orchestrator.core.runs import JournalContents
from orchestrator.core.state import RunState
from orchestrator.store.faults import cannot
from orchestrator.store.reading import fold_into, parse_journal

LOOK_EVERY = 0.05
"""Seconds. A look is one stat(2)."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """By which a file is known to be unchanged."""

    inode: int
    size: int
    changed: int


class FileTail:
    """A `core.runs.RunTail` of a file that is appended to."""

    def __init__(self, path: Path, missing: Callable[[], UsageError], sinks: Sequence[Sink] = ()) -> None:
        """`missing`: what to raise when there is no such file."""
        self.state = RunState()
        self._path = path
        self._missing = missing
        self._sinks = sinks
        self._mark: _Mark | None = None
        self._read_to = 0
        """Bytes, up to the end of the last whole record."""

    async def read(self) -> int:
        mark, found = await anyio.to_thread.run_sync(self._look)
        # From here on nothing is awaited: a reader that is cancelled before reads the same once more.
        self._mark = mark
        if found is None:
            return 0
        self._read_to += found.sound_bytes
        fold_into(self.state, found.records, self._path, self._sinks)
        return len(found.records)

    async def wait(self) -> None:
        await anyio.sleep(LOOK_EVERY)

    def _look(self) -> tuple[_Mark, JournalContents | None]:
        """None: nothing has changed. In a worker thread, so it changes nothing of its own."""
        try:
            if self._mark is not None and _mark(self._path.stat()) == self._mark:
                return self._mark, None
            with self._path.open("rb") as file:
                mark = _mark(os.fstat(file.fileno()))
                if mark.size < self._read_to or (self._mark is not None and mark.inode != self._mark.inode):
                    raise StateError(f"{self._path} was replaced, or cut off, while it was read")
                file.seek(self._read_to)
                data = file.read()
        except FileNotFoundError:
            raise self._missing() from None
        except OSError as error:
            raise cannot("read", self._path, error) from error
        return mark, parse_journal(data, self._path, first=self.state.last_seq + 1)


def _mark(found: os.stat_result) -> _Mark:
    return _Mark(found.st_ino, found.st_size, found.st_mtime_ns)
