"""A zip writer that never goes back: sizes and checksums of files follow their data.

The standard library's writer ends every archive properly, also one that was given up, and its bytes depend on Python's
version; neither is so here. Layout: PKWARE's APPNOTE 6.3, chapter 4.3. Names are UTF-8 (flag bit 11), modes Unix modes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from orchestrator.bundle.entries import Entry

_LIMIT_32 = 0xFFFFFFFF
_LIMIT_16 = 0xFFFF
_ROOM_FOR_INCOMPRESSIBLE = 1 << 24
"""Deflate makes what it can't compress longer, by 5 bytes for each 16 kB; so much nearer the limit zip64 begins."""

_LOCAL = struct.Struct("<4sHHHHHLLLHH")
_CENTRAL = struct.Struct("<4sHHHHHHLLLHHHHHLL")
_END = struct.Struct("<4sHHHHLLH")
_END_64 = struct.Struct("<4sQHHLLQQQQ")
_LOCATOR_64 = struct.Struct("<4sLQL")

_STORED, _DEFLATED = 0, 8
_SIZES_FOLLOW, _UTF8 = 1 << 3, 1 << 11
_UNIX = 3 << 8  # made by: the upper half of the attributes is a Unix mode
_TIME, _DATE = 0, (1 << 5) | 1  # 1980-01-01, the first day that zip knows
_TYPES = {"file": 0o100000, "dir": 0o040000, "symlink": 0o120000}
_DOS_DIRECTORY = 0x10


class ZipWriter:
    """`whole` for a directory or link; `begin`, `data`…, `end` for a file; at last `finish`."""

    def __init__(self, write: Callable[[bytes], object], *, level: int) -> None:
        self._write_out = write
        self._level = level
        self._offset = 0
        self._count = 0
        self._central = bytearray()
        self._start = 0
        self._crc = 0
        self._compressed = 0
        self._deflate = zlib.compressobj()

    def whole(self, entry: Entry) -> None:
        content = entry.target.encode()
        start, crc, size = self._offset, zlib.crc32(content), len(content)
        name = _name(entry)
        header = _LOCAL.pack(b"PK\3\4", 20, _UTF8, _STORED, _TIME, _DATE, crc, size, size, len(name), 0)
        self._write(header + name + content)
        self._record(entry, (_STORED, _UTF8, 20), (crc, size, size), start)

    def begin(self, entry: Entry) -> None:
        self._start = self._offset
        self._crc = self._compressed = 0
        self._deflate = zlib.compressobj(self._level, zlib.DEFLATED, -zlib.MAX_WBITS)
        name = _name(entry)
        size, extra = (_LIMIT_32, struct.pack("<HHQQ", 1, 16, 0, 0)) if _is_large(entry) else (0, b"")
        header = _LOCAL.pack(
            *(b"PK\3\4", _version(entry), _UTF8 | _SIZES_FOLLOW, _DEFLATED, _TIME, _DATE),
            *(0, size, size, len(name), len(extra)),
        )
        self._write(header + name + extra)

    def data(self, chunk: bytes) -> None:
        self._crc = zlib.crc32(chunk, self._crc)
        self._write_compressed(self._deflate.compress(chunk))

    def end(self, entry: Entry) -> None:
        self._write_compressed(self._deflate.flush())
        descriptor = "<4sLQQ" if _is_large(entry) else "<4sLLL"
        self._write(struct.pack(descriptor, b"PK\7\x08", self._crc, self._compressed, entry.size))
        kind = (_DEFLATED, _UTF8 | _SIZES_FOLLOW, _version(entry))
        self._record(entry, kind, (self._crc, self._compressed, entry.size), self._start)

    def finish(self) -> None:
        start, size = self._offset, len(self._central)
        self._write(bytes(self._central))
        if self._count >= _LIMIT_16 or start >= _LIMIT_32 or size >= _LIMIT_32:
            end_64 = self._offset
            count = self._count
            self._write(_END_64.pack(b"PK\6\6", _END_64.size - 12, _UNIX | 45, 45, 0, 0, count, count, size, start))
            self._write(_LOCATOR_64.pack(b"PK\6\7", 0, end_64, 1))
        count, size, start = min(self._count, _LIMIT_16), min(size, _LIMIT_32), min(start, _LIMIT_32)
        self._write(_END.pack(b"PK\5\6", 0, 0, count, count, size, start, 0))

    def _record(self, entry: Entry, kind: tuple[int, int, int], sums: tuple[int, int, int], start: int) -> None:
        method, flags, version = kind
        crc, compressed, size = sums
        name = _name(entry)
        # Only what doesn't fit its field stands in the zip64 part, in this order.
        large = [value for value in (size, compressed, start) if value >= _LIMIT_32]
        extra = struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""
        version = 45 if large else version
        attributes = (_TYPES[entry.kind] | entry.mode) << 16 | (_DOS_DIRECTORY if entry.kind == "dir" else 0)
        compressed, size, start = (min(value, _LIMIT_32) for value in (compressed, size, start))
        self._central += _CENTRAL.pack(
            *(b"PK\1\2", _UNIX | version, version, flags, method, _TIME, _DATE, crc, compressed, size),
            *(len(name), len(extra), 0, 0, 0, attributes, start),
        )
        self._central += name + extra
        self._count += 1

    def _write_compressed(self, data: bytes) -> None:
        self._compressed += len(data)
        if data:
            self._write(data)

    def _write(self, data: bytes) -> None:
        self._write_out(data)
        self._offset += len(data)


def _name(entry: Entry) -> bytes:
    return (f"{entry.path}/" if entry.kind == "dir" else entry.path).encode()


def _is_large(entry: Entry) -> bool:
    return entry.size >= _LIMIT_32 - _ROOM_FOR_INCOMPRESSIBLE


def _version(entry: Entry) -> int:
    """The version of the format that a reader has to know."""
    return 45 if _is_large(entry) else 20
