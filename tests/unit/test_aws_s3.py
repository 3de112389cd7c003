"""The object store against an S3 in memory that fails, loses answers and hangs as it is told."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from memory_s3 import HERE, After, Hang, MemoryS3, Upload, md5_of

from orchestrator.aws import Backoff, Buffers, ObjectStore
from orchestrator.aws.cleanup import ABORTS
from orchestrator.aws.parts import PART_SIZE, PARTS_MAX, part_size_for
from orchestrator.aws.retry import retrying
from orchestrator.core.errors import AnswerLostError, BundleError, CredentialsError, RefusedError, ThrottledError

pytestmark = pytest.mark.anyio

LOST = AnswerLostError("reset")
THROTTLED = ThrottledError("slow down", code="SlowDown")
DENIED = CredentialsError("no", code="AccessDenied")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def s3() -> MemoryS3:
    return MemoryS3()


@pytest.fixture
def store(s3: MemoryS3) -> ObjectStore:
    return ObjectStore(s3, HERE, backoff=Backoff(base=0.0), patience=Backoff(base=0.0))


def file_of(folder: Path, size: int, name: str = "bundle.tgz") -> Path:
    path = folder / name
    path.write_bytes((os.urandom(1 << 16) * (size // (1 << 16) + 1))[:size])
    return path


def four() -> Buffers:
    return Buffers(4 * PART_SIZE)


BIG = 3 * PART_SIZE + 5


@pytest.mark.parametrize("size", [0, 1, PART_SIZE])
async def test_a_small_file_is_put_whole(s3: MemoryS3, store: ObjectStore, tmp_path: Path, size: int) -> None:
    path = file_of(tmp_path, size)
    told: list[int] = []
    info = await store.put_file("b", "k", path, metadata={"digest": "x"}, buffers=four(), progress=told.append)
    assert s3.objects["k"][0] == path.read_bytes()
    assert s3.counts == {"PutObject": 1}
    assert (info.version_id, info.size, info.metadata) == ("v1", size, {"digest": "x"})
    assert info.etag == md5_of(path.read_bytes()).hex()
    assert told == [size]


@pytest.mark.parametrize(("size", "parts"), [(PART_SIZE + 1, 2), (2 * PART_SIZE, 2), (BIG, 4)])
async def test_a_large_file_goes_in_parts(
    s3: MemoryS3, store: ObjectStore, tmp_path: Path, size: int, parts: int
) -> None:
    path = file_of(tmp_path, size)
    told: list[int] = []
    info = await store.put_file("b", "k", path, metadata={"digest": "x"}, buffers=four(), progress=told.append)
    assert s3.objects["k"][0] == path.read_bytes()
    assert s3.objects["k"][1] == {"digest": "x"}
    assert s3.counts["UploadPart"] == parts
    assert info.version_id == "v7"
    assert info.etag.endswith(f"-{parts}")
    assert sum(told) == size
    assert s3.uploads == {}


@pytest.mark.parametrize(
    ("size", "expected"),
    [(1, PART_SIZE), (PART_SIZE * PARTS_MAX, PART_SIZE), (PART_SIZE * PARTS_MAX + 1, PART_SIZE + 2**20)],
)
def test_parts_grow_so_that_there_are_never_too_many(size: int, expected: int) -> None:
    assert part_size_for(size) == expected
    assert -(-size // part_size_for(size)) <= PARTS_MAX


async def test_uploads_share_one_bound_on_parts_in_flight(s3: MemoryS3, store: ObjectStore, tmp_path: Path) -> None:
    path = file_of(tmp_path, 6 * PART_SIZE)
    buffers = Buffers(2 * PART_SIZE)

    both = anyio.Event()

    async def meet() -> None:
        if s3.active["UploadPart"] == 2:
            both.set()
        await both.wait()

    s3.during["UploadPart"] = meet

    async def put(key: str) -> None:
        await store.put_file("b", key, path, metadata={}, buffers=buffers)

    with anyio.fail_after(20):  # for ever, were there only one at a time
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(put, "one")
            tasks.start_soon(put, "two")
    assert s3.counts["UploadPart"] == 12
    assert s3.most_parts == 2


async def test_each_part_is_repeated_on_its_own(s3: MemoryS3, store: ObjectStore, tmp_path: Path) -> None:
    path = file_of(tmp_path, BIG)
    s3.faults["UploadPart"] = [LOST, THROTTLED, After(LOST)]
    told: list[int] = []
    await store.put_file("b", "k", path, metadata={}, buffers=four(), progress=told.append)
    assert s3.objects["k"][0] == path.read_bytes()
    assert s3.counts["UploadPart"] == 4 + 3
    assert sum(told) == BIG


async def test_a_single_put_is_repeated_with_its_whole_body(s3: MemoryS3, store: ObjectStore, tmp_path: Path) -> None:
    path = file_of(tmp_path, 1000)
    s3.faults["PutObject"] = [After(LOST), THROTTLED]
    await store.put_file("b", "k", path, metadata={}, buffers=four())
    assert s3.objects["k"][0] == path.read_bytes()


@pytest.mark.parametrize("error", [DENIED, RefusedError("no", code="NoSuchBucket")])
async def test_a_refused_part_ends_the_upload_and_nothing_stays(
    s3: MemoryS3, store: ObjectStore, tmp_path: Path, error: Exception
) -> None:
    s3.faults["UploadPart"] = [error, Hang(), Hang(), Hang()]  # the others would hang for ever
    with pytest.raises(type(error)) as caught:
        await store.put_file("b", "k", file_of(tmp_path, BIG), metadata={}, buffers=four())
    assert caught.value is error
    assert (s3.uploads, s3.objects, s3.active.total()) == ({}, {}, 0)
    assert not hasattr(caught.value, "__notes__")


async def test_a_part_that_never_comes_through_ends_the_upload(
    s3: MemoryS3, store: ObjectStore, tmp_path: Path
) -> None:
    s3.faults["UploadPart"] = [AnswerLostError("reset") for _ in range(20)]
    with pytest.raises(AnswerLostError):
        await store.put_file("b", "k", file_of(tmp_path, BIG), metadata={}, buffers=four())
    assert (s3.uploads, s3.objects) == ({}, {})


@pytest.mark.parametrize("operation", ["UploadPart", "CompleteMultipartUpload"])
async def test_cancelling_leaves_nothing_behind(
    s3: MemoryS3, store: ObjectStore, tmp_path: Path, operation: str
) -> None:
    s3.faults[operation] = [Hang() for _ in range(10)]
    path = file_of(tmp_path, BIG)
    buffers = four()
    hanging = anyio.Event()

    async def reached() -> None:
        hanging.set()

    s3.during[operation] = reached

    async def put() -> None:
        await store.put_file("b", "k", path, metadata={}, buffers=buffers)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(put)
        await hanging.wait()
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert (s3.uploads, s3.objects, s3.active.total()) == ({}, {}, 0)
    assert s3.counts["AbortMultipartUpload"] == 1
    assert buffers.taken == 0


async def test_cancelling_ends_a_thread_that_waits_for_memory(s3: MemoryS3, store: ObjectStore, tmp_path: Path) -> None:
    """All buffers are with parts that hang, and there is more to send."""
    s3.faults["UploadPart"] = [Hang() for _ in range(10)]
    path = file_of(tmp_path, 3 * BIG)
    buffers = four()

    async def put() -> None:
        await store.put_file("b", "k", path, metadata={}, buffers=buffers)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(put)
            while s3.active["UploadPart"] < 4:  # noqa: ASYNC110 - a thread makes them; nothing tells
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
    assert (s3.uploads, s3.objects, s3.active.total(), buffers.taken) == ({}, {}, 0, 0)


async def test_cancelling_while_the_upload_is_created_leaves_nothing_behind(
    s3: MemoryS3, store: ObjectStore, tmp_path: Path
) -> None:
    path = file_of(tmp_path, BIG)
    asked, go_on = anyio.Event(), anyio.Event()

    async def wait() -> None:
        asked.set()
        await go_on.wait()

    s3.during["CreateMultipartUpload"] = wait

    async def put() -> None:
        await store.put_file("b", "k", path, metadata={}, buffers=four())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(put)
        await asked.wait()
        tasks.cancel_scope.cancel()
        go_on.set()
    assert s3.counts["CreateMultipartUpload"] == 1
    assert s3.counts["AbortMultipartUpload"] == 1
    assert s3.uploads == {}


async def test_an_upload_whose_creation_was_not_answered_is_found_and_aborted(
    s3: MemoryS3, store: ObjectStore, tmp_path: Path
) -> None:
    others = Upload("k", {}, {1: b"somebody is at it"})
    s3.uploads["others"] = others
    s3.uploads["longer key"] = Upload("k2", {})
    s3.faults["CreateMultipartUpload"] = [After(LOST)]
    await store.put_file("b", "k", file_of(tmp_path, BIG), metadata={}, buffers=four())
    assert set(s3.uploads) == {"others", "longer key"}
    assert "k" in s3.objects


async def test_a_completion_whose_answer_was_lost_is_found_out(
    s3: MemoryS3, store: ObjectStore, tmp_path: Path
) -> None:
    path = file_of(tmp_path, BIG)
    s3.faults["CompleteMultipartUpload"] = [After(LOST)]
    info = await store.put_file("b", "k", path, metadata={}, buffers=four())
    assert info.etag.endswith("-4")
    assert s3.objects["k"][0] == path.read_bytes()


async def test_an_upload_that_somebody_aborted_is_not_taken_for_completed(
    s3: MemoryS3, store: ObjectStore, tmp_path: Path
) -> None:
    s3.objects["k"] = (b"something else", {}, '"abc"')
    s3.faults["CompleteMultipartUpload"] = [LOST, RefusedError("gone", code="NoSuchUpload")]
    with pytest.raises(RefusedError, match="gone"):
        await store.put_file("b", "k", file_of(tmp_path, BIG), metadata={}, buffers=four())


async def test_an_abort_that_fails_is_told_with_the_id_of_the_upload(
    s3: MemoryS3, store: ObjectStore, tmp_path: Path
) -> None:
    s3.faults["UploadPart"] = [RefusedError("no", code="EntityTooSmall")]
    s3.faults["AbortMultipartUpload"] = [DENIED]
    with pytest.raises(RefusedError) as caught:
        await store.put_file("b", "k", file_of(tmp_path, BIG), metadata={}, buffers=four())
    (note,) = caught.value.__notes__
    assert "upload-1 of s3://b/k is left behind" in note
    assert "AccessDenied" in note


async def test_an_abort_is_repeated_when_a_late_part_keeps_the_upload_alive(
    s3: MemoryS3, store: ObjectStore, tmp_path: Path
) -> None:
    async def revive() -> None:
        if s3.counts["ListParts"] < ABORTS:
            s3.uploads["upload-1"] = Upload("k", {}, {9: b"late"})

    s3.during["ListParts"] = revive
    s3.faults["UploadPart"] = [DENIED]
    with pytest.raises(CredentialsError):
        await store.put_file("b", "k", file_of(tmp_path, BIG), metadata={}, buffers=four())
    assert s3.counts["AbortMultipartUpload"] == ABORTS
    assert s3.uploads == {}


@pytest.mark.parametrize(
    ("size", "new_size", "what"),
    [(BIG, PART_SIZE, "shorter|went from"), (BIG, BIG + 1, "went from"), (BIG, BIG, "written to")],
)
async def test_a_file_that_changes_meanwhile_is_an_error(
    s3: MemoryS3, store: ObjectStore, tmp_path: Path, size: int, new_size: int, what: str
) -> None:
    path = file_of(tmp_path, size)

    async def change() -> None:
        if s3.counts["UploadPart"] == 1:
            os.truncate(path, new_size)
            os.utime(path, ns=(1, 1))

    s3.during["UploadPart"] = change
    with pytest.raises(BundleError, match=what) as caught:
        await store.put_file("b", "k", path, metadata={}, buffers=Buffers(PART_SIZE))
    assert str(path) in str(caught.value)
    assert (s3.uploads, s3.objects) == ({}, {})


async def test_a_file_that_is_not_there_is_an_os_error(s3: MemoryS3, store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await store.put_file("b", "k", tmp_path / "none", metadata={}, buffers=four())
    assert s3.counts == {}


async def test_head_says_what_is_there(s3: MemoryS3, store: ObjectStore) -> None:
    s3.objects["k"] = (b"abc", {"digest": "x"}, '"abc"')
    s3.faults["HeadObject"] = [LOST]
    info = await store.head("b", "k")
    assert info is not None
    assert (info.etag, info.size, info.metadata) == ("abc", 3, {"digest": "x"})
    assert info.version_id is None  # "null": versions are suspended
    assert await store.head("b", "none") is None
    assert await store.get_bytes("b", "k") == b"abc"


async def test_head_without_rights_is_an_error(s3: MemoryS3, store: ObjectStore) -> None:
    s3.faults["HeadObject"] = [CredentialsError("Forbidden", code="403")]
    with pytest.raises(CredentialsError):
        await store.head("b", "k")


async def test_retrying_gives_up_after_its_attempts_and_never_repeats_a_refusal() -> None:
    attempts = 0

    async def fail(error: Exception) -> None:
        nonlocal attempts
        attempts += 1
        raise error

    for error, expected in ((LOST, 3), (THROTTLED, 3), (DENIED, 1), (RefusedError("no"), 1)):
        attempts = 0
        with suppress(type(error)):
            await retrying(lambda error=error: fail(error), backoff=Backoff(base=0.0, attempts=3))  # type: ignore[misc]
        assert attempts == expected


def test_delays_double_up_to_their_cap_with_jitter() -> None:
    longest = Backoff(base=1.0, cap=5.0, jitter=lambda: 1.0)
    assert [longest.delay(attempt) for attempt in (1, 2, 3, 4, 5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert Backoff(base=1.0, jitter=lambda: 0.0).delay(1) == 0.5
