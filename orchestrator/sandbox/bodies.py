"""Bodies of uploads: aws-chunked framing, sizes and checksums."""

from __future__ import annotations

import base64
import hashlib
import hmac
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.sandbox.errors import S3Error
from orchestrator.sandbox.storage import Blob, Storage

_PREFIX = "x-amz-checksum-"
OBJECT_LIMIT = 5 * 1024**3
"""Bytes of one PutObject or UploadPart, as at AWS."""


class Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class Crc32:
    """CRC-32 in the shape of a hash."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def _sha1() -> Digest:
    return hashlib.sha1(usedforsecurity=False)


# CRC-32C and CRC-64/NVME aren't in the standard library: they are refused rather than taken unseen.
ALGORITHMS: Mapping[str, Callable[[], Digest]] = {"crc32": Crc32, "sha1": _sha1, "sha256": hashlib.sha256}


@dataclass(frozen=True, slots=True)
class Received:
    """A body that has come in whole and is what its sender said it is."""

    blob: Blob
    etag: str
    checksums: dict[str, str] = field(default_factory=dict)
    """Header -> base64."""


async def receive(
    storage: Storage, body: AsyncIterator[bytes], headers: Mapping[str, str], *, algorithm: str | None = None
) -> Received:
    """Stores the body. Raises `S3Error` when size, MD5 or a checksum isn't what the headers or trailers say.

    `algorithm`: one to reckon even if none was sent.
    """
    trailers: dict[str, str] = {}
    if headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
        body = _unchunk(body, trailers)
    md5 = hashlib.md5(usedforsecurity=False)
    digests = _digests(headers, algorithm)
    writer = storage.writer()
    try:
        async for chunk in body:
            writer.write(chunk)
            _check_limit(writer.size)
            md5.update(chunk)
            for digest in digests.values():
                digest.update(chunk)
        found = {name: encode_digest(digest) for name, digest in digests.items()}
        _check_size(headers, writer.size)
        _check_md5(headers, md5.digest())
        _check_payload_hash(headers, found)
        checksums = _check_checksums({**headers, **trailers}, found, algorithm)
    except BaseException:
        writer.discard()
        raise
    return Received(writer.finish(), md5.hexdigest(), checksums)


def requested_algorithm(headers: Mapping[str, str]) -> str | None:
    """What CreateMultipartUpload or an upload names in x-amz-checksum-algorithm or x-amz-sdk-checksum-algorithm."""
    name = headers.get("x-amz-checksum-algorithm") or headers.get("x-amz-sdk-checksum-algorithm")
    if name is None:
        return None
    if name.lower() not in ALGORITHMS:
        raise S3Error("InvalidRequest", f"The sandbox doesn't reckon {name}; it has CRC32, SHA1 and SHA256", status=400)
    return name.lower()


def encode_digest(digest: Digest) -> str:
    return base64.b64encode(digest.digest()).decode()


def combined(checksums: list[str], algorithm: str) -> str:
    """The checksum of checksums of a multipart object, with its number of parts."""
    digest = ALGORITHMS[algorithm]()
    for checksum in checksums:
        digest.update(base64.b64decode(checksum))
    return f"{encode_digest(digest)}-{len(checksums)}"


def _digests(headers: Mapping[str, str], algorithm: str | None) -> dict[str, Digest]:
    named = {name.lower().removeprefix(_PREFIX) for name in headers if name.lower().startswith(_PREFIX)}
    named |= {
        name.strip().lower().removeprefix(_PREFIX)
        for name in headers.get("x-amz-trailer", "").split(",")
        if name.strip().lower().startswith(_PREFIX)
    }
    named -= {"algorithm", "type", "mode"}
    if algorithm is not None:
        named.add(algorithm)
    if unknown := named - set(ALGORITHMS):
        names = ", ".join(sorted(unknown))
        raise S3Error(
            "InvalidRequest", f"The sandbox doesn't reckon {names}; it has crc32, sha1 and sha256", status=400
        )
    if len(headers.get("x-amz-content-sha256", "")) == 64:
        named.add("sha256")
    return {name: ALGORITHMS[name]() for name in sorted(named)}


async def _unchunk(body: AsyncIterator[bytes], trailers: dict[str, str]) -> AsyncIterator[bytes]:
    """The payload of an aws-chunked body: `<hex size>[;chunk-signature=…]`, the bytes, … `0`, trailers."""
    reader = _LineReader(body)
    while size := await reader.chunk_size():
        async for piece in reader.exactly(size):
            yield piece
        await reader.line()
    while line := await reader.line(optional=True):
        name, _, value = line.partition(":")
        trailers[name.strip().lower()] = value.strip()


class _LineReader:
    """Lines and counted bytes from a stream of pieces."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._buffer = b""

    async def chunk_size(self) -> int:
        line = await self.line()
        try:
            return int(line.split(";", 1)[0].strip(), 16)
        except ValueError:
            raise _broken(f"{line[:40]!r} is no chunk size") from None

    async def line(self, *, optional: bool = False) -> str:
        """Without its end. Optional: empty at the end of the body."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > 16_384:
                raise _broken("a line is too long")
            if not await self._more():
                if optional:
                    rest, self._buffer = self._buffer, b""
                    return rest.decode("latin-1").strip()
                raise _broken("it ends too soon")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode("latin-1").rstrip("\r")

    async def exactly(self, size: int) -> AsyncIterator[bytes]:
        while size > 0:
            if not self._buffer and not await self._more():
                raise _broken("it ends too soon")
            piece, self._buffer = self._buffer[:size], self._buffer[size:]
            size -= len(piece)
            yield piece

    async def _more(self) -> bool:
        piece = await anext(self._body, b"")
        self._buffer += piece
        return bool(piece)


def _check_limit(size: int) -> None:
    if size > OBJECT_LIMIT:
        raise S3Error("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size", status=400)


def _check_size(headers: Mapping[str, str], size: int) -> None:
    expected = headers.get("x-amz-decoded-content-length") or headers.get("Content-Length")
    is_chunked = headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
    if is_chunked and "x-amz-decoded-content-length" not in headers:
        raise S3Error("MissingContentLength", "You must provide the x-amz-decoded-content-length header.", status=411)
    if expected is not None and int(expected) != size:
        raise S3Error("IncompleteBody", f"The body has {size} bytes, its header says {expected}.", status=400)


def _check_md5(headers: Mapping[str, str], md5: bytes) -> None:
    given = headers.get("Content-MD5")
    if given is not None and not hmac.compare_digest(given, base64.b64encode(md5).decode()):
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
        header = f"{_PREFIX}{name}"
        expected = values.get(header)
        if expected is not None and expected != value:
            raise S3Error(
                "BadDigest", f"The {name.upper()} you specified did not match the calculated checksum.", status=400
            )
        if expected is not None or name == algorithm:
            kept[header] = value
    for name in values.get("x-amz-trailer", "").split(","):
        if name.strip().startswith(_PREFIX) and name.strip() not in values:
            raise S3Error(
                "MalformedTrailerError", f"The trailer {name.strip()} was announced, but not sent.", status=400
            )
    return kept


def _broken(what: str) -> S3Error:
    return S3Error("IncompleteBody", f"The aws-chunked body is broken: {what}.", status=400)
