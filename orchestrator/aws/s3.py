"""Objects of S3 in one location: look, get, put (in parts where they are large), each repeated where that is safe."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from orchestrator.aws.multipart import CHECKSUM, MultipartUpload
from orchestrator.aws.retry import Backoff, retrying
from orchestrator.aws.session import Answer, Caller
from orchestrator.aws.source import Source, open_source
from orchestrator.core.errors import RefusedError
from orchestrator.core.model import Location

SINGLE_PUT_BELOW = 8 * 1024 * 1024
"""Bytes; a file of this size or more goes in parts."""

Progress = Callable[[int], None]
"""Is told of so many more bytes that S3 has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectInfo:
    """One object, one version of it."""

    version_id: str | None
    """None where the bucket keeps no versions."""
    etag: str
    """Without quotes."""
    size: int
    """Bytes."""
    metadata: Mapping[str, str] = field(default_factory=dict)


class ObjectStore:
    """The buckets of one location.

    Raises `CallError`s: `CredentialsError` on a lack of rights, `RefusedError` such as NoSuchBucket,
    `AnswerLostError` and `ThrottledError` when even the last attempt was.
    """

    def __init__(self, session: Caller, location: Location, *, backoff: Backoff | None = None) -> None:
        self._session = session
        self._location = location
        self._backoff = backoff or Backoff()

    async def head(self, bucket: str, key: str, version: str | None = None) -> ObjectInfo | None:
        """The object (or that version of it); None when there is none, or no such bucket.

        Without the right to list the bucket S3 answers 403 for an object that isn't there: `CredentialsError`.
        """
        try:
            answer = await self._call("HeadObject", _object(bucket, key, version))
        except RefusedError as error:
            if error.code in {"404", "NoSuchKey", "NoSuchVersion", "NotFound"}:
                return None
            raise
        return _info(answer, size=int(answer["ContentLength"]), metadata=answer.get("Metadata") or {})

    async def get_bytes(self, bucket: str, key: str, version: str | None = None) -> bytes:
        """A small object's content, whole in memory."""
        body: bytes = (await self._call("GetObject", _object(bucket, key, version)))["Body"]
        return body

    async def put(
        self,
        bucket: str,
        key: str,
        path: Path,
        *,
        metadata: Mapping[str, str],
        limiter: anyio.CapacityLimiter,
        content_type: str = "application/octet-stream",
        progress: Progress = lambda _: None,
    ) -> ObjectInfo:
        """Stores a file; S3 verifies the CRC32 of all that it receives.

        `limiter` bounds the parts in flight, and so in memory, over all uploads that share it: 8 MiB each (more
        beyond 78 GiB). Raises `BundleError` when the file changes meanwhile, OSError when it can't be read.
        Leaves no multipart upload behind, also when cancelled; where S3 can't be told so, the error's notes say which.
        """
        head = {
            "Bucket": bucket,
            "Key": key,
            "Metadata": dict(metadata),
            "ContentType": content_type,
            # Said, not left to the SDK's default: it says nothing when a multipart upload is created,
            # and S3 then expects parts with checksums of another algorithm.
            "ChecksumAlgorithm": CHECKSUM,
        }
        async with open_source(path) as source:
            if source.size < SINGLE_PUT_BELOW:
                answer = await self._put_whole(head, source, limiter)
                progress(source.size)
            else:
                upload = MultipartUpload(call=self._once, backoff=self._backoff, limiter=limiter, progress=progress)
                answer = await upload.run(head, source)
        return _info(answer, size=source.size, metadata=metadata)

    async def _put_whole(self, head: Mapping[str, Any], source: Source, limiter: anyio.CapacityLimiter) -> Answer:
        async with limiter:
            content = await source.read(0, source.size)
            source.check_unchanged()
            return await retrying(
                # Not raw bytes: aiohttp would write them in one go.
                lambda: self._once("PutObject", {**head, "Body": io.BytesIO(content)}),
                backoff=self._backoff,
            )

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> Answer:
        return await retrying(lambda: self._once(operation, parameters), backoff=self._backoff)

    async def _once(self, operation: str, parameters: Mapping[str, Any]) -> Answer:
        return await self._session.call("s3", self._location, operation, parameters)


def _object(bucket: str, key: str, version: str | None) -> dict[str, str]:
    named = {"Bucket": bucket, "Key": key}
    return named if version is None else {**named, "VersionId": version}


def _info(answer: Answer, *, size: int, metadata: Mapping[str, str]) -> ObjectInfo:
    version = answer.get("VersionId")
    return ObjectInfo(
        # "null" is the version of a bucket whose versions are suspended: it can be overwritten, so it pins nothing.
        version_id=None if version == "null" else version,
        etag=str(answer.get("ETag") or "").strip('"'),
        size=size,
        metadata=dict(metadata),
    )
