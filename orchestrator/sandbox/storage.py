"""What S3 keeps: buckets, versions of objects, unfinished multipart uploads. Bodies lie in one temporary folder."""

from __future__ import annotations

import io
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from orchestrator.sandbox.errors import S3Error

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_IN_MEMORY = 64 * 1024
"""Bodies up to so many bytes stay in memory."""
_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes in memory, or a file of the storage's own."""

    size: int
    data: bytes = b""
    path: Path | None = None

    def open(self) -> IO[bytes]:
        return self.path.open("rb") if self.path is not None else io.BytesIO(self.data)


@dataclass(frozen=True, slots=True)
class Blob:
    """A body: one piece, or as many as a multipart upload had parts. Nothing is copied to put them together."""

    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        return sum(piece.size for piece in self.pieces)

    def chunks(self, start: int, length: int) -> Iterator[bytes]:
        for piece in self.pieces:
            if length <= 0:
                return
            if start >= piece.size:
                start -= piece.size
                continue
            wanted = min(length, piece.size - start)
            with piece.open() as file:
                file.seek(start)
                yield from _read_chunks(file, wanted)
            start, length = 0, length - wanted


class BlobReader(io.RawIOBase):
    """A blob as a file. Small reads want `io.BufferedReader` around it."""

    def __init__(self, blob: Blob) -> None:
        super().__init__()
        self._blob = blob
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._blob.size}[whence]
        if base + offset < 0:
            raise OSError("a position before the start of the file")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        chunk = next(self._blob.chunks(self._at, len(view)), b"")
        view[: len(chunk)] = chunk
        self._at += len(chunk)
        return len(chunk)


def _read_chunks(file: IO[bytes], length: int) -> Iterator[bytes]:
    while length > 0 and (chunk := file.read(min(_CHUNK, length))):
        yield chunk
        length -= len(chunk)


class BlobWriter:
    """Takes a body piece by piece; `finish` or `discard` ends it."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._buffer = bytearray()
        self._path: Path | None = None
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Raises `S3Error` when the storage is full."""
        self._storage.reserve(len(chunk))
        self.size += len(chunk)
        self._buffer += chunk
        if len(self._buffer) > (_IN_MEMORY if self._path is None else 1 << 20):
            self._spill()

    def finish(self) -> Blob:
        if self._path is not None:
            self._spill()
        return Blob((Piece(self.size, bytes(self._buffer), self._path),))

    def discard(self) -> None:
        self._storage.reserve(-self.size)
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _spill(self) -> None:
        if self._path is None:
            self._path = self._storage.new_path()
        with self._path.open("ab") as file:
            file.write(self._buffer)
        self._buffer.clear()


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """One version of an object, or a delete marker (`blob` is None)."""

    key: str
    id: str
    """`null` in a bucket without versioning."""
    modified: float
    etag: str
    """Without quotes."""
    blob: Blob | None
    headers: dict[str, str] = field(default_factory=dict)
    """Content-Type, x-amz-meta-… and so on, as GetObject gives them back."""
    checksums: dict[str, str] = field(default_factory=dict)
    """Header -> value, such as x-amz-checksum-crc32."""
    checksum_type: str = "FULL_OBJECT"

    @property
    def body(self) -> Blob:
        if self.blob is None:
            raise S3Error(
                "MethodNotAllowed", "The specified method is not allowed against a delete marker.", status=405
            )
        return self.blob


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    number: int
    etag: str
    blob: Blob
    modified: float
    checksums: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True, slots=True)
class Upload:
    """An unfinished multipart upload."""

    id: str
    key: str
    started: float
    headers: dict[str, str]
    algorithm: str | None
    checksum_type: str
    parts: dict[int, Part] = field(default_factory=dict)


@dataclass(kw_only=True, slots=True)
class Bucket:
    name: str
    region: str
    created: float
    versioning: str = ""
    """Empty, Enabled or Suspended."""
    objects: dict[str, list[Version]] = field(default_factory=dict)
    """Key -> versions, the newest last."""
    uploads: dict[str, Upload] = field(default_factory=dict)

    def latest(self, key: str) -> Version | None:
        """None where there is nothing, or a delete marker on top."""
        versions = self.objects.get(key)
        return versions[-1] if versions and versions[-1].blob is not None else None

    def find(self, key: str, version_id: str | None = None) -> Version:
        """Raises `S3Error`."""
        if version_id is None:
            found = self.latest(key)
            if found is None:
                raise S3Error("NoSuchKey", "The specified key does not exist.", status=404)
            return found
        for version in self.objects.get(key, ()):
            if version.id == version_id:
                return version
        raise S3Error("NoSuchVersion", "The specified version does not exist.", status=404)


class Storage:
    """All buckets. `close` removes the temporary folder."""

    def __init__(self, limit: int) -> None:
        self.buckets: dict[str, Bucket] = {}
        self._limit = limit
        self._used = 0
        self._folder = tempfile.TemporaryDirectory(prefix="orchestrator-sandbox-", ignore_cleanup_errors=True)

    def close(self) -> None:
        self._folder.cleanup()

    def bucket(self, name: str) -> Bucket:
        """Raises `S3Error`."""
        try:
            return self.buckets[name]
        except KeyError:
            raise S3Error("NoSuchBucket", f"The specified bucket does not exist: {name}", status=404) from None

    def reserve(self, size: int) -> None:
        """Raises `S3Error` when the storage would take more than it may."""
        if size > 0 and self._used + size > self._limit:
            raise S3Error(
                "SandboxStorageFull",
                f"The sandbox keeps at most {self._limit} bytes; raise storage_limit or delete objects.",
                status=507,
            )
        self._used += size

    def writer(self) -> BlobWriter:
        return BlobWriter(self)

    def new_path(self) -> Path:
        return Path(self._folder.name) / secrets.token_hex(12)

    def put(self, bucket: Bucket, version: Version) -> None:
        """On top of the others, or in place of the one without a version id."""
        versions = bucket.objects.setdefault(version.key, [])
        if version.id == "null":
            for old in [old for old in versions if old.id == "null"]:
                versions.remove(old)
                self.free(old.blob)
        versions.append(version)

    def remove(self, bucket: Bucket, version: Version) -> None:
        versions = bucket.objects[version.key]
        versions.remove(version)
        if not versions:
            del bucket.objects[version.key]
        self.free(version.blob)

    def free(self, blob: Blob | None) -> None:
        for piece in blob.pieces if blob is not None else ():
            self.reserve(-piece.size)
            if piece.path is not None:
                piece.path.unlink(missing_ok=True)


def new_version_id(bucket: Bucket) -> str:
    return secrets.token_urlsafe(24) if bucket.versioning == "Enabled" else "null"
