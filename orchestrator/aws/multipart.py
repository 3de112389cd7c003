"""One multipart upload: parts side by side, each repeated on its own, and nothing left at S3 when it fails."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import anyio

from orchestrator.aws.cleanup import Call, abort_unanswered, abort_upload
from orchestrator.aws.retry import Backoff, retrying
from orchestrator.aws.settle import Settled
from orchestrator.aws.source import Source
from orchestrator.core.errors import AnswerLostError, BundleError, CallError, RefusedError

CHECKSUM = "CRC32"
"""Sent with each body (over TLS in place of its SHA-256) and verified by S3."""
PART_SIZE = 8 * 1024 * 1024
PARTS_MAX = 10_000
"""Parts that S3 takes for one object."""
CREATE_GRACE = 3.0
"""Seconds that a cancelled run still waits for the id of an upload that it has just asked for."""

Answer = dict[str, Any]


def part_size_for(size: int) -> int:
    """Bytes of a part: 8 MiB, or as many whole MiB as it takes to stay within 10,000 parts."""
    mebibyte = 1024 * 1024
    needed = -(-size // PARTS_MAX)
    return max(PART_SIZE, -(-needed // mebibyte) * mebibyte)


class MultipartUpload:
    """Uploads one file; for one use."""

    def __init__(
        self, *, call: Call, backoff: Backoff, limiter: anyio.CapacityLimiter, progress: Callable[[int], None]
    ) -> None:
        self._call = call
        self._backoff = backoff
        self._limiter = limiter
        self._progress = progress
        self._place: dict[str, Any] | None = None
        self._create_lost = False
        self._parts: dict[int, dict[str, Any]] = {}
        self._failures: list[CallError | BundleError | OSError] = []

    async def run(self, head: Mapping[str, Any], source: Source) -> Answer:
        """The answer of CompleteMultipartUpload; `head` is what CreateMultipartUpload takes.

        Raises `CallError`, `BundleError`, OSError.
        """
        try:
            place = await self._create(head)
            await self._upload_parts(place, source)
            source.check_unchanged()
            return await self._complete(place, source.size)
        except BaseException as error:
            if self._place is not None:
                left = await abort_upload(self._call, self._place, backoff=self._backoff)
                if left is not None:
                    error.add_note(left)
            raise
        finally:
            if self._create_lost:
                await abort_unanswered(self._call, head)

    async def _create(self, head: Mapping[str, Any]) -> dict[str, Any]:
        return await retrying(lambda: self._create_once(head), backoff=self._backoff)

    async def _create_once(self, head: Mapping[str, Any]) -> dict[str, Any]:
        creation = Settled(lambda: self._call("CreateMultipartUpload", head), grace=CREATE_GRACE)
        try:
            answer = await creation.run()
        except AnswerLostError:
            self._create_lost = True
            raise
        except anyio.get_cancelled_exc_class():
            if creation.answers:
                self._remember(head, creation.answers[0])
            else:
                self._create_lost = True
            raise
        return self._remember(head, answer)

    def _remember(self, head: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
        self._place = {"Bucket": head["Bucket"], "Key": head["Key"], "UploadId": answer["UploadId"]}
        return self._place

    async def _upload_parts(self, place: Mapping[str, Any], source: Source) -> None:
        size = part_size_for(source.size)
        offsets = enumerate(range(0, source.size, size), start=1)
        workers = min(self._limiter.total_tokens, -(-source.size // size))
        async with anyio.create_task_group() as tasks:
            for _ in range(int(workers)):
                tasks.start_soon(self._work, place, source, size, offsets, tasks.cancel_scope)
        # Out of the group: by now no part is under way any more.
        if self._failures:
            raise self._failures[0]

    async def _work(
        self,
        place: Mapping[str, Any],
        source: Source,
        size: int,
        offsets: Iterator[tuple[int, int]],
        scope: anyio.CancelScope,
    ) -> None:
        try:
            while True:
                # The turn first, the part then: whoever waits holds no part in memory.
                async with self._limiter:
                    taken = next(offsets, None)
                    if taken is None:
                        return
                    number, offset = taken
                    await self._upload_part(place, source, number, offset, min(size, source.size - offset))
        except (CallError, BundleError, OSError) as error:
            self._failures.append(error)
            scope.cancel()

    async def _upload_part(
        self, place: Mapping[str, Any], source: Source, number: int, offset: int, length: int
    ) -> None:
        content = await source.read(offset, length)
        answer = await retrying(
            lambda: self._call(
                "UploadPart",
                {**place, "PartNumber": number, "Body": io.BytesIO(content), "ChecksumAlgorithm": CHECKSUM},
            ),
            backoff=self._backoff,
        )
        part = {"PartNumber": number, "ETag": answer["ETag"]}
        if checksum := answer.get("ChecksumCRC32"):
            part["ChecksumCRC32"] = checksum
        self._parts[number] = part
        self._progress(length)

    async def _complete(self, place: Mapping[str, Any], size: int) -> Answer:
        parts = [self._parts[number] for number in sorted(self._parts)]
        lost = False

        async def complete() -> Answer:
            nonlocal lost
            try:
                return await self._call("CompleteMultipartUpload", {**place, "MultipartUpload": {"Parts": parts}})
            except AnswerLostError:
                lost = True
                raise
            except RefusedError as error:
                if not (lost and error.code == "NoSuchUpload"):
                    raise
                # The attempt whose answer was lost may have completed it.
                return await self._completed_before(place, size, len(parts), error)

        return await retrying(complete, backoff=self._backoff)

    async def _completed_before(self, place: Mapping[str, Any], size: int, parts: int, refusal: RefusedError) -> Answer:
        try:
            found = await self._call("HeadObject", {"Bucket": place["Bucket"], "Key": place["Key"]})
        except RefusedError:
            raise refusal from None
        if found["ContentLength"] != size or not str(found["ETag"]).strip('"').endswith(f"-{parts}"):
            raise refusal
        return found
