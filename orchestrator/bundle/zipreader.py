"""Zip archives, member by member, as `unzip` reads them and rubyzip, to which the agent turns when it complains.

So a wrong checksum is no reason to refuse: rubyzip doesn't look at it. Python's own reader would.
"""

from __future__ import annotations

import bz2
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

from orchestrator.bundle.members import ArchiveError, Member

_CHUNK = 1 << 20
_UNIX, _DOS = 3, 0
_LIKE_UNIX = (_UNIX, 19)  # 19: Darwin, to some
_ENCRYPTED, _UTF8 = 0x1, 0x800
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_LINK_LIMIT = 1 << 16  # bytes
_STORED, _DEFLATED, _BZIP2 = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2
_DEFLATE64 = 9  # nearly the same; zlib reads most of it
_UNZIP_KNOWS = (_STORED, _DEFLATED, _DEFLATE64, _BZIP2)


Remarks = list[tuple[str, str]]


def zip_members(path: Path, remarks: Remarks) -> Iterator[Member]:
    """`remarks` gets what is wrong and does no harm. Raises `ArchiveError` for what can't be unpacked; the errors of
    `zipfile` pass.
    """
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        file.seek(0)
        if file.read(2) != b"PK":
            remarks.append(("archive_damaged", "something stands before the zip; unzip finds it all the same"))
        for info in archive.infolist():
            yield _member(file, info, remarks)


def _member(file: IO[bytes], info: zipfile.ZipInfo, remarks: Remarks) -> Member:
    name = _name(info)
    if info.create_system == _DOS and "\\" in name and "/" not in name:
        name = name.replace("\\", "/")
        remarks.append(("archive_backslash_names", f"member {name!r} had backslashes, which unzip makes slashes of"))
    mode = info.external_attr >> 16 if info.create_system in _LIKE_UNIX else 0
    if name.endswith("/"):
        return Member(name, "dir", mode & 0o777 or 0o755)
    if info.flag_bits & _ENCRYPTED:
        message = f"member {name!r} is encrypted, and the agent has no password"
        raise ArchiveError("archive_encrypted", message, hint="make the archive again, without a password")
    if info.compress_type not in _UNZIP_KNOWS:
        message = f"member {name!r} is compressed by method {info.compress_type}, which unzip doesn't know"
        raise ArchiveError("archive_compression_unsupported", message, hint="use deflate, as zip does by itself")
    chunks = partial(_chunks, file, info, remarks)
    if stat.S_ISLNK(mode):
        target = b"".join(chunks())[:_LINK_LIMIT].decode(errors="surrogateescape")
        return Member(name, "symlink", 0o777, target=target)
    return Member(name, "file", mode & 0o777 or (0o644 if not mode else 0), info.file_size, chunks=chunks)


def _name(info: zipfile.ZipInfo) -> str:
    """Python takes names without the flag for code page 437; unzip on Linux leaves the bytes as they are."""
    name = info.orig_filename.partition("\0")[0]
    if info.flag_bits & _UTF8:
        return name
    try:
        return name.encode("cp437").decode(errors="surrogateescape")
    except UnicodeEncodeError:
        return name


def _chunks(file: IO[bytes], info: zipfile.ZipInfo, remarks: Remarks) -> Iterator[bytes]:
    """The content, decompressed, in bounded pieces. Raises `ArchiveError` when that fails."""
    file.seek(info.header_offset)
    header = file.read(30)
    if len(header) < 30 or not header.startswith(b"PK\3\4"):
        raise _damaged(info, "its local header isn't where it should be")
    _, name_length, extra_length = _LOCAL_HEADER.unpack(header)
    file.seek(name_length + extra_length, 1)
    remaining = info.compress_size
    checksum = size = 0
    inflate = _inflater(info.compress_type)
    while remaining > 0:
        data = file.read(min(_CHUNK, remaining))
        if not data:
            raise _damaged(info, "it ends too early")
        remaining -= len(data)
        try:
            for chunk in inflate(data):
                checksum, size = zlib.crc32(chunk, checksum), size + len(chunk)
                yield chunk
        except (zlib.error, OSError) as error:
            raise _damaged(info, str(error)) from error
    if (checksum, size) != (info.CRC, info.file_size):
        message = f"member {info.filename!r} isn't what its checksum or size says; the agent takes it as it is"
        remarks.append(("archive_damaged", message))


def _damaged(info: zipfile.ZipInfo, why: str) -> ArchiveError:
    message = f"member {info.filename!r} can't be unpacked: {why}"
    return ArchiveError("archive_unreadable", message, hint="it is damaged: make or download it again")


class _Inflater:
    def __init__(self, method: int) -> None:
        self._deflate = zlib.decompressobj(-15) if method in {_DEFLATED, _DEFLATE64} else None
        self._bzip2 = bz2.BZ2Decompressor() if method == _BZIP2 else None

    def __call__(self, data: bytes) -> Iterator[bytes]:
        if self._deflate is not None:
            while data and not self._deflate.eof:
                yield self._deflate.decompress(data, _CHUNK)
                data = self._deflate.unconsumed_tail
        elif self._bzip2 is not None:
            while not self._bzip2.eof:
                yield self._bzip2.decompress(data, _CHUNK)
                data = b""
                if self._bzip2.needs_input:
                    return
        else:
            yield data


def _inflater(method: int) -> _Inflater:
    return _Inflater(method)
