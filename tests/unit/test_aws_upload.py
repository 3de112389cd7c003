"""Streams to S3, how objects are stored, copies within it, and what dead processes left, against an S3 in memory."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_s3 import HERE, MemoryS3, Upload, crc_of, md5_of

from orchestrator.aws import Backoff, Buffers, CopySource, ObjectInfo, ObjectStore
from orchestrator.aws.copying import CopySizes
from orchestrator.aws.crc import combine
from orchestrator.aws.parts import PART_SIZE, Producer
from orchestrator.aws.upload import Progress
from orchestrator.core.errors import BundleError, CredentialsError, RefusedError
from orchestrator.core.model import NO_OBJECT_SETTINGS, ObjectSettings

pytestmark = pytest.mark.anyio

DENIED = CredentialsError("no", code="AccessDenied")
BIG = 3 * PART_SIZE + 5


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def s3() -> MemoryS3:
    return MemoryS3()


@pytest.fixture
def store(s3: MemoryS3) -> ObjectStore:
    return ObjectStore(s3, HERE, backoff=Backoff(base=0.0), patience=Backoff(base=0.0))


def four() -> Buffers:
    return Buffers(4 * PART_SIZE)


# --- streams ---------------------------------------------------------------------------------------------------------


def producer_of(chunks: Iterator[bytes], closed: list[str] | None = None) -> Producer:
    @contextmanager
    def opened() -> Iterator[Iterator[bytes]]:
        try:
            yield chunks
        finally:
            if closed is not None:
                closed.append("closed")

    return opened


async def put_stream(
    store: ObjectStore,
    chunks: Iterator[bytes],
    *,
    closed: list[str] | None = None,
    buffers: Buffers | None = None,
    at_most: int = BIG,
    settings: ObjectSettings = NO_OBJECT_SETTINGS,
    progress: Progress = lambda _: None,
) -> ObjectInfo:
    return await store.put(
        "b",
        "k",
        producer_of(chunks, closed),
        at_most=at_most,
        metadata={"digest": "x"},
        buffers=buffers or four(),
        settings=settings,
        progress=progress,
    )


@pytest.mark.parametrize("chunk", [1000, 65536, PART_SIZE, 2 * PART_SIZE + 1])
@pytest.mark.parametrize("size", [999, PART_SIZE, PART_SIZE + 1, BIG])
async def test_a_stream_arrives_whole_however_it_is_cut(
    s3: MemoryS3, store: ObjectStore, chunk: int, size: int
) -> None:
    content = os.urandom(size)
    info = await put_stream(store, (content[at : at + chunk] for at in range(0, size, chunk)))
    assert s3.objects["k"][0] == content
    assert (info.size, info.checksum) == (size, crc_of(content))


async def test_the_first_parts_are_under_way_while_the_rest_is_made(s3: MemoryS3, store: ObjectStore) -> None:
    sent = threading.Event()

    async def note() -> None:
        sent.set()

    s3.during["UploadPart"] = note

    def chunks() -> Iterator[bytes]:
        yield bytes(PART_SIZE)
        yield b"x"
        assert sent.wait(20)  # would end here, were all of it made first
        yield bytes(PART_SIZE)

    await put_stream(store, chunks())
    assert len(s3.objects["k"][0]) == 2 * PART_SIZE + 1


async def test_a_stream_that_is_longer_than_was_thought_goes_in_whole_parts(s3: MemoryS3, store: ObjectStore) -> None:
    content = os.urandom(PART_SIZE + 10)
    await put_stream(store, iter([content]), at_most=1000)
    assert s3.objects["k"][0] == content
    assert s3.objects["k"][2].endswith('-2"')


@pytest.mark.parametrize("made", [100, PART_SIZE + 1, 3 * PART_SIZE])
async def test_what_fails_while_it_is_made_is_not_stored(s3: MemoryS3, store: ObjectStore, made: int) -> None:
    error = BundleError("changed while the bundle was made")
    closed: list[str] = []
    buffers = four()

    def chunks() -> Iterator[bytes]:
        yield bytes(made)
        raise error

    with pytest.raises(BundleError) as caught:
        await put_stream(store, chunks(), closed=closed, buffers=buffers)
    assert caught.value is error
    assert (s3.objects, s3.uploads, closed, buffers.taken) == ({}, {}, ["closed"], 0)
    assert s3.counts["CompleteMultipartUpload"] == 0


async def test_a_refused_part_ends_the_making(s3: MemoryS3, store: ObjectStore) -> None:
    s3.faults["UploadPart"] = [DENIED]
    closed: list[str] = []

    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(PART_SIZE)

    with anyio.fail_after(30), pytest.raises(CredentialsError):
        await put_stream(store, endless(), closed=closed)
    assert (s3.uploads, closed) == ({}, ["closed"])


async def test_cancelling_ends_the_making_too(s3: MemoryS3, store: ObjectStore) -> None:
    closed: list[str] = []
    buffers = four()
    begun = anyio.Event()

    async def note() -> None:
        begun.set()

    s3.during["CreateMultipartUpload"] = note

    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(PART_SIZE)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:

            async def put() -> None:
                await put_stream(store, endless(), closed=closed, buffers=buffers)

            tasks.start_soon(put)
            await begun.wait()
            tasks.cancel_scope.cancel()
    assert (s3.uploads, s3.objects, closed, buffers.taken, s3.active.total()) == ({}, {}, ["closed"], 0, 0)


async def test_what_is_in_memory_stays_within_the_limit(s3: MemoryS3, store: ObjectStore) -> None:
    buffers, most = Buffers(3 * PART_SIZE), 0

    async def look() -> None:
        nonlocal most
        most = max(most, buffers.taken)

    s3.during["UploadPart"] = look
    async with anyio.create_task_group() as tasks:
        for key in ("one", "two", "three"):
            tasks.start_soon(
                partial(
                    store.put,
                    "b",
                    key,
                    producer_of(bytes(1 << 20) for _ in range(40)),
                    at_most=40 << 20,
                    metadata={},
                    buffers=buffers,
                )
            )
    assert {len(content) for content, _, _ in s3.objects.values()} == {40 << 20}
    assert PART_SIZE < most <= 3 * PART_SIZE
    assert buffers.taken == 0


async def test_who_comes_first_gets_the_next_buffer() -> None:
    buffers, order = Buffers(10), []
    first = await buffers.take(10)

    async def take(name: str, size: int) -> None:
        buffer = await buffers.take(size)
        order.append(name)
        buffers.give_back(buffer)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take, "large", 8)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(take, "small", 1)
        await anyio.wait_all_tasks_blocked()
        assert order == []
        buffers.give_back(first)
    assert order == ["large", "small"]
    assert buffers.taken == 0


async def test_a_wait_for_a_buffer_that_is_cancelled_takes_nothing() -> None:
    buffers = Buffers(10)
    held = await buffers.take(10)
    with anyio.move_on_after(0):
        await buffers.take(1)
    buffers.give_back(held)
    assert buffers.taken == 0
    assert len(await buffers.take(25)) == 25  # more than all of it goes alone


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_checksums_of_pieces_combine(first: bytes, second: bytes) -> None:
    assert combine(zlib.crc32(first), zlib.crc32(second), len(second)) == zlib.crc32(first + second)


# --- as S3 is told to store it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, BIG])
async def test_settings_are_sent_by_s3s_names(s3: MemoryS3, store: ObjectStore, size: int) -> None:
    settings = ObjectSettings(
        expected_bucket_owner="111122223333",
        server_side_encryption="aws:kms",
        sse_kms_key_id="alias/releases",
        bucket_key_enabled=True,
        acl="bucket-owner-full-control",
        storage_class="STANDARD_IA",
        tagging=(("team", "shop & co"), ("stage", "prod")),
    )
    await put_stream(store, iter([bytes(size)]), settings=settings)
    expected = {
        "ExpectedBucketOwner": "111122223333",
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": "alias/releases",
        "BucketKeyEnabled": True,
        "ACL": "bucket-owner-full-control",
        "StorageClass": "STANDARD_IA",
        "Tagging": "team=shop+%26+co&stage=prod",
    }
    assert {name: s3.heads["k"].get(name) for name in expected} == expected
    assert {each["ExpectedBucketOwner"] for each in s3.asked} == {"111122223333"}


async def test_what_is_not_set_is_not_sent(s3: MemoryS3, store: ObjectStore) -> None:
    await put_stream(store, iter([b"abc"]))
    assert set(s3.heads["k"]) == {"Bucket", "Key", "Metadata", "ContentType", "Body", "ChecksumCRC32"}


async def test_a_refusal_names_the_owner_that_was_expected(s3: MemoryS3, store: ObjectStore) -> None:
    s3.faults["HeadObject"] = [CredentialsError("Forbidden", code="403", hint="allow s3:GetObject")]
    with pytest.raises(CredentialsError) as caught:
        await store.head("b", "k", settings=ObjectSettings(expected_bucket_owner="111122223333"))
    assert caught.value.hint is not None
    assert "belongs to the account 111122223333" in caught.value.hint
    assert "allow s3:GetObject" in caught.value.hint


# --- copies ----------------------------------------------------------------------------------------------------------


async def copied(s3: MemoryS3, store: ObjectStore, content: bytes) -> ObjectInfo:
    etag = md5_of(content).hex()
    s3.objects["k"] = (content, {"digest": "x"}, f'"{etag}"')
    source = CopySource(bucket="b", key="k", version_id=None, etag=etag, size=len(content))
    return await store.copy(source, "other", "copy", metadata={"digest": "x"}, checksum=crc_of(content))


async def test_a_copy_is_made_by_s3_and_looked_at(s3: MemoryS3, store: ObjectStore) -> None:
    content = os.urandom(1000)
    info = await copied(s3, store, content)
    assert s3.objects["copy"][0] == content
    assert (info.size, info.checksum, info.metadata) == (1000, crc_of(content), {"digest": "x"})
    assert s3.counts == {"CopyObject": 1, "HeadObject": 1}


def small_copies(s3: MemoryS3) -> ObjectStore:
    return ObjectStore(s3, HERE, backoff=Backoff(base=0.0), copies=CopySizes(whole_below=1000, part=300))


async def test_a_large_copy_is_made_in_parts(s3: MemoryS3) -> None:
    content = os.urandom(1000)
    info = await copied(s3, small_copies(s3), content)
    assert s3.objects["copy"][0] == content
    assert (info.size, s3.counts["UploadPartCopy"], s3.uploads) == (1000, 4, {})


async def test_a_large_copy_that_is_refused_leaves_nothing(s3: MemoryS3) -> None:
    s3.faults["UploadPartCopy"] = [DENIED]
    with pytest.raises(CredentialsError):
        await copied(s3, small_copies(s3), os.urandom(1000))
    assert (s3.uploads, "copy" in s3.objects) == ({}, False)


async def test_a_copy_that_differs_is_an_error(s3: MemoryS3, store: ObjectStore) -> None:
    s3.damage = lambda content: content[:-1] + b"?"
    with pytest.raises(RefusedError, match="CopyDiffers"):
        await copied(s3, store, b"content.")


async def test_an_original_that_was_replaced_is_not_copied(s3: MemoryS3, store: ObjectStore) -> None:
    s3.objects["k"] = (b"new", {}, '"new"')
    source = CopySource(bucket="b", key="k", version_id=None, etag="old", size=3)
    with pytest.raises(RefusedError, match="PreconditionFailed"):
        await store.copy(source, "other", "copy", metadata={}, checksum="")


# --- what dead processes left ----------------------------------------------------------------------------------------


async def test_uploads_of_dead_processes_are_aborted_and_no_others(s3: MemoryS3, store: ObjectStore) -> None:
    digest_key, now = f"shop/{'0' * 64}.tgz", datetime.now(UTC)
    long_ago = now - timedelta(hours=2)
    s3.uploads = {
        "dead": Upload(digest_key, {}, {1: b"x"}, begun=long_ago, touched=long_ago),
        "dead, without parts": Upload(f"shop/{'1' * 64}.zip", {}, begun=long_ago),
        "new": Upload(digest_key, {}, begun=now),
        "slow": Upload(digest_key, {}, {1: b"x"}, begun=long_ago, touched=now),
        "somebody's": Upload("shop/backup.tgz", {}, begun=long_ago),
        "another application's": Upload(f"web/{'0' * 64}.tgz", {}, begun=long_ago),
    }
    path = producer_of(iter([bytes(PART_SIZE + 1)]))
    await store.put("b", f"shop/{'2' * 64}.tgz", path, at_most=BIG, metadata={}, buffers=four())
    assert set(s3.uploads) == {"new", "slow", "somebody's", "another application's"}


async def test_not_being_allowed_to_look_for_them_is_no_failure(s3: MemoryS3, store: ObjectStore) -> None:
    s3.faults["ListMultipartUploads"] = [DENIED]
    await put_stream(store, iter([bytes(PART_SIZE + 1)]))
    assert "k" in s3.objects
