"""The records of a zip. Layout: PKWARE's APPNOTE 6.3, chapter 4.3. Names are UTF-8 (flag bit 11), modes Unix modes.

By hand, because the standard library's writer can't take entries that were compressed elsewhere, and because its bytes
depend on Python's version.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from orchestrator.bundle.entries import Entry

STORED, DEFLATED = 0, 8

_LIMIT_32 = 0xFFFFFFFF
_LIMIT_16 = 0xFFFF
_ROOM_FOR_INCOMPRESSIBLE = 1 << 24
"""Deflate makes what it can't compress longer, by 5 bytes for each 64 kB; so much nearer the limit zip64 begins."""

_LOCAL = struct.Struct("<4sHHHHHLLLHH")
_CENTRAL = struct.Struct("<4sHHHHHHLLLHHHHHLL")
_END = struct.Struct("<4sHHHHLLH")
_END_64 = struct.Struct("<4sQHHLLQQQQ")
_LOCATOR_64 = struct.Struct("<4sLQL")

_SIZES_FOLLOW, _UTF8 = 1 << 3, 1 << 11
_UNIX = 3 << 8  # made by: the upper half of the attributes is a Unix mode
_TIME, _DATE = 0, (1 << 5) | 1  # 1980-01-01, the first day that zip knows
_TYPES = {"file": 0o100000, "dir": 0o040000, "symlink": 0o120000}
_DOS_DIRECTORY = 0x10


@dataclass(frozen=True, slots=True)
class Member:
    """An entry as it is in the archive."""

    entry: Entry
    method: int
    crc: int
    size: int
    """Bytes of the content; of a link that is its target."""
    compressed: int
    streamed: bool = False
    """Whether sizes and checksum follow the data, because they weren't known before it."""


def local(member: Member) -> bytes:
    """What stands before the data of an entry of less than 4 GB whose sizes are known."""
    name = _name(member.entry)
    fields = (20, _UTF8, member.method, _TIME, _DATE, member.crc, member.compressed, member.size, len(name), 0)
    return _LOCAL.pack(b"PK\3\4", *fields) + name


def streamed(entry: Entry) -> bytes:
    """What stands before the data of a file that is deflated while it is read."""
    name = _name(entry)
    size, extra = (_LIMIT_32, struct.pack("<HHQQ", 1, 16, 0, 0)) if _is_large(entry) else (0, b"")
    flags = _UTF8 | _SIZES_FOLLOW
    fields = (_version(entry), flags, DEFLATED, _TIME, _DATE, 0, size, size, len(name), len(extra))
    return _LOCAL.pack(b"PK\3\4", *fields) + name + extra


def descriptor(member: Member) -> bytes:
    """What stands after the data of such a file."""
    layout = "<4sLQQ" if _is_large(member.entry) else "<4sLLL"
    return struct.pack(layout, b"PK\7\x08", member.crc, member.compressed, member.size)


class Directory:
    """The central directory, which ends the archive."""

    def __init__(self) -> None:
        self._records = bytearray()
        self._count = 0

    def add(self, member: Member, start: int) -> None:
        """`start`: where in the archive its local header stands."""
        entry, crc, size, compressed = member.entry, member.crc, member.size, member.compressed
        name = _name(entry)
        extra, version = b"", _version(entry)
        # Only what doesn't fit its field stands in the zip64 part, in this order.
        if large := [value for value in (size, compressed, start) if value >= _LIMIT_32]:
            extra, version = struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large), 45
            compressed, size, start = (min(value, _LIMIT_32) for value in (compressed, size, start))
        flags = _UTF8 | (_SIZES_FOLLOW if member.streamed else 0)
        attributes = (_TYPES[entry.kind] | entry.mode) << 16 | (_DOS_DIRECTORY if entry.kind == "dir" else 0)
        self._records += _CENTRAL.pack(
            *(b"PK\1\2", _UNIX | version, version, flags, member.method, _TIME, _DATE, crc, compressed, size),
            *(len(name), len(extra), 0, 0, 0, attributes, start),
        )
        self._records += name
        self._records += extra
        self._count += 1

    def finish(self, start: int) -> bytes:
        """All of it; `start`: where in the archive it stands."""
        size, count = len(self._records), self._count
        end = b""
        if count >= _LIMIT_16 or start >= _LIMIT_32 or size >= _LIMIT_32:
            end += _END_64.pack(b"PK\6\6", _END_64.size - 12, _UNIX | 45, 45, 0, 0, count, count, size, start)
            end += _LOCATOR_64.pack(b"PK\6\7", 0, start + size, 1)
        count, size, start = min(count, _LIMIT_16), min(size, _LIMIT_32), min(start, _LIMIT_32)
        end += _END.pack(b"PK\5\6", 0, 0, count, count, size, start, 0)
        return bytes(self._records) + end


def _name(entry: Entry) -> bytes:
    return (f"{entry.path}/" if entry.kind == "dir" else entry.path).encode()


def _is_large(entry: Entry) -> bool:
    return entry.size >= _LIMIT_32 - _ROOM_FOR_INCOMPRESSIBLE


def _version(entry: Entry) -> int:
    """The version of the format that a reader has to know."""
    return 45 if _is_large(entry) else 20
