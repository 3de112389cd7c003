"""What every place for state must do: a folder, memory, S3 as the sandbox and as moto speak it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import anyio
import pytest
from motos import moto_server

from orchestrator.aws import AwsSession
from orchestrator.aws.blobs import S3Blobs
from orchestrator.core.blobs import Blobs, ConflictError, PatientBlobs, UnreachableError
from orchestrator.core.model import Location
from orchestrator.sandbox.fleet import BucketSpec, FleetSpec
from orchestrator.sandbox.options import Faults, SandboxOptions
from orchestrator.sandbox.server import Endpoint, Sandbox
from orchestrator.store.folder import FolderBlobs
from orchestrator.testing_blobs import MemoryBlobs

pytestmark = pytest.mark.anyio

REGION = "eu-west-1"
FLEET = FleetSpec(
    groups=(),
    buckets=(BucketSpec(name="state", region=REGION), BucketSpec(name="plain", region=REGION, versioned=False)),
)


@asynccontextmanager
async def sandbox_s3(bucket: str, prefix: str) -> AsyncIterator[tuple[Blobs, Endpoint]]:
    async with (
        Sandbox(FLEET, SandboxOptions(time_scale=0)).serve() as endpoint,
        AwsSession(endpoint_environment=endpoint.environment()) as session,
    ):
        attempts = S3Blobs(session, Location(region=REGION), bucket=bucket, prefix=prefix)
        yield PatientBlobs(attempts, random=Random(1)), endpoint  # noqa: S311 - jitter, not a secret


@asynccontextmanager
async def moto_s3() -> AsyncIterator[Blobs]:
    async with moto_server() as environment, AwsSession(endpoint_environment=environment) as session:
        here = Location(region=REGION)
        bucket = f"state-{uuid.uuid4()}"  # moto's buckets are its process's
        where = {"Bucket": bucket, "CreateBucketConfiguration": {"LocationConstraint": REGION}}
        await session.call("s3", here, "CreateBucket", where)
        yield PatientBlobs(S3Blobs(session, here, bucket=bucket, prefix="x"), random=Random(1))  # noqa: S311 - jitter


@pytest.fixture(params=["folder", "memory", "s3", "s3-unversioned-root", "moto"])
async def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Blobs]:
    match request.param:
        case "folder":
            yield FolderBlobs(tmp_path / "new" / "state")
        case "memory":
            yield PatientBlobs(MemoryBlobs(), random=Random(1))  # noqa: S311 - jitter, not a secret
        case "moto":
            async with moto_s3() as made:
                yield made
        case "s3":
            async with sandbox_s3("state", "team/a") as (made, _):
                yield made
        case _:
            async with sandbox_s3("plain", "") as (made, _):
                yield made


async def test_what_is_put_can_be_read_with_its_tag(blobs: Blobs) -> None:
    tag = await blobs.put("a/b.json", b'{"x":1}')
    found = await blobs.get("a/b.json")
    assert found is not None
    assert (found.content, found.tag) == (b'{"x":1}', tag)


async def test_what_is_not_there_is_none_and_can_be_deleted(blobs: Blobs) -> None:
    assert await blobs.get("a/b.json") is None
    assert await blobs.list() == []
    await blobs.delete("a/b.json")


async def test_an_empty_object_is_an_object(blobs: Blobs) -> None:
    await blobs.put("index/r-1/00000001.eyJ0eXBlIjoicnVuIn0", b"")
    found = await blobs.get("index/r-1/00000001.eyJ0eXBlIjoicnVuIn0")
    assert found is not None
    assert found.content == b""


async def test_absent_writes_once(blobs: Blobs) -> None:
    await blobs.put("one", b"first", absent=True)
    with pytest.raises(ConflictError):
        await blobs.put("one", b"second", absent=True)
    found = await blobs.get("one")
    assert found is not None
    assert found.content == b"first"


@pytest.mark.parametrize("blobs", ["memory", "s3", "moto"], indirect=True)
async def test_ones_own_write_is_no_conflict(blobs: Blobs) -> None:
    """The content says whose it is; only stores whose answers get lost need to look."""
    tag = await blobs.put("one", b"mine, nonce 7", absent=True)
    assert await blobs.put("one", b"mine, nonce 7", absent=True) == tag


async def test_match_swaps_only_what_was_read(blobs: Blobs) -> None:
    first = await blobs.put("one", b"first")
    second = await blobs.put("one", b"second", match=first)
    assert second != first
    with pytest.raises(ConflictError):
        await blobs.put("one", b"third", match=first)
    assert await blobs.put("one", b"third", match=second)


async def test_match_of_what_is_gone_is_a_conflict(blobs: Blobs) -> None:
    tag = await blobs.put("one", b"first")
    await blobs.delete("one")
    with pytest.raises(ConflictError):
        await blobs.put("one", b"second", match=tag)
    assert await blobs.get("one") is None


async def test_listing_is_by_the_beginning_of_the_name_and_sorted(blobs: Blobs) -> None:
    for name in ("runs/r-10/journal/1", "runs/r-1/journal/2", "runs/r-1/journal/1", "index/r-1/1", "locks.json"):
        await blobs.put(name, b"x")
    assert await blobs.list("runs/r-1/") == ["runs/r-1/journal/1", "runs/r-1/journal/2"]
    assert await blobs.list("runs/r-1") == ["runs/r-1/journal/1", "runs/r-1/journal/2", "runs/r-10/journal/1"]
    assert await blobs.list("nothing/") == []
    assert len(await blobs.list()) == 5


@pytest.mark.parametrize("blobs", ["memory", "s3"], indirect=True)
async def test_a_listing_of_more_than_a_page_is_whole(blobs: Blobs) -> None:
    async with anyio.create_task_group() as tasks:
        for number in range(1001):
            tasks.start_soon(blobs.put, f"n/{number:04d}", b"")
    assert await blobs.list("n/") == [f"n/{number:04d}" for number in range(1001)]


async def test_of_many_who_swap_one_wins_each_round(blobs: Blobs) -> None:
    await blobs.put("counter", b"0 -")
    wins: list[int] = []

    async def contend(me: int) -> None:
        while True:
            found = await blobs.get("counter")
            assert found is not None
            count = int(found.content.split()[0])
            try:
                await blobs.put("counter", f"{count + 1} {me}".encode(), match=found.tag)
            except ConflictError:
                continue
            wins.append(count)
            return

    async with anyio.create_task_group() as tasks:
        for me in range(8):
            tasks.start_soon(contend, me)
    found = await blobs.get("counter")
    assert found is not None
    assert found.content.startswith(b"8 ")
    assert sorted(wins) == list(range(8))


async def test_of_many_who_create_one_wins(blobs: Blobs) -> None:
    winners: list[int] = []

    async def contend(me: int) -> None:
        try:
            await blobs.put("one", f"{me}".encode(), absent=True)
        except ConflictError:
            return
        winners.append(me)

    async with anyio.create_task_group() as tasks:
        for me in range(8):
            tasks.start_soon(contend, me)
    found = await blobs.get("one")
    assert found is not None
    assert [int(found.content)] == winners


async def test_writes_under_a_shield_work_in_a_cancelled_task(blobs: Blobs) -> None:
    await blobs.put("taken", b"theirs", absent=True)
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await blobs.put("empty", b"")
                with pytest.raises(ConflictError):
                    await blobs.put("taken", b"mine" * 1000, absent=True)
                await blobs.put("full", b"x" * 1000, absent=True)
    assert await blobs.list() == ["empty", "full", "taken"]


# --- S3 alone --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
async def test_lost_answers_of_s3_double_and_lose_nothing(seed: int) -> None:
    async with sandbox_s3("state", "x") as (blobs, endpoint):
        endpoint.set_faults(
            Faults(reset_after=0.2, reset_before=0.1, error_rate=0.1, services=frozenset({"s3"}), times=40)
        )
        tag = None
        for number in range(30):
            await blobs.put(f"journal/{number:08d}", f"{seed}/{number}".encode(), absent=True)
            tag = await blobs.put("lease", f"{seed}: {number}".encode(), absent=tag is None, match=tag)
        assert len(await blobs.list("journal/")) == 30


async def test_a_bucket_that_is_not_there_is_said_at_once() -> None:
    async with sandbox_s3("nowhere", "x") as (blobs, _):
        with pytest.raises(UnreachableError, match="NoSuchBucket") as caught:
            await blobs.put("one", b"1", absent=True)
        assert "s3://nowhere/x/one" in caught.value.message
        assert caught.value.hint is not None
