"""State in a folder: other processes, full disks, missing rights, and what a crash leaves."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestrator.core.blobs import ConflictError
from orchestrator.core.errors import StateError
from orchestrator.store.folder import FolderBlobs

pytestmark = pytest.mark.anyio

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]

COUNT = """
import anyio, sys
from pathlib import Path
from orchestrator.core.blobs import ConflictError
from orchestrator.store.folder import FolderBlobs

async def main():
    blobs, done = FolderBlobs(Path(sys.argv[1])), 0
    while done < 25:
        found = await blobs.get("count")
        number = 0 if found is None else int(found.content.split()[0])
        content = f"{number + 1} {sys.argv[2]}".encode()
        try:
            await blobs.put("count", content, absent=found is None, match=found and found.tag)
        except ConflictError:
            continue
        done += 1

anyio.run(main)
"""


def test_processes_lose_no_swap(tmp_path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", COUNT, str(tmp_path / "state"), str(me)]) for me in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    found = anyio.run(FolderBlobs(tmp_path / "state").get, "count")
    assert found is not None
    assert found.content.split()[0] == b"75"


async def test_what_a_crash_left_is_no_object_and_in_nobodys_way(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    (tmp_path / "leases").mkdir()
    (tmp_path / "leases" / ".writing-a.json").write_bytes(b"half")
    assert await blobs.list() == []
    await blobs.put("leases/a.json", b"whole", absent=True)
    assert await blobs.list() == ["leases/a.json"]
    assert sorted(path.name for path in (tmp_path / "leases").iterdir()) == ["a.json"]


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../b", "a//b", ".lock", "a/.writing-b", "a\0b", "a b"])
async def test_a_name_stays_in_the_folder(tmp_path: Path, name: str) -> None:
    blobs = FolderBlobs(tmp_path / "state")
    with pytest.raises(StateError, match="can't be the name"):
        await blobs.put(name, b"x")
    with pytest.raises(StateError, match="can't be the name"):
        await blobs.get(name)
    assert not (tmp_path / "state").exists()


async def test_reading_makes_no_folder(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "state")
    assert await blobs.get("a/b") is None
    assert await blobs.list("a/") == []
    await blobs.delete("a/b")
    assert not (tmp_path / "state").exists()


async def test_a_file_in_the_place_of_the_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    blobs = FolderBlobs(tmp_path / "state")
    with pytest.raises(StateError, match="state") as caught:
        await blobs.put("a", b"x")
    assert caught.value.hint is not None
    assert "--state" in caught.value.hint


@contextmanager
def small_files(limit: int) -> Iterator[None]:
    """As a full disk: no file can grow beyond so many bytes."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, ignored)


async def test_a_full_disk_leaves_the_old_content(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    tag = await blobs.put("a", b"old")
    with small_files(100), pytest.raises(StateError, match="can't write"):
        await blobs.put("a", b"x" * 1000, match=tag)
    found = await blobs.get("a")
    assert found is not None
    assert (found.content, found.tag) == (b"old", tag)
    assert sorted(os.listdir(tmp_path)) == [".lock", "a"]  # noqa: PTH208 - one look at a test's folder
    await blobs.put("a", b"new", match=tag)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StateError, match="can't"):
            anyio.run(FolderBlobs(tmp_path).put, "a", b"x")
    finally:
        tmp_path.chmod(0o700)


def test_a_process_that_was_stopped_with_the_lock_is_said(virtual: Virtual, tmp_path: Path) -> None:
    """The wait for the folder's lock can be cancelled, and ends."""

    async def play() -> None:
        blobs = FolderBlobs(tmp_path)
        await blobs.put("a", b"x")
        descriptor = os.open(tmp_path / ".lock", os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with anyio.move_on_after(1) as scope:
                await blobs.put("a", b"y")
            assert scope.cancelled_caught
            with pytest.raises(StateError, match="has been locked by another process for 30 s"):
                await blobs.put("a", b"y")
        finally:
            os.close(descriptor)
        await blobs.put("a", b"z")
        with pytest.raises(ConflictError):
            await blobs.put("a", b"z", absent=True)

    virtual(play())
