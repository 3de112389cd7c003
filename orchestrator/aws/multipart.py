"""One multipart upload: created once, parts repeated each on its own, completed or aborted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from orchestrator.aws.cleanup import Call, abort_unanswered, abort_upload, bucket_of
from orchestrator.aws.parts import Part
from orchestrator.aws.retry import Backoff, retrying
from orchestrator.aws.settle import Settled
from orchestrator.core.errors import AnswerLostError, RefusedError

CHECKSUM = "CRC32"
"""Sent with each body and verified by S3; over TLS in place of the body's SHA-256."""
CREATE_GRACE = 3.0
"""Seconds that a cancelled run still waits for the id of an upload that it has just asked for."""

Answer = dict[str, Any]


class MultipartUpload:
    """For one object; for one use."""

    def __init__(self, head: Mapping[str, Any], *, call: Call, backoff: Backoff) -> None:
        """`head`: what CreateMultipartUpload takes."""
        self._head = head
        self._call = call
        self._backoff = backoff
        self._place: dict[str, Any] | None = None
        self._create_lost = False
        self._parts: dict[int, dict[str, Any]] = {}

    async def create(self) -> None:
        await retrying(self._create_once, backoff=self._backoff)

    async def _create_once(self) -> None:
        parameters = {**self._head, "ChecksumAlgorithm": CHECKSUM, "ChecksumType": "FULL_OBJECT"}
        creation = Settled(lambda: self._call("CreateMultipartUpload", parameters), grace=CREATE_GRACE)
        try:
            await creation.run()
        except AnswerLostError:
            self._create_lost = True
            raise
        finally:
            if creation.answers:
                named = {**bucket_of(self._head), "Key": self._head["Key"]}
                self._place = {**named, "UploadId": creation.answers[0]["UploadId"]}
        # Cancelled without an answer: `abandon` looks for it.

    async def send(self, part: Part) -> None:
        parameters = {
            **self._named(),
            "PartNumber": part.number,
            "Body": part.content,
            "ChecksumCRC32": part.checksum,
        }
        answer = await retrying(lambda: self._call("UploadPart", parameters), backoff=self._backoff)
        self._parts[part.number] = {
            "PartNumber": part.number,
            "ETag": answer["ETag"],
            "ChecksumCRC32": part.checksum,
        }

    async def copy_part(self, number: int, source: Mapping[str, Any]) -> None:
        """`source`: what UploadPartCopy takes to say what is copied."""
        parameters = {**self._named(), **source, "PartNumber": number}
        answer = await retrying(lambda: self._call("UploadPartCopy", parameters), backoff=self._backoff)
        copied = answer["CopyPartResult"]
        part = {"PartNumber": number, "ETag": copied["ETag"]}
        if checksum := copied.get("ChecksumCRC32"):
            part["ChecksumCRC32"] = checksum
        self._parts[number] = part

    async def complete(self, *, size: int, checksum: str | None) -> Answer:
        """`checksum`: of the whole object; S3 refuses to complete another one."""
        parts = [self._parts[number] for number in sorted(self._parts)]
        parameters = {
            **self._named(),
            "MultipartUpload": {"Parts": parts},
            "ChecksumType": "FULL_OBJECT",
            "MpuObjectSize": size,
        }
        if checksum is not None:
            parameters["ChecksumCRC32"] = checksum
        lost = False

        async def complete() -> Answer:
            nonlocal lost
            try:
                return await self._call("CompleteMultipartUpload", parameters)
            except AnswerLostError:
                lost = True
                raise
            except RefusedError as error:
                if not (lost and error.code == "NoSuchUpload"):
                    raise
                # The attempt whose answer was lost may have completed it.
                return await self._completed_before(size, checksum, error)

        return await retrying(complete, backoff=self._backoff)

    async def _completed_before(self, size: int, checksum: str | None, refusal: RefusedError) -> Answer:
        place = {name: value for name, value in self._named().items() if name != "UploadId"}
        try:
            found = await retrying(
                lambda: self._call("HeadObject", {**place, "ChecksumMode": "ENABLED"}), backoff=self._backoff
            )
        except RefusedError:
            raise refusal from None
        is_ours = (
            found.get("ChecksumCRC32") == checksum
            if checksum is not None and found.get("ChecksumType") == "FULL_OBJECT"
            else str(found["ETag"]).strip('"').endswith(f"-{len(self._parts)}")
        )
        if found["ContentLength"] != size or not is_ours:
            raise refusal
        return found

    async def abandon(self, error: BaseException) -> None:
        """Makes S3 forget it, also in a cancelled task; what can't be forgotten is noted on the error."""
        if self._place is not None:
            left = await abort_upload(self._call, self._place, backoff=self._backoff)
            if left is not None:
                error.add_note(left)
        elif isinstance(error, anyio.get_cancelled_exc_class()):
            self._create_lost = True

    async def forget_unanswered(self) -> None:
        """Aborts what an attempt at creating it may have begun whose answer was lost."""
        if self._create_lost:
            await abort_unanswered(self._call, self._head)

    def _named(self) -> dict[str, Any]:
        assert self._place is not None  # noqa: S101 - nothing is sent before it was created
        return self._place
