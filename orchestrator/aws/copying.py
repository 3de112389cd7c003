"""A copy from object to object within S3: nothing of it comes by here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from orchestrator.aws.cleanup import Call
from orchestrator.aws.multipart import CHECKSUM, MultipartUpload
from orchestrator.aws.parts import PARTS_MAX
from orchestrator.aws.retry import Backoff, retrying
from orchestrator.core.errors import CallError


@dataclass(frozen=True, kw_only=True, slots=True)
class CopySizes:
    """Bytes."""

    whole_below: int = 256 * 1024 * 1024
    """Larger ones are copied in parts, side by side. S3 copies up to 5 GiB in one call, but takes minutes for it."""
    part: int = 128 * 1024 * 1024


PARTS_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class CopySource:
    """One version of an object of which everything is known."""

    bucket: str
    key: str
    version_id: str | None
    etag: str
    """S3 refuses to copy when the object has another one by now."""
    size: int
    owner: str | None = None
    """The account that the bucket must belong to, where that is known."""

    def parameters(self) -> dict[str, Any]:
        named = {"Bucket": self.bucket, "Key": self.key}
        version = {} if self.version_id is None else {"VersionId": self.version_id}
        found = {"CopySource": {**named, **version}, "CopySourceIfMatch": f'"{self.etag}"'}
        return found if self.owner is None else {**found, "ExpectedSourceBucketOwner": self.owner}


class ServerSideCopy:
    """For one object; for one use. The calls go to where the copy shall be."""

    def __init__(
        self, head: Mapping[str, Any], source: CopySource, *, call: Call, backoff: Backoff, sizes: CopySizes
    ) -> None:
        """`head`: what CreateMultipartUpload takes; metadata, tags and encryption of the source don't come along."""
        self._head = head
        self._source = source
        self._call = call
        self._backoff = backoff
        self._sizes = sizes

    async def run(self) -> Mapping[str, Any]:
        """The answer of the last call, with a `VersionId` where there are versions. Raises `CallError`."""
        if self._source.size < self._sizes.whole_below:
            return await self._whole()
        return await self._in_parts()

    async def _whole(self) -> Mapping[str, Any]:
        parameters = {
            **self._head,
            **self._source.parameters(),
            "MetadataDirective": "REPLACE",
            "TaggingDirective": "REPLACE",
            "ChecksumAlgorithm": CHECKSUM,
        }
        return await retrying(lambda: self._call("CopyObject", parameters), backoff=self._backoff)

    async def _in_parts(self) -> Mapping[str, Any]:
        upload = MultipartUpload(self._head, call=self._call, backoff=self._backoff)
        try:
            await upload.create()
            await self._parts(upload)
            return await upload.complete(size=self._source.size, checksum=None)
        except BaseException as error:
            await upload.abandon(error)
            raise
        finally:
            await upload.forget_unanswered()

    async def _parts(self, upload: MultipartUpload) -> None:
        size = max(self._sizes.part, -(-self._source.size // PARTS_MAX))
        offsets = iter(enumerate(range(0, self._source.size, size), start=1))
        failures: list[CallError] = []

        async def work() -> None:
            try:
                for number, begin in offsets:
                    end = min(begin + size, self._source.size) - 1
                    more = {**self._source.parameters(), "CopySourceRange": f"bytes={begin}-{end}"}
                    await upload.copy_part(number, more)
            except CallError as error:
                failures.append(error)
                tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            for _ in range(PARTS_AT_ONCE):
                tasks.start_soon(work)
        if failures:
            raise failures[0]
