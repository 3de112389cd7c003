"""A tar unpacked as GNU tar's `-xpf` does it for root: owners, modes and times kept, nothing outside written."""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, BinaryIO, cast

from orchestrator.sandbox.agent.faults import AgentError
from orchestrator.sandbox.agent.rooted import Root

_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"

Owner = Callable[[tarfile.TarInfo], tuple[int, int]]
"""User and group ids of a member on the instance."""
Spend = Callable[[int], None]
"""Called with the bytes about to be written. Raises `AgentError` when the disk is full."""


def untar(file: BinaryIO, into: Root, *, gzipped: bool, owner: Owner | None, spend: Spend) -> None:
    """Unpacks all of it. `gzipped`: the bundle is a tgz, and must be. `owner` is None for who can't change owners.

    Raises `AgentError`, as the agent gives up on tar's exit code whatever it was for.
    """
    try:
        _untar(file, into, gzipped=gzipped, owner=owner, spend=spend)
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error) as error:
        raise AgentError(f"Error extracting tar archive: 2 ({error})") from error


def _untar(file: BinaryIO, into: Root, *, gzipped: bool, owner: Owner | None, spend: Spend) -> None:
    unpacking = _Unpacking(into, owner, spend)
    with _decompressed(file, gzipped=gzipped) as stream:
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member, errors="surrogateescape") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                unpacking.add(member, content)
                archive.members.clear()  # type: ignore[attr-defined] # undocumented; it would keep every member
        while stream.read(_CHUNK):  # to the end, where gzip's checksum stands
            pass
    unpacking.finish()


def _decompressed(file: BinaryIO, *, gzipped: bool) -> IO[bytes]:
    start = file.read(6)
    file.seek(0)
    if gzipped or start.startswith(_GZIP):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    if start.startswith(b"BZh"):
        import bz2  # noqa: PLC0415 - hardly ever needed

        return bz2.open(file)
    if start.startswith(b"\xfd7zXZ\0"):
        import lzma  # noqa: PLC0415 - hardly ever needed

        return lzma.open(file)
    return file


class _Member(tarfile.TarInfo):
    """A broken header in the middle is an error; tarfile alone takes it for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        try:
            return super().frombuf(buf, encoding, errors)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(str(error)) from None


@dataclass(slots=True)
class _Unpacking:
    into: Root
    owner: Owner | None
    spend: Spend
    folders: list[tuple[str, tarfile.TarInfo]] = field(default_factory=list)
    links: list[tuple[str, tarfile.TarInfo, int]] = field(default_factory=list)
    """Links that lead out of the archive are made at the very end, as tar makes them: nothing is written through them.
    Until then an empty file stands there, whose number is kept."""

    def add(self, member: tarfile.TarInfo, content: IO[bytes] | None) -> None:
        if ".." in member.name.split("/"):
            raise AgentError(f"Error extracting tar archive: 2 ({member.name}: Member name contains '..')")
        path = "/" + member.name.strip("/")
        if path == "/":
            return
        self._make_parents(path)
        if member.isdir():
            self._add_folder(path, member)
            return
        self._clear(path)
        if content is not None:
            self._add_file(path, member, content)
        elif member.issym():
            self._add_symlink(path, member)
        elif member.islnk():
            self.into.hardlink(_inside(member.linkname), path)
        else:
            raise AgentError(f"{member.name} is a device or a pipe, which the sandbox doesn't make")

    def finish(self) -> None:
        for path, member, number in self.links:
            if self.into.lstat(path).st_ino == number:
                self.into.unlink(path)
                self.into.symlink(member.linkname, path)
                self._give(path, member, is_link=True)
        for path, member in reversed(self.folders):
            self._give(path, member)

    def _make_parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent:
            self.into.mkdirs(parent)

    def _add_folder(self, path: str, member: tarfile.TarInfo) -> None:
        if not self.into.is_dir(path):
            self._clear(path)
            self.into.mkdir(path)
        self.folders.append((path, member))

    def _add_file(self, path: str, member: tarfile.TarInfo, content: IO[bytes]) -> None:
        self.spend(member.size)
        with self.into.create(path, 0o600) as file:
            while chunk := content.read(_CHUNK):
                file.write(chunk)
        self._give(path, member)

    def _add_symlink(self, path: str, member: tarfile.TarInfo) -> None:
        if member.linkname.startswith("/") or ".." in member.linkname.split("/"):
            self.into.write(path, b"")
            self.links.append((path, member, self.into.lstat(path).st_ino))
        else:
            self.into.symlink(member.linkname, path)
            self._give(path, member, is_link=True)

    def _clear(self, path: str) -> None:
        try:
            found = self.into.lstat(path)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(found.st_mode):
            self.into.rmdir(path)
        else:
            self.into.unlink(path)

    def _give(self, path: str, member: tarfile.TarInfo, *, is_link: bool = False) -> None:
        """Owner, mode and time, in the order in which none undoes another."""
        if self.owner is not None:
            self.into.lchown(path, *self.owner(member))
        if not is_link:
            self.into.chmod(path, member.mode & 0o7777)
        nanoseconds = max(0, int(member.mtime * 1_000_000_000))
        self.into.utime(path, nanoseconds, nanoseconds)


def _inside(name: str) -> str:
    """Where a hard link's target lies: tar drops all up to the last `..`, and leading slashes."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        parts = parts[len(parts) - parts[::-1].index("..") :]
    return "/" + os.path.join(*parts) if parts else "/"  # noqa: PTH118 - no path of this machine
