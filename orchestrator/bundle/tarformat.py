"""Headers of tar in GNU's format: every tar reads it, it has no limit on sizes or names, and names stay UTF-8."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping

from orchestrator.bundle.entries import Entry, Kind

_MTIME = 315532800  # 1980-01-01, as in zip; older versions of GNU tar warn of "implausibly old" files at 0
_TYPES: Mapping[Kind, bytes] = {"file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE}

_NAME = 100  # bytes
_SIZE = 8**11  # the first size that octal digits can't tell
_SIZE_AT, _SUM_AT = 124, 148


def header(entry: Entry) -> bytes:
    """One block of 512 bytes; more where the name, the link's target or the size need it."""
    name = (f"{entry.path}/" if entry.kind == "dir" else entry.path).encode()
    if len(name) > _NAME or entry.size >= _SIZE or entry.kind == "symlink":
        return _slow(entry)
    head, tail, total = _PATTERNS[entry.kind, entry.mode]
    size = b"%011o" % entry.size
    checksum = total + sum(name) + sum(size)
    return b"%b%b%b%b%06o%b" % (name.ljust(_NAME, b"\0"), head, size, _TIME, checksum, tail)


def padding(size: int) -> int:
    """Zero bytes after a file of that size."""
    return -size % tarfile.BLOCKSIZE


def ending(size: int) -> int:
    """Zero bytes at the end of an archive that is so long until now."""
    end = 2 * tarfile.BLOCKSIZE
    return end + -(size + end) % tarfile.RECORDSIZE


def _slow(entry: Entry) -> bytes:
    info = tarfile.TarInfo(entry.path)
    info.type = _TYPES[entry.kind]
    info.mode = entry.mode
    info.mtime = _MTIME
    info.size = entry.size
    info.linkname = entry.target
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")


def _pattern(kind: Kind, mode: int) -> tuple[bytes, bytes, int]:
    """What stands between name and size, what stands after the checksum, and what all but name and size add to it."""
    block = _slow(Entry("", kind, mode))
    block = bytes(_NAME) + block[_NAME:]
    blank = block[:_SIZE_AT] + bytes(11) + block[_SIZE_AT + 11 : _SUM_AT] + b" " * 8 + block[_SUM_AT + 8 :]
    return blank[_NAME:_SIZE_AT], block[_SUM_AT + 6 :], sum(blank)


_TIME = _slow(Entry("", "file"))[_SIZE_AT + 11 : _SUM_AT]
"""The end of the size's field, and the time."""
_KINDS: tuple[tuple[Kind, int], ...] = (("file", 0o644), ("file", 0o755), ("dir", 0o755))
_PATTERNS = {(kind, mode): _pattern(kind, mode) for kind, mode in _KINDS}
"""`TarInfo` takes 20 µs for a header; most differ in nothing but name, size and checksum. Tests hold the two alike."""
