"""A folder as the `/` of a machine: no path and no link inside it leads out.

Paths are walked one component at a time with open directories, never handed to the kernel whole; a link is followed as
the machine itself would follow it. So a process on the instance that swaps a folder for a link meanwhile gains nothing.
Errors are OSError, as the plain functions raise them.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

UMASK = 0o022
"""The agent's, whatever this process has."""
_MAX_LINKS = 40
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Root:
    """File operations on paths of the machine. Relative paths count from `cwd`, as for any process there."""

    def __init__(self, folder: Path, cwd: str = "/") -> None:
        self.folder = folder
        self._cwd = cwd

    @contextmanager
    def within(self, path: str) -> Iterator[Root]:
        """A folder of the machine as a root of its own: links inside that lead out of it end at its top."""
        with self._open(path, os.O_PATH | os.O_DIRECTORY) as fd:
            yield Root(Path(f"/proc/self/fd/{fd}"))

    # --- looking

    def exists(self, path: str) -> bool:
        """Whether something is there, links followed. Like Ruby's, it says no rather than raise."""
        try:
            self.stat(path)
        except OSError:
            return False
        return True

    def is_dir(self, path: str) -> bool:
        try:
            return stat.S_ISDIR(self.stat(path).st_mode)
        except OSError:
            return False

    def is_link(self, path: str) -> bool:
        try:
            return stat.S_ISLNK(self.lstat(path).st_mode)
        except OSError:
            return False

    def stat(self, path: str) -> os.stat_result:
        with self._place(path, follow=True) as (folder, name):
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if path.endswith("/") and not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return found

    def lstat(self, path: str) -> os.stat_result:
        with self._place(path, follow=False) as (folder, name):
            return os.stat(name, dir_fd=folder, follow_symlinks=False)

    def readlink(self, path: str) -> str:
        with self._place(path, follow=False) as (folder, name):
            return os.readlink(name, dir_fd=folder)

    def listdir(self, path: str) -> list[str]:
        with self._open(path, os.O_RDONLY | os.O_DIRECTORY) as fd:
            return os.listdir(fd)  # noqa: PTH208 - pathlib lists no open folder

    # --- reading and writing

    def read(self, path: str, limit: int | None = None) -> bytes:
        """All of a regular file, or its first `limit` bytes."""
        with self.open(path) as file:
            return file.read() if limit is None else file.read(limit)

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """A regular file for reading."""
        with self._open(path, os.O_RDONLY | os.O_NONBLOCK) as fd:
            mode = os.fstat(fd).st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
            if not stat.S_ISREG(mode):
                raise OSError(errno.EINVAL, "is no regular file", path)
            with os.fdopen(os.dup(fd), "rb") as file:
                yield file

    @contextmanager
    def create(self, path: str, mode: int = 0o644, *, append: bool = False) -> Iterator[BinaryIO]:
        """A file for writing, made where there is none; a pipe or a device is refused. The file's mode is `mode`
        less the agent's umask."""
        how = os.O_WRONLY | os.O_NONBLOCK | (os.O_APPEND if append else os.O_TRUNC)
        with self._place(path, follow=True) as (folder, name):
            try:
                fd = os.open(name, how | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
                os.fchmod(fd, mode & ~UMASK)
            except FileExistsError:
                fd = os.open(name, how | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            with os.fdopen(fd, "wb") as file:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise OSError(errno.EINVAL, "is no regular file", path)
                yield file

    def write(self, path: str, content: bytes) -> None:
        with self.create(path) as file:
            file.write(content)

    # --- changing

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        with self._place(path, follow=False) as (folder, name):
            os.mkdir(name, mode, dir_fd=folder)
            _settle_mode(folder, name, mode)

    def mkdirs(self, path: str) -> None:
        """With all that is missing above it."""
        if self.is_dir(path):
            return
        parent = os.path.dirname(path.rstrip("/")) or "/"  # noqa: PTH120 - no path of this machine
        if parent != path:
            self.mkdirs(parent)
        self.mkdir(path)

    def symlink(self, target: str, path: str) -> None:
        with self._place(path, follow=False) as (folder, name):
            os.symlink(target, name, dir_fd=folder)

    def hardlink(self, source: str, path: str) -> None:
        with self._place(source, follow=False) as (old, old_name), self._place(path, follow=False) as (new, new_name):
            os.link(old_name, new_name, src_dir_fd=old, dst_dir_fd=new, follow_symlinks=False)

    def rename(self, source: str, path: str) -> None:
        with self._place(source, follow=False) as (old, old_name), self._place(path, follow=False) as (new, new_name):
            os.rename(old_name, new_name, src_dir_fd=old, dst_dir_fd=new)

    def unlink(self, path: str) -> None:
        with self._place(path, follow=False) as (folder, name):
            os.unlink(name, dir_fd=folder)

    def rmdir(self, path: str) -> None:
        with self._place(path, follow=False) as (folder, name):
            os.rmdir(name, dir_fd=folder)

    def rmtree(self, path: str) -> None:
        """All of it, if it is there. Links are removed, not followed."""
        try:
            with self._place(path, follow=False) as (folder, name):
                _rmtree(folder, name)
        except FileNotFoundError:
            return

    def chmod(self, path: str, mode: int) -> None:
        with self._open(path, os.O_PATH) as fd:
            os.chmod(f"/proc/self/fd/{fd}", mode)  # noqa: PTH101 - an O_PATH descriptor can't be changed otherwise

    def chown(self, path: str, uid: int, gid: int) -> None:
        """-1 leaves one as it is. Links are followed."""
        with self._place(path, follow=True) as (folder, name):
            os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)

    def lchown(self, path: str, uid: int, gid: int) -> None:
        with self._place(path, follow=False) as (folder, name):
            os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)

    def utime(self, path: str, atime_ns: int, mtime_ns: int) -> None:
        with self._place(path, follow=False) as (folder, name):
            os.utime(name, ns=(atime_ns, mtime_ns), dir_fd=folder, follow_symlinks=False)

    # --- the walk

    @contextmanager
    def _open(self, path: str, how: int) -> Iterator[int]:
        with self._place(path, follow=True) as (folder, name):
            fd = os.open(name, how | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            try:
                yield fd
            finally:
                os.close(fd)

    @contextmanager
    def _place(self, path: str, *, follow: bool) -> Iterator[tuple[int, str]]:
        """The open folder that holds the last component, and its name there: `.` for the root itself.

        With `follow` the name is no link, unless somebody has made it one since, which all users refuse to follow.
        """
        with ExitStack() as stack:
            folders = [_opened(stack, self.folder)]
            name = self._walk(stack, folders, path, follow=follow)
            yield folders[-1], name

    def _walk(self, stack: ExitStack, folders: list[int], path: str, *, follow: bool) -> str:
        """Goes down `path`, opening each folder on top of `folders`; the name of the last component in the topmost."""
        if not path:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        todo = _split(path if path.startswith("/") else f"{self._cwd}/{path}")
        links = 0
        while todo:
            name = todo.pop()
            if name == "..":
                del folders[max(1, len(folders) - 1) :]  # the machine's root is its own parent
                continue
            if (follow or todo) and (target := _link(folders[-1], name)) is not None:
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                if target.startswith("/"):
                    del folders[1:]
                todo.extend(_split(target))
                continue
            if not todo:
                return name
            folders.append(_opened(stack, name, folders[-1]))
        return "."


def _settle_mode(folder: int, name: str, mode: int) -> None:
    """Whatever umask this process runs with, the agent has its own."""
    fd = os.open(name, _DIRECTORY, dir_fd=folder)
    try:
        os.chmod(f"/proc/self/fd/{fd}", mode & ~UMASK)  # noqa: PTH101 - as in `Root.chmod`
    finally:
        os.close(fd)


def _opened(stack: ExitStack, name: str | Path, folder: int | None = None) -> int:
    how = _DIRECTORY if folder is not None else _DIRECTORY & ~os.O_NOFOLLOW
    fd = os.open(name, how, dir_fd=folder)
    stack.callback(os.close, fd)
    return fd


def _split(path: str) -> list[str]:
    """The components, the last one first."""
    return [part for part in path.split("/") if part not in {"", "."}][::-1]


def _link(folder: int, name: str) -> str | None:
    """Where a link leads; None for what is none, or isn't there."""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno in {errno.EINVAL, errno.ENOENT}:
            return None
        raise


def _rmtree(folder: int, name: str) -> None:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except NotADirectoryError:
        os.unlink(name, dir_fd=folder)
        return
    except OSError as error:
        if error.errno == errno.ELOOP:
            os.unlink(name, dir_fd=folder)
            return
        raise
    try:
        for inner in os.listdir(fd):  # noqa: PTH208 - as above
            _rmtree(fd, inner)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=folder)
