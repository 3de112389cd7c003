"""Work on all cores whose results come in order, with a bound on what is under way."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeVar

from orchestrator.bundle.entries import Check

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")

_MOST_WORKERS = 8  # reading, hashing and deflate leave the interpreter; what is left in it feeds about so many
_SMALL = 16 << 10  # bytes of a file: what is read and hashed in about the time that the interpreter takes for it
_UNDER_WAY = 8 << 20
"""Bytes that jobs under way and results not yet taken may stand for. With it a stream stays below some 20 MB."""

Job = tuple[int, Callable[[], T]]
"""How many bytes it is about, and the work."""


class Turns:
    """Lets work on many small files be done by one thread at a time.

    Such work holds the interpreter nearly all the time. Two threads at it take turns for each file, and wait for each
    other longer than they work; what leaves the interpreter for longer may go on beside it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def of(self, files: int, size: int) -> AbstractContextManager[object]:
        """To be held during work on so many files of so many bytes in all."""
        return self._lock if size < files * _SMALL else contextlib.nullcontext()


def in_order(jobs: Iterator[Job[T]], check: Check) -> Generator[T, None, None]:
    """The results of the jobs, in their order. Jobs are taken, and `check` is called, in the thread that iterates.

    A job starts after all before it have started. What a job raises is raised in its place. After that, or when the
    generator is closed, no job is under way and no thread is left.
    """
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - 10 ms that `validate` doesn't need

    _keep_pages()
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_WORKERS), thread_name_prefix="bundle")
    waiting: deque[tuple[int, Future[T]]] = deque()
    weight = 0
    try:
        for size, work in jobs:
            check()
            waiting.append((size, pool.submit(work)))
            weight += size
            while weight > _UNDER_WAY:
                size_done, future = waiting.popleft()
                yield future.result()
                weight -= size_done
        while waiting:
            check()
            yield waiting.popleft()[1].result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _keep_pages() -> None:
    """Lets glibc keep the memory of blocks of some megabytes for the next: it does so once it has freed a larger one.

    Until then each of them costs a page fault for every 4 kB, a third of the time of packing what is only stored.
    Elsewhere this does nothing.
    """
    block = bytes(2 * _UNDER_WAY)  # zeros that the system hands out are never touched
    del block
