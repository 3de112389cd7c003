"""A zip unpacked as Info-ZIP's `unzip -qo` does it: modes kept, but no setuid; links made at the end; no `..`.

Where unzip fails the real agent tries again with a library of its own, which writes wherever a name leads. That isn't
imitated: here the bundle fails.
"""

from __future__ import annotations

import lzma
import stat
import time
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import BinaryIO

from orchestrator.sandbox.agent.faults import AgentError
from orchestrator.sandbox.agent.rooted import UMASK, Root
from orchestrator.sandbox.agent.untar import Spend

_CHUNK = 1 << 20
_DOS, _UNIX = 0, 3
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2})
_UTF8_FLAG = 0x800
_ENCRYPTED_FLAG = 0x1
_TARGET_LIMIT = 4096


def unzip(file: BinaryIO, into: Root, *, spend: Spend) -> None:
    """Unpacks all of it. Raises `AgentError`."""
    broken = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
    try:
        with zipfile.ZipFile(file) as archive:
            unpacking = _Unpacking(archive, into, spend)
            for member in archive.infolist():
                unpacking.add(member)
            unpacking.finish()
    except broken as error:
        raise AgentError(f"The bundle can't be unpacked as zip: {error}") from error


@dataclass(slots=True)
class _Unpacking:
    archive: zipfile.ZipFile
    into: Root
    spend: Spend
    folders: list[tuple[str, int]] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)

    def add(self, member: zipfile.ZipInfo) -> None:
        path, is_folder = _place(member)
        if path == "/":
            return
        self.into.mkdirs(path.rpartition("/")[0] or "/")
        mode = _mode(member)
        if is_folder:
            if not self.into.is_dir(path):
                self.into.mkdir(path)
            self.folders.append((path, mode))
            return
        self._check(member)
        if self.into.exists(path) or self.into.is_link(path):
            self.into.unlink(path)
        is_link = member.create_system == _UNIX and stat.S_ISLNK(member.external_attr >> 16)
        if is_link:
            self._add_link(path, member)
        else:
            self._add_file(path, member, mode)

    def finish(self) -> None:
        for path, target in self.links:
            if self.into.exists(path):
                self.into.unlink(path)
                self.into.symlink(target, path)
        for path, mode in reversed(self.folders):
            self.into.chmod(path, mode)

    def _add_link(self, path: str, member: zipfile.ZipInfo) -> None:
        """The target stands in its place until the end: nothing is written through a link."""
        with self.archive.open(member) as content:
            target = content.read(_TARGET_LIMIT + 1)
        if not target or len(target) > _TARGET_LIMIT:
            raise AgentError(f"{member.filename} is a link without a target, or with one that is too long")
        self.into.write(path, target)
        self.links.append((path, target.decode(errors="surrogateescape")))

    def _add_file(self, path: str, member: zipfile.ZipInfo, mode: int) -> None:
        self.spend(member.file_size)
        with self.archive.open(member) as content, self.into.create(path, 0o600) as file:
            while chunk := content.read(_CHUNK):
                file.write(chunk)
        self.into.chmod(path, mode)
        nanoseconds = int(time.mktime((*member.date_time, 0, 0, -1))) * 1_000_000_000
        self.into.utime(path, nanoseconds, nanoseconds)

    def _check(self, member: zipfile.ZipInfo) -> None:
        if member.compress_type not in _METHODS:
            raise AgentError(f"{member.filename}: unsupported compression method {member.compress_type}")
        if member.flag_bits & _ENCRYPTED_FLAG:
            raise AgentError(f"{member.filename} is encrypted")


def _place(member: zipfile.ZipInfo) -> tuple[str, bool]:
    """Where it lands, and whether it is a folder. `..` and leading slashes are dropped."""
    name = member.filename
    if member.create_system == _UNIX and not member.flag_bits & _UTF8_FLAG:
        name = name.encode("cp437").decode(errors="surrogateescape")  # the bytes as they are
    if member.create_system == _DOS and "/" not in name:
        name = name.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in {"", ".", ".."}]
    return "/" + "/".join(parts), name.endswith("/")


def _mode(member: zipfile.ZipInfo) -> int:
    """Permission bits. A member without Unix ones gets what its DOS attributes say, less the umask."""
    unix = member.external_attr >> 16
    if member.create_system == _UNIX and unix:
        return unix & 0o777
    is_read_only, is_folder = bool(member.external_attr & 0x01), bool(member.external_attr & 0x10)
    bits = (0 if is_read_only else 2) | (1 if is_folder else 0)
    if member.create_system == _DOS and unix & 0o700 == 0o400 | bits << 6:
        return unix & 0o777
    return (0o444 | bits << 6 | bits << 3 | bits) & ~UMASK
