"""`core.blobs.Blobs` in a local folder: every write is synced and renamed into place under a lock of the folder."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

import anyio
import anyio.to_thread

from orchestrator.core.blobs import Blob, ConflictError
from orchestrator.core.errors import StateError
from orchestrator.store.faults import cannot
from orchestrator.store.syncing import sync_folder

LOCK = ".lock"
_TEMPORARY = ".writing-"
_NAME = re.compile(r"(?:[A-Za-z0-9_~=-][A-Za-z0-9._~=-]*/)*[A-Za-z0-9_~=-][A-Za-z0-9._~=-]*")

BUSY_PAUSE = 0.02
BUSY_LIMIT = 30.0
"""Seconds; the lock is held for one small write at a time."""


class FolderBlobs:
    """Objects as files; the tag is the content's SHA-256. A folder that isn't there holds none."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def where(self) -> str:
        return str(self._root)

    async def get(self, name: str) -> Blob | None:
        return await anyio.to_thread.run_sync(_read, self._path(name))

    async def put(self, name: str, content: bytes, *, absent: bool = False, match: str | None = None) -> str:
        path = self._path(name)
        return await self._under_lock(lambda: _write(path, content, absent=absent, match=match))

    async def list(self, prefix: str = "") -> list[str]:
        return await anyio.to_thread.run_sync(lambda: sorted(_names(self._root, prefix)))

    async def delete(self, name: str) -> None:
        path = self._path(name)
        if await anyio.to_thread.run_sync(path.exists):
            await self._under_lock(lambda: _delete(path))

    async def _under_lock(self, action: Callable[[], str]) -> str:
        def attempt() -> str | None:
            with _locked(self._root) as mine:
                return action() if mine else None

        # Not a blocking flock in the thread: whoever is stopped while holding it would hang us beyond cancellation.
        deadline = anyio.current_time() + BUSY_LIMIT
        while (done := await anyio.to_thread.run_sync(attempt)) is None:
            if anyio.current_time() > deadline:
                message = f"{self._root / LOCK} has been locked by another process for {BUSY_LIMIT:.0f} s"
                raise StateError(message, hint="look for a stopped orchestrator process, and end it")
            await anyio.sleep(BUSY_PAUSE)
        return done

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise StateError(f"{name!r} can't be the name of a file in the state")
        return self._root / name


def _read(path: Path) -> Blob | None:
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise cannot("read", path, error) from error
    return Blob(content, sha256(content).hexdigest())


@contextmanager
def _locked(root: Path) -> Iterator[bool]:
    """Whether the lock is ours, for as long as the block takes."""
    path = root / LOCK
    try:
        root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise cannot("open", path, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError as error:
            raise cannot("lock", path, error) from error
        yield True
    finally:
        os.close(descriptor)


def _write(path: Path, content: bytes, *, absent: bool, match: str | None) -> str:
    found = _read(path)
    if (absent and found is not None) or (match is not None and (found is None or found.tag != match)):
        raise ConflictError(f"{path} was written by somebody else")
    try:
        new_folders = [parent for parent in path.parents if not parent.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, content)
        for folder in (path.parent, *(folder.parent for folder in new_folders)):
            sync_folder(folder)
    except OSError as error:
        raise cannot("write", path, error) from error
    return sha256(content).hexdigest()


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(_TEMPORARY + path.name)  # one writer at a time: what a crash leaves is written over
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _names(root: Path, prefix: str) -> Iterator[str]:
    start = root / prefix.rpartition("/")[0]

    def give_up(error: OSError) -> None:
        if error.errno not in {errno.ENOENT, errno.ENOTDIR}:
            raise cannot("read", start, error) from error

    for folder, _, files in os.walk(start, onerror=give_up):
        for file in files:
            name = Path(folder, file).relative_to(root).as_posix()
            if name.startswith(prefix) and _NAME.fullmatch(name):
                yield name


def _delete(path: Path) -> str:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot("delete", path, error) from error
    return ""
