"""An S3 in memory that fails, loses answers and hangs as it is told."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import anyio

from orchestrator.core.errors import RefusedError
from orchestrator.core.model import Location

HERE = Location(region="eu-west-1")


@dataclass(frozen=True, slots=True)
class After:
    """Carried out; then this happens."""

    error: Exception


class Hang:
    """Never answers."""


@dataclass(slots=True)
class Upload:
    key: str
    metadata: Mapping[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))
    touched: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When the last part came."""


@dataclass(slots=True)
class MemoryS3:
    damage: Callable[[bytes], bytes] = bytes
    """What a copy does to the content."""
    objects: dict[str, tuple[bytes, Mapping[str, str], str]] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    faults: dict[str, list[Exception | After | Hang]] = field(default_factory=dict)
    """What happens to the next calls of an operation, one each."""
    during: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    active: Counter[str] = field(default_factory=Counter)
    heads: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """What an object was created with."""
    asked: list[Mapping[str, Any]] = field(default_factory=list)
    checksum_type: str = "FULL_OBJECT"
    most_parts: int = 0
    created: int = 0

    async def call(
        self, service: str, location: Location, operation: str, parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        assert (service, location) == ("s3", HERE)
        self.asked.append(parameters)
        self.counts[operation] += 1
        self.active[operation] += 1
        self.most_parts = max(self.most_parts, self.active["UploadPart"])
        try:
            await anyio.lowlevel.checkpoint()
            if operation in self.during:
                await self.during[operation]()
            return await self._fated(operation, parameters)
        finally:
            self.active[operation] -= 1

    async def _fated(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        queue = self.faults.get(operation)
        fate = queue.pop(0) if queue else None
        match fate:
            case Hang():
                await anyio.sleep_forever()
            case Exception():
                raise fate
            case After():
                self._carry_out(operation, parameters)
                raise fate.error
            case None:
                pass
        return self._carry_out(operation, parameters)

    def _carry_out(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = getattr(self, f"_{operation}")(parameters)
        return answer

    def _HeadObject(self, parameters: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802  # named as S3 names them
        if parameters["Key"] not in self.objects:
            raise RefusedError("Not Found", code="404")
        content, metadata, etag = self.objects[parameters["Key"]]
        answer = {"ContentLength": len(content), "ETag": etag, "VersionId": "null", "Metadata": metadata}
        if parameters.get("ChecksumMode") == "ENABLED":
            answer |= {"ChecksumCRC32": crc_of(content), "ChecksumType": self.checksum_type}
        return answer

    def _GetObject(self, parameters: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802  # named as S3 names them
        return {"Body": self.objects[parameters["Key"]][0]}

    def _PutObject(self, parameters: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802  # named as S3 names them
        content = bytes(parameters["Body"])
        assert parameters["ChecksumCRC32"] == crc_of(content)
        etag = f'"{md5_of(content).hex()}"'
        self.objects[parameters["Key"]] = (content, parameters["Metadata"], etag)
        self.heads[parameters["Key"]] = parameters
        return {"ETag": etag, "VersionId": "v1"}

    def _CreateMultipartUpload(self, parameters: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802  # named as S3 names them
        assert (parameters["ChecksumAlgorithm"], parameters["ChecksumType"]) == ("CRC32", "FULL_OBJECT")
        self.created += 1
        self.heads[parameters["Key"]] = parameters
        upload_id = f"upload-{self.created}"
        self.uploads[upload_id] = Upload(parameters["Key"], parameters["Metadata"])
        return {"UploadId": upload_id}

    def _upload(self, parameters: Mapping[str, Any]) -> Upload:
        if parameters["UploadId"] not in self.uploads:
            raise RefusedError("no such upload", code="NoSuchUpload")
        return self.uploads[parameters["UploadId"]]

    def _UploadPart(self, parameters: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802  # named as S3 names them
        content = bytes(parameters["Body"])
        assert parameters["ChecksumCRC32"] == crc_of(content)
        self._upload(parameters).parts[parameters["PartNumber"]] = content
        return {"ETag": f'"{md5_of(content).hex()}"'}

    def _CompleteMultipartUpload(self, parameters: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802  # named as S3 names them
        upload = self._upload(parameters)
        listed = parameters["MultipartUpload"]["Parts"]
        assert [part["PartNumber"] for part in listed] == sorted(upload.parts)
        assert [part["ChecksumCRC32"] for part in listed] == [
            crc_of(upload.parts[number]) for number in sorted(upload.parts)
        ]
        digests = b"".join(md5_of(upload.parts[number]) for number in sorted(upload.parts))
        etag = f'"{md5_of(digests).hex()}-{len(listed)}"'
        content = b"".join(upload.parts[number] for number in sorted(upload.parts))
        assert parameters.get("ChecksumCRC32", crc_of(content)) == crc_of(content)
        assert parameters["MpuObjectSize"] == len(content)
        self.objects[upload.key] = (content, upload.metadata, etag)
        del self.uploads[parameters["UploadId"]]
        return {"ETag": etag, "VersionId": "v7"}

    def _AbortMultipartUpload(self, parameters: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802  # named as S3 names them
        self._upload(parameters)
        del self.uploads[parameters["UploadId"]]
        return {}

    def _ListParts(self, parameters: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802  # named as S3 names them
        upload = self._upload(parameters)
        return {"Parts": [{"PartNumber": number, "LastModified": upload.touched} for number in upload.parts]}

    def _CopyObject(self, parameters: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802  # named as S3 names them
        assert (parameters["MetadataDirective"], parameters["TaggingDirective"]) == ("REPLACE", "REPLACE")
        content, _, etag = self.objects[parameters["CopySource"]["Key"]]
        if parameters["CopySourceIfMatch"] != etag:
            raise RefusedError("no", code="PreconditionFailed")
        self.objects[parameters["Key"]] = (self.damage(content), parameters["Metadata"], etag)
        self.heads[parameters["Key"]] = parameters
        return {"CopyObjectResult": {"ETag": etag}}

    def _UploadPartCopy(self, parameters: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802  # named as S3 names them
        content = self.objects[parameters["CopySource"]["Key"]][0]
        begin, end = map(int, parameters["CopySourceRange"].removeprefix("bytes=").split("-"))
        piece = content[begin : end + 1]
        self._upload(parameters).parts[parameters["PartNumber"]] = piece
        return {"CopyPartResult": {"ETag": f'"{md5_of(piece).hex()}"', "ChecksumCRC32": crc_of(piece)}}

    def _HeadBucket(self, parameters: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802  # named as S3 names them
        return {"BucketRegion": "eu-west-1"}

    def _ListMultipartUploads(self, parameters: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802  # named as S3 names them
        return {
            "Uploads": [
                {"Key": upload.key, "UploadId": upload_id, "Initiated": upload.begun}
                for upload_id, upload in self.uploads.items()
                if upload.key.startswith(parameters["Prefix"])
            ]
        }


def crc_of(content: bytes) -> str:
    return base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


def md5_of(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()
