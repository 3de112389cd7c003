"""S3 as a place for run state: one attempt a call, conditional writes; see `core.blobs.PatientBlobs` for the rest."""

from __future__ import annotations

import re
from typing import Any

from orchestrator.aws.multipart import CHECKSUM
from orchestrator.aws.owntask import in_own_task
from orchestrator.aws.session import Answer, Caller
from orchestrator.core.blobs import Blob, ConflictError
from orchestrator.core.errors import AnswerLostError, RefusedError, UsageError
from orchestrator.core.model import Location

_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?")
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_CONDITION_FAILED = frozenset({"412", "PreconditionFailed"})
_UNDECIDED = frozenset({"409", "ConditionalRequestConflict", "OperationAborted"})
"""Another write of the same object was under way: asking again tells."""


def parse_s3_url(url: str) -> tuple[str, str]:
    """Bucket and prefix (without slashes around it; perhaps empty) of `s3://bucket/prefix`. Raises `UsageError`."""
    match = _URL.fullmatch(url)
    prefix = (match[2] or "").strip("/") if match else ""
    if match is None or any(part in {"", ".", ".."} for part in prefix.split("/") if prefix):
        raise UsageError(f"{url!r} is no place in S3", hint="write s3://bucket/prefix")
    return match[1], prefix


class S3Blobs:
    """`core.blobs.Blobs` at the level of attempts: raises `CallError`s and `ConflictError`.

    Needs s3:GetObject, s3:PutObject, s3:DeleteObject on `<prefix>/*`, and s3:ListBucket: without it S3 answers 403 for
    an object that isn't there.
    """

    def __init__(self, session: Caller, location: Location, *, bucket: str, prefix: str = "") -> None:
        """`location`: the bucket's region, and the role to take on there."""
        self._session = session
        self._location = location
        self._bucket = bucket
        self._root = f"{prefix}/" if prefix else ""
        self._url = f"s3://{bucket}/{prefix}".rstrip("/")

    @property
    def where(self) -> str:
        return self._url

    async def get(self, name: str) -> Blob | None:
        try:
            answer = await self._call("GetObject", {"Key": self._root + name})
        except RefusedError as error:
            if error.code in _MISSING:
                return None
            raise
        return Blob(answer["Body"], str(answer["ETag"]))

    async def put(self, name: str, content: bytes, *, absent: bool = False, match: str | None = None) -> str:
        parameters: dict[str, Any] = {
            "Key": self._root + name,
            "Body": content,
            "ContentType": "application/json",
            "ChecksumAlgorithm": CHECKSUM,
        }
        if absent:
            parameters["IfNoneMatch"] = "*"
        if match is not None:
            parameters["IfMatch"] = match
        try:
            answer = await self._call("PutObject", parameters)
        except RefusedError as error:
            if error.code in _CONDITION_FAILED or (match is not None and error.code in _MISSING):
                raise ConflictError(f"{self._url}/{name} was written by somebody else") from error
            if error.code in _UNDECIDED:
                raise AnswerLostError(error.message, operation=error.operation, code=error.code) from error
            raise
        return str(answer["ETag"])

    async def list(self, prefix: str = "") -> list[str]:
        names: list[str] = []
        parameters: dict[str, Any] = {"Prefix": self._root + prefix}
        while True:
            answer = await self._call("ListObjectsV2", parameters)
            names += [str(entry["Key"])[len(self._root) :] for entry in answer.get("Contents") or ()]
            token = answer.get("NextContinuationToken")
            if not token:
                return sorted(names)
            parameters["ContinuationToken"] = token

    async def delete(self, name: str) -> None:
        await self._call("DeleteObject", {"Key": self._root + name})

    async def _call(self, operation: str, parameters: dict[str, Any]) -> Answer:
        given = {"Bucket": self._bucket, **parameters}
        return await in_own_task(lambda: self._session.call("s3", self._location, operation, given))
