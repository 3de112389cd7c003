"""What S3 keeps: buckets, versions of objects, unfinished multipart uploads. Bodies lie in a folder of the home's."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from orchestrator.sandbox.errors import S3Error
from orchestrator.sandbox.fleet import DEFAULT_ACCOUNT
from orchestrator.sandbox.home import Home, open_home
from orchestrator.sandbox.plain import NOT_KEPT

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_IN_MEMORY = 64 * 1024
"""Bodies up to so many bytes stay in memory, where nothing has to last."""
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
        if self._path is not None or (self._storage.is_lasting and self.size):
            self._spill(is_last=True)
        return Blob((Piece(self.size, bytes(self._buffer), self._path),))

    def discard(self) -> None:
        self._storage.reserve(-self.size)
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _spill(self, *, is_last: bool = False) -> None:
        if self._path is None:
            self._path = self._storage.new_path()
        try:
            with self._path.open("ab") as file:
                file.write(self._buffer)
                if is_last and self._storage.is_lasting:
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise S3Error(
                "SandboxStorageFull", f"The sandbox can't store the body: {error.strerror}", status=507
            ) from error
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
    blob: Blob | None = field(metadata=NOT_KEPT)
    headers: dict[str, str] = field(default_factory=dict)
    """Content-Type, x-amz-meta-… and so on, as GetObject gives them back."""
    checksums: dict[str, str] = field(default_factory=dict)
    """Header -> value, such as x-amz-checksum-crc32."""
    checksum_type: str = "FULL_OBJECT"
    tags: dict[str, str] = field(default_factory=dict)
    part_sizes: tuple[int, ...] = ()
    """Of a multipart upload."""

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
    blob: Blob = field(metadata=NOT_KEPT)
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
    tags: dict[str, str] = field(default_factory=dict)
    parts: dict[int, Part] = field(default_factory=dict, metadata=NOT_KEPT)


@dataclass(kw_only=True, slots=True)
class Bucket:
    name: str
    region: str
    created: float
    account: str = DEFAULT_ACCOUNT
    """Its owner."""
    versioning: str = ""
    """Empty, Enabled or Suspended."""
    objects: dict[str, list[Version]] = field(default_factory=dict, metadata=NOT_KEPT)
    """Key -> versions, the newest last."""
    uploads: dict[str, Upload] = field(default_factory=dict, metadata=NOT_KEPT)

    def blobs(self) -> Iterator[Blob]:
        """All bodies: of objects, and of parts."""
        for versions in self.objects.values():
            yield from (version.blob for version in versions if version.blob is not None)
        for upload in self.uploads.values():
            yield from (part.blob for part in upload.parts.values())

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
    """All buckets, and every change of them. `home`: where bodies go; by default a temporary one, gone at `close`."""

    def __init__(self, limit: int, home: Home | None = None) -> None:
        from orchestrator.sandbox.object_records import ObjectRecords, restore_objects  # noqa: PLC0415 - they know us

        self._owns_home = home is None
        self._home = home or open_home(None)
        self._folder = self._home.folder("objects")
        self._records = ObjectRecords(self._home.ledger)
        self._limit = limit
        self.is_lasting = self._home.is_lasting
        self.buckets: dict[str, Bucket] = restore_objects(self._home.ledger, self._folder)
        self._used = sum(blob.size for bucket in self.buckets.values() for blob in bucket.blobs())

    def close(self) -> None:
        if self._owns_home:
            self._home.close()

    def bucket(self, name: str) -> Bucket:
        """Raises `S3Error`."""
        try:
            return self.buckets[name]
        except KeyError:
            raise S3Error("NoSuchBucket", f"The specified bucket does not exist: {name}", status=404) from None

    def add_bucket(self, bucket: Bucket) -> None:
        self.buckets[bucket.name] = bucket
        self._records.keep_bucket(bucket)

    def change_bucket(self, bucket: Bucket) -> None:
        """Its own settings are others now."""
        self._records.keep_bucket(bucket)

    def remove_bucket(self, bucket: Bucket) -> None:
        """One without objects; what of uploads was begun goes, too."""
        for upload in tuple(bucket.uploads.values()):
            self.abort(bucket, upload)
        del self.buckets[bucket.name]
        self._records.drop_bucket(bucket)

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
        return self._folder / secrets.token_hex(12)

    def put(self, bucket: Bucket, version: Version) -> None:
        """On top of the others, or in place of the one without a version id."""
        versions = bucket.objects.setdefault(version.key, [])
        if version.id == "null":
            for old in [old for old in versions if old.id == "null"]:
                versions.remove(old)
                self._records.drop_version(bucket, old)
                self.free(old.blob)
        versions.append(version)
        self._records.keep_version(bucket, version)

    def replace(self, bucket: Bucket, old: Version, new: Version) -> None:
        """The same version with other tags, say; the body stays."""
        versions = bucket.objects[old.key]
        versions[versions.index(old)] = new
        self._records.keep_version(bucket, new)

    def remove(self, bucket: Bucket, version: Version) -> None:
        versions = bucket.objects[version.key]
        versions.remove(version)
        if not versions:
            del bucket.objects[version.key]
        self._records.drop_version(bucket, version)
        self.free(version.blob)

    def begin(self, bucket: Bucket, upload: Upload) -> None:
        bucket.uploads[upload.id] = upload
        self._records.keep_upload(bucket, upload)

    def put_part(self, bucket: Bucket, upload: Upload, part: Part) -> None:
        """In place of one with the same number."""
        old = upload.parts.get(part.number)
        upload.parts[part.number] = part
        self._records.keep_part(bucket, upload, part)
        if old is not None:
            self.free(old.blob)

    def complete(self, bucket: Bucket, upload: Upload, version: Version, numbers: Iterable[int]) -> None:
        """The parts of these numbers have become `version`; the others go."""
        del bucket.uploads[upload.id]
        self._records.drop_upload(upload)
        self.put(bucket, version)
        for number in upload.parts.keys() - set(numbers):
            self.free(upload.parts[number].blob)

    def abort(self, bucket: Bucket, upload: Upload) -> None:
        del bucket.uploads[upload.id]
        self._records.drop_upload(upload)
        for part in upload.parts.values():
            self.free(part.blob)

    def free(self, blob: Blob | None) -> None:
        for piece in blob.pieces if blob is not None else ():
            self.reserve(-piece.size)
            if piece.path is not None:
                self._home.ledger.when_kept(partial(piece.path.unlink, missing_ok=True))


def new_version_id(bucket: Bucket) -> str:
    return secrets.token_urlsafe(24) if bucket.versioning == "Enabled" else "null"
