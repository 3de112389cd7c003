"""The checksums that S3 knows, each in the shape of a hash."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping
from typing import Protocol

PREFIX = "x-amz-checksum-"


class Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc:
    """A CRC that goes on from its own last value."""

    def __init__(self, calculate: Callable[[bytes, int], int], size: int) -> None:
        self._calculate = calculate
        self._size = size
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._calculate(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


def _crc32() -> Digest:
    return _Crc(zlib.crc32, 4)


def _crc32c() -> Digest:
    return _Crc(_model("CRC32C"), 4)


def _crc64nvme() -> Digest:
    return _Crc(_model("CRC64-NVME"), 8)


def _model(name: str) -> Callable[[bytes, int], int]:
    import anycrc  # noqa: PLC0415 - few requests need it

    calculate: Callable[[bytes, int], int] = anycrc.Model(name).calc
    return calculate


def _sha1() -> Digest:
    return hashlib.sha1(usedforsecurity=False)


def _md5() -> Digest:
    return hashlib.md5(usedforsecurity=False)


ALGORITHMS: Mapping[str, Callable[[], Digest]] = {
    "crc32": _crc32,
    "crc32c": _crc32c,
    "crc64nvme": _crc64nvme,
    "sha1": _sha1,
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
    "md5": _md5,
}
"""By the end of their headers' names; those of XXHASH are refused."""
ELEMENTS: Mapping[str, str] = {
    "crc32": "ChecksumCRC32",
    "crc32c": "ChecksumCRC32C",
    "crc64nvme": "ChecksumCRC64NVME",
    "sha1": "ChecksumSHA1",
    "sha256": "ChecksumSHA256",
    "sha512": "ChecksumSHA512",
    "md5": "ChecksumMD5",
}
"""Their names in XML."""


def encode(digest: Digest) -> str:
    return base64.b64encode(digest.digest()).decode()


def combined(checksums: list[str], algorithm: str) -> str:
    """The checksum of checksums of a multipart object, with its number of parts."""
    digest = ALGORITHMS[algorithm]()
    for checksum in checksums:
        digest.update(base64.b64decode(checksum))
    return f"{encode(digest)}-{len(checksums)}"
