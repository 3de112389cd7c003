"""Bodies of uploads: stored as they come in, and checked against what their headers and trailers say."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from orchestrator.sandbox.checksums import ALGORITHMS, PREFIX, Digest, encode
from orchestrator.sandbox.chunked import unchunk
from orchestrator.sandbox.errors import S3Error
from orchestrator.sandbox.storage import Blob, Storage
from orchestrator.sandbox.wire import Request

_KNOWN = ", ".join(ALGORITHMS)
OBJECT_LIMIT = 5 * 1024**3
"""Bytes of one PutObject or UploadPart, as at AWS."""
DOCUMENT_LIMIT = 4 * 1024**2


@dataclass(frozen=True, slots=True)
class Received:
    """A body that has come in whole and is what its sender said it is."""

    blob: Blob
    etag: str
    checksums: dict[str, str] = field(default_factory=dict)
    """Header -> base64."""


async def receive(storage: Storage, request: Request, *, algorithm: str | None = None) -> Received:
    """Stores the body. Raises `S3Error` when size, MD5 or a checksum isn't what the headers or trailers say.

    `algorithm`: one to reckon even if none was sent.
    """
    check = _Check(request, algorithm)
    writer = storage.writer()
    try:
        async for chunk in check.payload():
            writer.write(chunk)
            _check_limit(writer.size)
        checksums = check.finish()
        blob = writer.finish()
    except BaseException:
        writer.discard()
        raise
    return Received(blob, check.etag, checksums)


async def read_small(request: Request, *, is_summed: bool = True) -> bytes:
    """A body that is a document, checked in the same way. Raises `S3Error`.

    `is_summed`: whether the checksums in the headers are this body's; those of CompleteMultipartUpload aren't.
    """
    check = _Check(request, None, is_summed=is_summed)
    data = bytearray()
    async for chunk in check.payload():
        data += chunk
        if len(data) > DOCUMENT_LIMIT:
            raise S3Error("MalformedXML", f"The XML has more than {DOCUMENT_LIMIT} bytes.", status=400)
    check.finish()
    return bytes(data)


class _Check:
    """Takes note of a body as it passes, and compares it at the end."""

    def __init__(self, request: Request, algorithm: str | None, *, is_summed: bool = True) -> None:
        self._request = request
        self._sums = request.headers if is_summed else {}
        self._algorithm = algorithm
        self._trailers: dict[str, str] = {}
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._digests = _digests(self._sums, request.headers.get("x-amz-content-sha256", ""), algorithm)
        self._size = 0

    @property
    def etag(self) -> str:
        return self._md5.hexdigest()

    async def payload(self) -> AsyncIterator[bytes]:
        request = self._request
        is_chunked = request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
        async for chunk in unchunk(request.body, self._trailers, request.scope.chunks) if is_chunked else request.body:
            self._size += len(chunk)
            self._md5.update(chunk)
            for digest in self._digests.values():
                digest.update(chunk)
            yield chunk

    def finish(self) -> dict[str, str]:
        """The checksums to keep, header -> base64."""
        headers = self._request.headers
        found = {name: encode(digest) for name, digest in self._digests.items()}
        _check_size(headers, self._size)
        _check_md5(headers, self._md5.digest())
        _check_payload_hash(headers, found)
        return _check_checksums({**self._sums, **self._trailers}, found, self._algorithm)


def requested_algorithm(headers: Mapping[str, str]) -> str | None:
    """What CreateMultipartUpload or an upload names in x-amz-checksum-algorithm or x-amz-sdk-checksum-algorithm."""
    name = headers.get("x-amz-checksum-algorithm") or headers.get("x-amz-sdk-checksum-algorithm")
    if name is None:
        return None
    if name.lower() not in ALGORITHMS:
        raise S3Error("InvalidRequest", f"The sandbox doesn't reckon {name}; it has {_KNOWN}", status=400)
    return name.lower()


def _digests(headers: Mapping[str, str], payload: str, algorithm: str | None) -> dict[str, Digest]:
    """`payload`: x-amz-content-sha256."""
    named = {name.lower().removeprefix(PREFIX) for name in headers if name.lower().startswith(PREFIX)}
    named |= {
        name.strip().lower().removeprefix(PREFIX)
        for name in headers.get("x-amz-trailer", "").split(",")
        if name.strip().lower().startswith(PREFIX)
    }
    named -= {"algorithm", "type", "mode"}
    if algorithm is not None:
        named.add(algorithm)
    if unknown := named - set(ALGORITHMS):
        names = ", ".join(sorted(unknown))
        raise S3Error("InvalidRequest", f"The sandbox doesn't reckon {names}; it has {_KNOWN}", status=400)
    if len(payload) == 64:
        named.add("sha256")
    return {name: ALGORITHMS[name]() for name in sorted(named)}


def _check_limit(size: int) -> None:
    if size > OBJECT_LIMIT:
        raise S3Error("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size", status=400)


def _check_size(headers: Mapping[str, str], size: int) -> None:
    expected = headers.get("x-amz-decoded-content-length") or headers.get("Content-Length")
    is_chunked = headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
    if is_chunked and "x-amz-decoded-content-length" not in headers:
        raise S3Error("MissingContentLength", "You must provide the x-amz-decoded-content-length header.", status=411)
    if expected is not None and not expected.isdecimal():
        raise S3Error("InvalidArgument", f"{expected!r} is no length.", status=400)
    if expected is not None and int(expected) != size:
        raise S3Error("IncompleteBody", f"The body has {size} bytes, its header says {expected}.", status=400)


def _check_md5(headers: Mapping[str, str], md5: bytes) -> None:
    given = headers.get("Content-MD5")
    if given is not None and given != base64.b64encode(md5).decode():
        raise S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.", status=400)


def _check_payload_hash(headers: Mapping[str, str], found: Mapping[str, str]) -> None:
    given = headers.get("x-amz-content-sha256", "")
    if len(given) == 64 and base64.b64decode(found["sha256"]).hex() != given.lower():
        raise S3Error(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' does not match what was computed.",
            status=400,
        )


def _check_checksums(given: Mapping[str, str], found: Mapping[str, str], algorithm: str | None) -> dict[str, str]:
    values = {name.lower(): value for name, value in given.items()}
    kept: dict[str, str] = {}
    for name, value in found.items():
        header = f"{PREFIX}{name}"
        expected = values.get(header)
        if expected is not None and expected != value:
            raise S3Error(
                "BadDigest", f"The {name.upper()} you specified did not match the calculated checksum.", status=400
            )
        if expected is not None or name == algorithm:
            kept[header] = value
    for name in values.get("x-amz-trailer", "").split(","):
        if name.strip().startswith(PREFIX) and name.strip() not in values:
            raise S3Error(
                "MalformedTrailerError", f"The trailer {name.strip()} was announced, but not sent.", status=400
            )
    return kept
