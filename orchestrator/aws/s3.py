"""Objects of S3 in one location: look, get, put, copy, each call repeated where that is safe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from orchestrator.aws.buffers import Buffers
from orchestrator.aws.copying import CopySizes, CopySource, ServerSideCopy
from orchestrator.aws.parts import Producer
from orchestrator.aws.retry import Backoff, retrying
from orchestrator.aws.session import Answer, Caller
from orchestrator.aws.settings import owner, storing
from orchestrator.aws.source import read_chunks
from orchestrator.aws.upload import Progress, StreamUpload
from orchestrator.core.errors import CredentialsError, RefusedError
from orchestrator.core.model import NO_OBJECT_SETTINGS, Location, ObjectSettings

PIECE = 16 * 1024 * 1024
"""Bytes that a download asks for at once."""

CONTENT_TYPE = "application/octet-stream"
_MISSING = frozenset({"404", "NoSuchKey", "NoSuchVersion", "NotFound"})


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectInfo:
    """One object, one version of it."""

    version_id: str | None
    """None where the bucket keeps no versions."""
    etag: str
    """Without quotes."""
    size: int
    """Bytes."""
    checksum: str | None = None
    """CRC32 of all of it, as S3 writes it; None where S3 wasn't asked, or has another kind."""
    metadata: Mapping[str, str] = field(default_factory=dict)


class ObjectStore:
    """The buckets of one location.

    Raises `CallError`s: `CredentialsError` on a lack of rights, `RefusedError` such as NoSuchBucket,
    `AnswerLostError` and `ThrottledError` when even the last attempt was.
    """

    def __init__(
        self,
        session: Caller,
        location: Location,
        *,
        backoff: Backoff | None = None,
        patience: Backoff | None = None,
        copies: CopySizes | None = None,
    ) -> None:
        """`backoff`: of calls; `patience`: of those of an upload under way, which should outlive a lost connection."""
        self._session = session
        self._location = location
        self._backoff = backoff or Backoff()
        self._patience = patience or Backoff(attempts=15, cap=10.0)  # some 1.5 minutes
        self._copies = copies or CopySizes()

    async def head(
        self,
        bucket: str,
        key: str,
        version: str | None = None,
        *,
        settings: ObjectSettings = NO_OBJECT_SETTINGS,
        checksum: bool = False,
    ) -> ObjectInfo | None:
        """The object (or that version of it); None when there is none, or no such bucket.

        `checksum`: asks for it, which needs kms:Decrypt where the object is encrypted with a key of KMS.
        Without the right to list the bucket S3 answers 403 for an object that isn't there: `CredentialsError`.
        """
        parameters = {**_object(bucket, key, version), **owner(settings)}
        if checksum:
            parameters["ChecksumMode"] = "ENABLED"
        try:
            answer = await self._call("HeadObject", parameters)
        except RefusedError as error:
            if error.code in _MISSING:
                return None
            raise
        except CredentialsError as error:
            raise _about_owner(error, bucket, settings) from error
        return _info(answer, size=int(answer["ContentLength"]), metadata=answer.get("Metadata") or {})

    async def get_bytes(self, bucket: str, key: str, version: str | None = None) -> bytes:
        """A small object's content, whole in memory."""
        body: bytes = (await self._call("GetObject", _object(bucket, key, version)))["Body"]
        return body

    async def put(
        self,
        bucket: str,
        key: str,
        producer: Producer,
        *,
        at_most: int,
        metadata: Mapping[str, str],
        buffers: Buffers,
        settings: ObjectSettings = NO_OBJECT_SETTINGS,
        progress: Progress = lambda _: None,
    ) -> ObjectInfo:
        """Stores what a producer makes, while it makes it; S3 verifies the CRC32 of each part and of the whole.

        `at_most`: bytes that it may be. `buffers` bound what is in memory over all uploads that share them.
        Raises what the producer raises. Nothing is stored then, and no multipart upload is left behind, also when
        cancelled; where S3 can't be told so, the error's notes say which.
        """
        head = _head(bucket, key, metadata, settings)
        upload = StreamUpload(head, call=self._once, backoff=self._patience, buffers=buffers, progress=progress)
        try:
            done = await upload.run(producer, at_most=at_most)
        except CredentialsError as error:
            raise _about_owner(error, bucket, settings) from error
        return _info(done.answer, size=done.size, metadata=metadata, checksum=done.checksum)

    async def put_file(
        self,
        bucket: str,
        key: str,
        path: Path,
        *,
        metadata: Mapping[str, str],
        buffers: Buffers,
        settings: ObjectSettings = NO_OBJECT_SETTINGS,
        progress: Progress = lambda _: None,
    ) -> ObjectInfo:
        """The same for a file. Raises `BundleError` when it changes meanwhile, OSError when it can't be read."""

        @contextmanager
        def chunks() -> Iterator[Iterator[bytes]]:
            yield read_chunks(path)

        at_most = (await anyio.Path(path).stat()).st_size
        return await self.put(
            bucket,
            key,
            chunks,
            at_most=at_most,
            metadata=metadata,
            buffers=buffers,
            settings=settings,
            progress=progress,
        )

    async def download(self, bucket: str, key: str, info: ObjectInfo, path: Path) -> None:
        """Writes the object that `head` has told of to a file, piece by piece.

        Raises `RefusedError` when the object is another one by now, OSError when the file can't be written.
        """
        named = {**_object(bucket, key, info.version_id), "IfMatch": f'"{info.etag}"'}
        async with await anyio.open_file(path, "wb") as file:
            for begin in range(0, info.size, PIECE):
                end = min(begin + PIECE, info.size) - 1
                answer = await self._call("GetObject", {**named, "Range": f"bytes={begin}-{end}"})
                await file.write(answer["Body"])

    async def copy(
        self,
        source: CopySource,
        bucket: str,
        key: str,
        *,
        metadata: Mapping[str, str],
        checksum: str,
        settings: ObjectSettings = NO_OBJECT_SETTINGS,
    ) -> ObjectInfo:
        """Copies an object within S3, from wherever it is to a bucket of this location, and looks at the copy.

        Raises `RefusedError` (CopyDiffers) unless size and CRC32 are the original's.
        """
        head = _head(bucket, key, metadata, settings)
        answer = await ServerSideCopy(head, source, call=self._once, backoff=self._backoff, sizes=self._copies).run()
        made = await self.head(bucket, key, _version(answer), settings=settings, checksum=True)
        if made is None or made.size != source.size or made.checksum != checksum:
            raise RefusedError(
                f"the copy of s3://{source.bucket}/{source.key} in s3://{bucket}/{key} isn't known to be the same",
                operation="CopyObject",
                code="CopyDiffers",
            )
        return made

    async def look_at_bucket(self, bucket: str, settings: ObjectSettings = NO_OBJECT_SETTINGS) -> str | None:
        """The bucket's region, where S3 says it. One attempt. Raises `RefusedError` (404), `CredentialsError`."""
        try:
            answer = await self._once("HeadBucket", {"Bucket": bucket, **owner(settings)})
        except CredentialsError as error:
            raise _about_owner(error, bucket, settings) from error
        return answer.get("BucketRegion")

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> Answer:
        return await retrying(lambda: self._once(operation, parameters), backoff=self._backoff)

    async def _once(self, operation: str, parameters: Mapping[str, Any]) -> Answer:
        return await self._session.call("s3", self._location, operation, parameters)


def _object(bucket: str, key: str, version: str | None) -> dict[str, Any]:
    named = {"Bucket": bucket, "Key": key}
    return named if version is None else {**named, "VersionId": version}


def _head(bucket: str, key: str, metadata: Mapping[str, str], settings: ObjectSettings) -> dict[str, Any]:
    named = {"Bucket": bucket, "Key": key, "Metadata": dict(metadata), "ContentType": CONTENT_TYPE}
    return {**named, **storing(settings)}


def _version(answer: Mapping[str, Any]) -> str | None:
    # "null" is the version of a bucket whose versions are suspended: it can be overwritten, so it pins nothing.
    version = answer.get("VersionId")
    return None if version == "null" else version


def _info(
    answer: Mapping[str, Any], *, size: int, metadata: Mapping[str, str], checksum: str | None = None
) -> ObjectInfo:
    is_whole = answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
    return ObjectInfo(
        version_id=_version(answer),
        etag=str(answer.get("ETag") or "").strip('"'),
        size=size,
        checksum=checksum or (answer.get("ChecksumCRC32") if is_whole else None),
        metadata=dict(metadata),
    )


def _about_owner(error: CredentialsError, bucket: str, settings: ObjectSettings) -> CredentialsError:
    """S3 answers the same to a lack of rights and to a bucket that isn't the expected account's."""
    if settings.expected_bucket_owner is None or error.code not in {"403", "AccessDenied"}:
        return error
    whose = f"check that {bucket} belongs to the account {settings.expected_bucket_owner} (expected_bucket_owner)"
    hint = f"{whose}; if it does, {error.hint}" if error.hint else whose
    return CredentialsError(
        error.message, operation=error.operation, code=error.code, request_id=error.request_id, hint=hint
    )
