"""Tar archives, compressed or not, member by member, as strict about damage as GNU tar is."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, cast

from orchestrator.bundle.members import ArchiveError, Member, MemberKind

_CHUNK = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
_TAIL = 1 << 16  # bytes; more than tarfile reads ahead
_KINDS: dict[bytes, MemberKind] = {
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.CHRTYPE: "special",
    tarfile.BLKTYPE: "special",
    tarfile.FIFOTYPE: "special",
}
_VOLUME_LABEL = b"V"


def tar_members(path: Path, compression: str | None) -> Iterator[Member]:
    """`compression`: tgz, bzip2, xz, or None. Raises `ArchiveError` for a header that is none; others' errors pass."""
    with _decompressed(path, compression) as raw:
        tail = _Tail(raw)
        with tarfile.open(fileobj=cast("IO[bytes]", tail), mode="r|", errors="surrogateescape") as archive:
            for info in _stream(archive):
                if info.type != _VOLUME_LABEL:
                    yield _member(archive, info)
            _require_end(archive, tail)
        while raw.read(_CHUNK):  # the checksum of gzip stands at the very end
            pass


def _member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    kind = _KINDS.get(info.type, "file")
    mode = info.mode & 0o7777
    if kind != "file":
        return Member(info.name, kind, mode, target=info.linkname)
    return Member(info.name, "file", mode, info.size, chunks=partial(_chunks, archive, info))


def _chunks(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[bytes]:
    file = archive.extractfile(info)
    while file is not None and (chunk := file.read(_CHUNK)):
        yield chunk


def _stream(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (info := archive.next()) is not None:
        yield info
        archive.members.clear()  # type: ignore[attr-defined] # undocumented; it would keep every member otherwise


def _require_end(archive: tarfile.TarFile, tail: _Tail) -> None:
    """Python ends an archive at the first header that is none; tar fails there, unless it is zeros or the end."""
    block = tail.at(archive.offset)  # where the header was that it stopped at
    if block.strip(b"\0"):
        message = f"there is no tar header at byte {archive.offset}"
        raise ArchiveError("archive_unreadable", message, hint="it is damaged: make or download it again")


class _Tail:
    """Passes reads on, and remembers the last bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._read = 0
        self._last = b""

    def read(self, size: int) -> bytes:
        chunk = self._file.read(size)
        self._read += len(chunk)
        self._last = (self._last + chunk)[-_TAIL:]
        return chunk

    def at(self, offset: int) -> bytes:
        """One block, if it is among the last bytes."""
        start = offset - (self._read - len(self._last))
        return self._last[start : start + _BLOCK] if start >= 0 else b""


@contextmanager
def _decompressed(path: Path, compression: str | None) -> Iterator[IO[bytes]]:
    import bz2  # noqa: PLC0415 - one of them at most is needed
    import gzip  # noqa: PLC0415
    import lzma  # noqa: PLC0415

    match compression:
        case "tgz":
            with gzip.open(path) as file:
                yield cast("IO[bytes]", file)
        case "bzip2":
            with bz2.open(path) as file:
                yield file
        case "xz":
            with lzma.open(path) as file:
                yield file
        case _:
            with path.open("rb") as file:
                yield file
