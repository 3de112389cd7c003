"""One bundle for many places, against an S3 in memory: uploaded once, copied from there, never half."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from memory_s3 import HERE, MemoryS3

from orchestrator.app.uploads import DIGEST_METADATA, Opened, Place, Uploads
from orchestrator.aws import Backoff, ObjectStore
from orchestrator.bundle.source import digest, open_source
from orchestrator.core.errors import BundleError, CredentialsError
from orchestrator.core.model import NO_OBJECT_SETTINGS, BundleSource, Location

pytestmark = pytest.mark.anyio

DENIED = CredentialsError("no", code="AccessDenied")
OTHER_ACCOUNT = Location(region="eu-west-1", role_arn="arn:aws:iam::222222222222:role/deploy")
ONE_ACCOUNT = Location(region="eu-west-1", role_arn="arn:aws:iam::111111111111:role/deploy")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def s3() -> MemoryS3:
    return MemoryS3()


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    (tmp_path / "appspec.yml").write_text("version: 0.0\nos: linux\nfiles: []\n")
    (tmp_path / "data.txt").write_text("x" * 1000)
    bundle = open_source(BundleSource(path=tmp_path, bucket="b", prefix=""))
    return Opened(bundle, digest(bundle))


def uploads(s3: MemoryS3, told: list[str]) -> Uploads:
    locations = (HERE, ONE_ACCOUNT, OTHER_ACCOUNT)
    stores = {each: ObjectStore(s3, HERE, backoff=Backoff(base=0.0)) for each in locations}
    return Uploads(stores, tell=told.append)


def place(key: str, location: Location = HERE) -> Place:
    return Place(location=location, bucket="b", key=key, settings=NO_OBJECT_SETTINGS)


async def test_what_is_there_is_left_alone(s3: MemoryS3, opened: Opened) -> None:
    both = uploads(s3, [])
    first = await both.ensure(opened, place("k"))
    again = await uploads(s3, []).ensure(opened, place("k"))
    assert (first.is_new, again.is_new) == (True, False)
    assert first.packed is not None
    assert first.packed.entries == 2
    assert s3.objects["k"][1] == {DIGEST_METADATA: opened.digest.value}
    assert s3.counts["PutObject"] == 1
    assert again.revision(opened.bundle).etag == s3.objects["k"][2].strip('"')


async def test_one_upload_and_copies_for_all_other_places_also_side_by_side(s3: MemoryS3, opened: Opened) -> None:
    told: list[str] = []
    shared = uploads(s3, told)
    async with anyio.create_task_group() as tasks:
        for key in ("one", "two", "three"):
            tasks.start_soon(shared.ensure, opened, place(key))
    assert (s3.counts["PutObject"], s3.counts["CopyObject"]) == (1, 2)
    assert len({content for content, _, _ in s3.objects.values()}) == 1
    assert {metadata[DIGEST_METADATA] for _, metadata, _ in s3.objects.values()} == {opened.digest.value}
    assert told == []


async def test_what_another_run_has_uploaded_is_copied_too(s3: MemoryS3, opened: Opened) -> None:
    await uploads(s3, []).ensure(opened, place("one"))
    later = uploads(s3, [])
    await later.ensure(opened, place("one"))
    copied = await later.ensure(opened, place("two"))
    assert copied.copied_from == "s3://b/one"
    assert s3.counts["PutObject"] == 1


async def test_a_copy_that_is_refused_is_told_once_and_uploaded_from_here(s3: MemoryS3, opened: Opened) -> None:
    told: list[str] = []
    shared = uploads(s3, told)
    await shared.ensure(opened, place("one"))
    s3.faults["CopyObject"] = [DENIED]
    for key in ("two", "three"):
        stored = await shared.ensure(opened, place(key))
        assert stored.packed is not None
    assert s3.counts["CopyObject"] == 1
    (message,) = told
    assert "s3://b/one can't be copied to b, so it is uploaded from here: AccessDenied" in message


async def test_a_copy_that_differs_is_uploaded_over(s3: MemoryS3, opened: Opened) -> None:
    shared = uploads(s3, [])
    await shared.ensure(opened, place("one"))
    s3.damage = lambda content: content[:-1]
    await shared.ensure(opened, place("two"))
    assert s3.objects["two"][0] == s3.objects["one"][0]


async def test_an_original_without_a_checksum_of_the_whole_is_not_copied(s3: MemoryS3, opened: Opened) -> None:
    await uploads(s3, []).ensure(opened, place("one"))
    s3.checksum_type = "COMPOSITE"
    later = uploads(s3, [])
    await later.ensure(opened, place("one"))
    assert (await later.ensure(opened, place("two"))).packed is not None
    assert s3.counts["CopyObject"] == 0


async def test_accounts_do_not_copy_from_each_other(s3: MemoryS3, opened: Opened) -> None:
    shared = uploads(s3, [])
    await shared.ensure(opened, place("one", ONE_ACCOUNT))
    stored = await shared.ensure(opened, place("two", OTHER_ACCOUNT))
    assert stored.packed is not None
    assert (await shared.ensure(opened, place("three", OTHER_ACCOUNT))).copied_from == "s3://b/two"


async def test_the_second_uploads_when_the_first_fails(s3: MemoryS3, opened: Opened) -> None:
    shared = uploads(s3, [])
    s3.faults["PutObject"] = [DENIED]
    outcomes: list[str] = []

    async def ensure(key: str) -> None:
        try:
            await shared.ensure(opened, place(key))
        except CredentialsError:
            outcomes.append("refused")
        else:
            outcomes.append("stored")

    async with anyio.create_task_group() as tasks:
        for key in ("one", "two"):
            tasks.start_soon(ensure, key)
    assert sorted(outcomes) == ["refused", "stored"]


async def test_a_source_that_has_changed_since_is_not_stored(s3: MemoryS3, opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("y" * 1000)
    with pytest.raises(BundleError, match=r"data\.txt"):
        await uploads(s3, []).ensure(opened, place("k"))
    assert (s3.objects, s3.uploads) == ({}, {})
