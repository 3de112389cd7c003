"""The journal's file: appended to, fsynced in a worker thread, many waiters to one fsync."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from pathlib import Path

import anyio
import anyio.to_thread

from orchestrator.core.events import Record
from orchestrator.core.runs import JournalContents
from orchestrator.store.faults import cannot


class JournalFile:
    """A `core.ports.Journal` on one open file.

    Lines leave the buffer only inside `_drain`, which runs in a worker thread, to its end, one at a time. So however a
    waiter is cancelled, lines keep their order and none is written twice.
    """

    def __init__(self, descriptor: int, path: Path, found: JournalContents) -> None:
        """`found`: what stands in the file; the descriptor is opened for appending behind it."""
        self.found = found
        self._descriptor = descriptor
        self._path = path
        self._size = found.sound_bytes
        self._buffer: deque[bytes] = deque()  # its append and popleft are atomic: the loop and a worker share it
        self._appended = 0
        self._durable = 0
        self._torn = False
        self._drains = threading.Lock()
        self._writing: anyio.Event | None = None

    def append(self, record: Record) -> None:
        self._buffer.append(record.to_json().encode("ascii") + b"\n")
        self._appended += 1

    async def flush(self) -> None:
        """Returns when all that was appended so far is durable; waiters that come together share one fsync.

        Raises `StateError` when it can't be. The lines are kept then, and the next flush tries them again.
        """
        wanted = self._appended
        while self._durable < wanted:
            if self._writing is not None:
                await self._writing.wait()
            else:
                await self._lead()

    async def publish(self) -> None:
        """An fsync costs little: the same as `flush`."""
        await self.flush()

    async def _lead(self) -> None:
        finished = self._writing = anyio.Event()
        try:
            await anyio.to_thread.run_sync(self._drain)
        except OSError as error:
            raise cannot("write", self._path, error) from error
        finally:
            self._writing = None
            finished.set()

    async def is_current(self) -> bool:
        """See `core.runs.RunJournal`: the file's lock is ours, so nobody else writes."""
        await anyio.lowlevel.checkpoint()
        return True

    def _drain(self) -> None:
        """Writes and fsyncs what is buffered: all of it, or in the end nothing of it."""
        with self._drains:
            self._mend()
            batch: list[bytes] = []
            while self._buffer:
                batch.append(self._buffer.popleft())
            if not batch:
                return
            data = b"".join(batch)
            try:
                _write_all(self._descriptor, data)
                os.fsync(self._descriptor)
            except OSError:
                self._buffer.extendleft(reversed(batch))
                self._torn = True
                with contextlib.suppress(OSError):
                    self._mend()
                raise
            self._size += len(data)
            self._durable += len(batch)

    def _mend(self) -> None:
        """After a write that failed: cuts off what came of it, so that the lines can be written anew. Needs no room."""
        if self._torn:
            os.ftruncate(self._descriptor, self._size)
            self._torn = False


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
