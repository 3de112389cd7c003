"""An upload while its bytes are still being made: a thread makes parts, the event loop sends them side by side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
from anyio import from_thread, to_thread
from anyio.abc import TaskGroup

from orchestrator.aws.buffers import Buffers
from orchestrator.aws.cleanup import Call, sweep
from orchestrator.aws.crc import as_text, combine
from orchestrator.aws.multipart import MultipartUpload
from orchestrator.aws.parts import PARTS_MAX, Cutter, Part, Producer, part_size_for
from orchestrator.aws.retry import Backoff, retrying
from orchestrator.core.errors import BundleError, OrchestratorError

Answer = dict[str, Any]
Progress = Callable[[int], None]
"""Is told of so many more bytes that S3 has."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    answer: Answer
    """Of PutObject or CompleteMultipartUpload."""
    size: int
    """Bytes."""
    checksum: str
    """CRC32 of the whole object, as S3 writes it."""


class StreamUpload:
    """Uploads what a producer makes; for one use.

    One part is put as it is; more go as a multipart upload, which begins when the first part is full. Each part is
    made in a buffer of the shared ones, which is given back when S3 has it.
    """

    def __init__(
        self, head: Mapping[str, Any], *, call: Call, backoff: Backoff, buffers: Buffers, progress: Progress
    ) -> None:
        """`head`: what PutObject and CreateMultipartUpload both take."""
        self._head = head
        self._call = call
        self._backoff = backoff
        self._buffers = buffers
        self._progress = progress
        self._upload: MultipartUpload | None = None
        self._created = anyio.Event()
        self._single: Part | None = None
        self._held: list[bytearray] = []
        self._size = 0
        self._crc = 0
        self._failures: list[BaseException] = []

    async def run(self, producer: Producer, *, at_most: int) -> Uploaded:
        """`at_most`: bytes that the object may have; a guess that is too low costs memory, not correctness.

        Raises `CallError`, and whatever the producer raises; nothing is stored then, and no multipart upload is left.
        """
        try:
            await self._make_and_send(producer, part_size_for(at_most), min(at_most, part_size_for(at_most)))
            answer = await self._finish()
            return Uploaded(answer, self._size, as_text(self._crc))
        except BaseException as error:
            if self._upload is not None:
                await self._upload.abandon(error)
            raise
        finally:
            for buffer in tuple(self._held):
                self._give_back(buffer)
            if self._upload is not None:
                await self._upload.forget_unanswered()

    async def _make_and_send(self, producer: Producer, size: int, first: int) -> None:
        async with anyio.create_task_group() as tasks:
            await self._guarded(self._make, tasks, producer, size, first)
        # Out of the group: by now no part is under way any more.
        if self._failures:
            raise self._failures[0]

    async def _guarded(self, work: Callable[..., Awaitable[None]], tasks: TaskGroup, *arguments: Any) -> None:
        """Keeps the first failure, and ends all other work: a group's errors would come wrapped in each other."""
        try:
            await work(tasks, *arguments)
        except (OrchestratorError, OSError) as error:
            self._failures.append(error)
            tasks.cancel_scope.cancel()

    # --- in the worker thread ------------------------------------------------------------------------------------

    async def _make(self, tasks: TaskGroup, producer: Producer, size: int, first: int) -> None:
        await to_thread.run_sync(self._cut, tasks, producer, size, first, limiter=self._buffers.makers)

    def _cut(self, tasks: TaskGroup, producer: Producer, size: int, first: int) -> None:
        buffer = from_thread.run(self._take, first)
        with producer() as chunks:
            cutter = Cutter(chunks, size, from_thread.check_cancelled)
            while True:
                part = cutter.fill(buffer)
                if part.number > PARTS_MAX:
                    raise BundleError("more to upload than 10,000 parts hold", hint="does the source still grow?")
                from_thread.run_sync(self._accept, tasks, part, buffer)
                if part.is_last:
                    return
                buffer = from_thread.run(self._take, size)

    # --- in the event loop ---------------------------------------------------------------------------------------

    async def _take(self, size: int) -> bytearray:
        buffer = await self._buffers.take(size)
        self._held.append(buffer)
        return buffer

    def _give_back(self, buffer: bytearray) -> None:
        self._held = [held for held in self._held if held is not buffer]
        self._buffers.give_back(buffer)

    def _accept(self, tasks: TaskGroup, part: Part, buffer: bytearray) -> None:
        self._crc = combine(self._crc, part.crc, len(part.content))
        self._size += len(part.content)
        if part.is_last and part.number == 1:
            self._single = part
            return
        if self._upload is None:
            self._upload = MultipartUpload(self._head, call=self._call, backoff=self._backoff)
            tasks.start_soon(self._guarded, self._create, tasks)
            tasks.start_soon(sweep, self._call, self._head)
        tasks.start_soon(self._guarded, self._send, tasks, part, buffer)

    async def _create(self, _tasks: TaskGroup) -> None:
        assert self._upload is not None  # noqa: S101 - made right before
        await self._upload.create()
        self._created.set()

    async def _send(self, _tasks: TaskGroup, part: Part, buffer: bytearray) -> None:
        assert self._upload is not None  # noqa: S101 - made before the first part
        try:
            await self._created.wait()
            await self._upload.send(part)
            self._progress(len(part.content))
        finally:
            # Also when it was called off: the thread may be waiting for this very buffer, and it only learns of the
            # end once it has one.
            self._give_back(buffer)

    async def _finish(self) -> Answer:
        if self._upload is not None:
            return await self._upload.complete(size=self._size, checksum=as_text(self._crc))
        part = self._single
        assert part is not None  # noqa: S101 - a producer gives at least one part, be it empty
        parameters = {**self._head, "Body": part.content, "ChecksumCRC32": part.checksum}
        answer = await retrying(lambda: self._call("PutObject", parameters), backoff=self._backoff)
        self._progress(len(part.content))
        return answer
