"""Which bundles an agent of the sandbox would get."""

from __future__ import annotations

import io
import itertools
import tarfile
import zipfile
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from orchestrator.sandbox.bundles import BundleChecker
from orchestrator.sandbox.storage import Bucket, Storage, Version

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Objects:
    """A bucket with bundles, and a checker that looks at them."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._bucket = storage.buckets["bucket"] = Bucket(name="bucket", region="x", created=0, versioning="Enabled")
        self._checker = BundleChecker(storage)

    def put(self, key: str, data: bytes, *, version: str = "v1", etag: str = "e1") -> None:
        writer = self._storage.writer()
        writer.write(data)
        self._storage.put(self._bucket, Version(key=key, id=version, modified=0, etag=etag, blob=writer.finish()))

    def delete(self, key: str) -> None:
        self._storage.put(self._bucket, Version(key=key, id="marker", modified=0, etag="", blob=None))

    async def problem(self, key: str, kind: str, **location: str) -> str | None:
        revision: dict[str, Any] = {"bucket": "bucket", "key": key, "bundleType": kind, **location}
        return await self._checker.problem({"revisionType": "S3", "s3Location": revision})


@pytest.fixture
def objects() -> Iterator[Objects]:
    storage = Storage(10**8)
    yield Objects(storage)
    storage.close()


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x" * 100)
    return buffer.getvalue()


def tarred(mode: Literal["w", "w:gz"], *names: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    return buffer.getvalue()


async def test_a_bundle_is_found_by_version_and_etag(objects: Objects) -> None:
    objects.put("k", zipped("appspec.yml", "app/main"), version="v1", etag="e1")
    objects.put("k", b"rubbish", version="v2", etag="e2")
    assert await objects.problem("k", "zip", version="v1", eTag="e1") is None
    assert "eTag" in (await objects.problem("k", "zip", version="v1", eTag="e2") or "")
    assert "unpacked as zip" in (await objects.problem("k", "zip") or "")
    assert "version" in (await objects.problem("k", "zip", version="v3") or "")
    assert "does not exist" in (await objects.problem("other", "zip") or "")
    objects.delete("k")
    assert "does not exist" in (await objects.problem("k", "zip") or "")
    assert await objects.problem("k", "zip", version="v1") is None


async def test_a_missing_bucket(objects: Objects) -> None:
    assert "bucket" in (await objects.problem("k", "zip", bucket="elsewhere") or "")


@pytest.mark.parametrize(
    ("data", "kind", "expected"),
    [
        (zipped("appspec.yml"), "zip", None),
        (zipped("app/appspec.yml", "app/x"), "zip", None),
        (zipped("app/appspec.yml", "readme"), "zip", "AppSpec"),
        (zipped("a/b/appspec.yml"), "zip", "AppSpec"),
        (zipped("appspec.yaml"), "zip", "AppSpec"),
        (zipped(), "zip", "AppSpec"),
        (zipped("appspec.yml"), "tar", "unpacked as tar"),
        (zipped("appspec.yml"), "tgz", "unpacked as tgz"),
        (tarred("w:gz", "./appspec.yml"), "tgz", None),
        (tarred("w:gz", "appspec.yml"), "tar", None),
        (tarred("w", "appspec.yml"), "tar", None),
        (tarred("w", "appspec.yml"), "tgz", "unpacked as tgz"),
        (tarred("w", "appspec.yml"), "zip", "unpacked as zip"),
        (tarred("w:gz", *(f"f{number}" for number in range(500)))[:-50], "tgz", "unpacked as tgz"),
        (b"", "zip", "unpacked as zip"),
        (b"", "tar", "unpacked as tar"),
    ],
    ids=itertools.count(),  # archives hold the time, and names of tests must be the same in every process
)
async def test_it_has_to_open_and_to_hold_an_appspec(
    objects: Objects, data: bytes, kind: str, expected: str | None
) -> None:
    objects.put("k", data)
    problem = await objects.problem("k", kind)
    assert problem is None if expected is None else expected in (problem or "")


async def test_github_is_taken_as_given() -> None:
    storage = Storage(0)
    revision = {"revisionType": "GitHub", "gitHubLocation": {"repository": "a/b", "commitId": "c"}}
    assert await BundleChecker(storage).problem(revision) is None
    storage.close()
