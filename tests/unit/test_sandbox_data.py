"""`--data DIR`: what was answered is there again after a restart, whether the sandbox was ended or killed."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from signed import Caller, root_keys

from orchestrator.sandbox.fleet import BucketSpec, FleetSpec, GroupSpec
from orchestrator.sandbox.home import FileLedger, HomeError, open_home
from orchestrator.sandbox.options import SandboxOptions
from orchestrator.sandbox.plain import NOT_KEPT, from_plain, to_plain
from orchestrator.sandbox.server import Sandbox

pytestmark = pytest.mark.anyio

REGION = "eu-west-1"
GITHUB = {"revisionType": "GitHub", "gitHubLocation": {"repository": "acme/shop", "commitId": "abc"}}
GROUP = {"applicationName": "app", "deploymentGroupName": "g"}
MIB = 1024**2
FLEET = FleetSpec(
    groups=(GroupSpec(application="app", deployment_group="g", region=REGION),),
    buckets=(BucketSpec(name="bucket", region=REGION),),
)
Start = Callable[..., AbstractAsyncContextManager[Caller]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """A sandbox over the same folder each time, at the same time of the test's clock unless told otherwise."""

    @asynccontextmanager
    async def starting(now: float = 1_700_000_000.0, fleet: FleetSpec = FLEET) -> AsyncIterator[Caller]:
        sandbox = Sandbox(fleet, SandboxOptions(data=tmp_path / "data"), clock=lambda: now)
        async with sandbox.serve() as endpoint, aiohttp.ClientSession() as session:
            yield Caller(session, endpoint.url, root_keys(endpoint))

    return starting


async def test_codedeploy_is_there_again(start: Start) -> None:
    async with start() as first:
        await first.ok("CreateApplication", applicationName="mine")
        await first.ok(
            "CreateDeploymentConfig", deploymentConfigName="two", minimumHealthyHosts={"type": "HOST_COUNT", "value": 2}
        )
        await first.ok("RegisterApplicationRevision", applicationName="mine", revision=GITHUB, description="d")
        await first.ok("DeleteDeploymentGroup", **GROUP)
        role = "arn:aws:iam::000000000000:role/r"
        await first.ok("CreateDeploymentGroup", **GROUP, serviceRoleArn=role, deploymentConfigName="two")
        await first.ok(
            "UpdateDeploymentGroup",
            applicationName="app",
            currentDeploymentGroupName="g",
            newDeploymentGroupName="renamed",
        )
        group = {**GROUP, "deploymentGroupName": "renamed"}
        before = [
            await first.ok("GetApplication", applicationName="mine"),
            await first.ok("GetDeploymentConfig", deploymentConfigName="two"),
            await first.ok("GetDeploymentGroup", **group),
            await first.ok("GetApplicationRevision", applicationName="mine", revision=GITHUB),
        ]
    async with start(fleet=FleetSpec()) as second:
        assert before == [
            await second.ok("GetApplication", applicationName="mine"),
            await second.ok("GetDeploymentConfig", deploymentConfigName="two"),
            await second.ok("GetDeploymentGroup", **group),
            await second.ok("GetApplicationRevision", applicationName="mine", revision=GITHUB),
        ]
        assert (await second.ok("ListApplications"))["applications"] == ["app", "mine"]
        assert (await second.ok("ListDeploymentGroups", applicationName="app"))["deploymentGroups"] == ["renamed"]


async def test_a_deployment_under_way_goes_on(start: Start) -> None:
    now = 1_700_000_000.0
    async with start(now) as first:
        done = (await first.ok("CreateDeployment", **GROUP, revision=GITHUB))["deploymentId"]
    async with start(now + 1000) as second:
        assert (await second.ok("GetDeployment", deploymentId=done))["deploymentInfo"]["status"] == "Succeeded"
        running = (await second.ok("CreateDeployment", **GROUP, revision=GITHUB))["deploymentId"]
    async with start(now + 1010) as third:
        info = (await third.ok("GetDeployment", deploymentId=running))["deploymentInfo"]
        assert info["status"] == "InProgress"
        assert (await third.ok("ListDeployments"))["deployments"] == [running, done]
        group = (await third.ok("GetDeploymentGroup", **GROUP))["deploymentGroupInfo"]
        assert group["lastSuccessfulDeployment"]["deploymentId"] == done
        assert group["lastAttemptedDeployment"]["deploymentId"] == running
        busy = await third.codedeploy("CreateDeployment", {**GROUP, "revision": GITHUB})
        assert busy.code == "DeploymentLimitExceededException"
        assert (await third.ok("StopDeployment", deploymentId=running))["status"] == "Pending"
    async with start(now + 1020) as fourth:
        info = (await fourth.ok("GetDeployment", deploymentId=running))["deploymentInfo"]
        assert (info["status"], info["errorInformation"]["code"]) == ("Stopped", "MANUAL_STOP")
        # A deployment outlives its group, as long as the sandbox does.
        await fourth.ok("DeleteDeploymentGroup", **GROUP)
    async with start(now + 1030) as fifth:
        assert (await fifth.ok("GetDeployment", deploymentId=running))["deploymentInfo"]["status"] == "Stopped"


async def test_objects_are_there_again(start: Start, tmp_path: Path) -> None:
    body = b"x" * 100_000
    async with start() as first:
        old = (await first.s3("PUT", "/bucket/k", b"old", x_amz_meta_a="b")).headers["x-amz-version-id"]
        new = (await first.s3("PUT", "/bucket/k", body)).headers
        await first.s3("PUT", "/bucket/gone", b"gone")
        await first.s3("DELETE", "/bucket/gone")
        upload = (await first.s3("POST", "/bucket/big?uploads")).texts("UploadId")[0]
        etag = (await first.s3("PUT", f"/bucket/big?partNumber=1&uploadId={upload}", body)).headers["etag"]
        await first.s3("PUT", "/other")
        await first.s3("PUT", "/other/k", b"1")
        await first.s3("PUT", "/other/k", b"2")
    stray = tmp_path / "data" / "objects" / "cut-off"
    stray.write_bytes(b"a body whose writer was killed")
    async with start() as second:
        got = await second.s3("GET", "/bucket/k")
        assert (got.body, got.headers["etag"]) == (body, new["etag"])
        first_version = await second.s3("GET", f"/bucket/k?versionId={old}")
        assert (first_version.body, first_version.headers["x-amz-meta-a"]) == (b"old", "b")
        assert (await second.s3("GET", "/bucket/gone")).code == "NoSuchKey"
        assert (await second.s3("GET", "/other/k")).body == b"2"
        assert not stray.exists()
        part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
        done = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>"
        assert (await second.s3("POST", f"/bucket/big?uploadId={upload}", done.encode())).code == "ok"
        assert (await second.s3("DELETE", "/other/k")).status == 204
        assert (await second.s3("DELETE", "/other")).status == 204
    async with start() as third:
        assert (await third.s3("GET", "/bucket/big")).body == body
        assert (await third.s3("HEAD", "/other")).status == 404
        files = list((tmp_path / "data" / "objects").iterdir())
        assert len(files) == 4  # two versions of k, one of gone, one part


async def test_keys_of_a_role_outlive_the_process(start: Start) -> None:
    form = b"Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::111111111111:role/r&RoleSessionName=test"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with start() as first:
        answer = await first.send("sts", "POST", "/", form, headers)
        key, secret, token = (
            answer.texts(f".//{name}")[0] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")
        )
    async with start() as second:
        second.keys = type(second.keys)(key, secret, token)
        assert (await second.ok("ListApplications"))["applications"] == []


async def test_one_sandbox_for_one_folder(start: Start) -> None:
    async with start():
        with pytest.raises(HomeError, match="in use by another sandbox"):
            async with start():
                pytest.fail("it must not start")
    async with start():
        pass  # and it's free again


def test_a_folder_that_isnt_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(HomeError, match="isn't a sandbox's folder"):
        open_home(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["precious"]
    with pytest.raises(HomeError, match="can't be the sandbox's folder"):
        open_home(tmp_path / "precious")


def test_a_folder_of_another_format_or_broken_is_refused(tmp_path: Path) -> None:
    open_home(tmp_path / "a").close()
    with sqlite3.connect(tmp_path / "a" / "sandbox.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(HomeError, match="another version"):
        open_home(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "sandbox.db").write_bytes(b"no database at all, but long enough to be looked at" * 50)
    with pytest.raises(HomeError, match="can't be read"):
        open_home(tmp_path / "b")


def test_the_ledger_writes_what_stands_at_the_flush_and_keeps_the_order(tmp_path: Path) -> None:
    ledger = FileLedger(tmp_path / "db")
    state = {"n": 1}
    ledger.note("a", "x", lambda: dict(state))
    ledger.note("a", "y", lambda: {"n": 10})
    state["n"] = 2
    happened: list[str] = []
    ledger.when_kept(lambda: happened.append("kept"))
    assert list(ledger.records("a")) == []
    assert happened == []
    ledger.flush()
    assert happened == ["kept"]
    assert list(ledger.records("a")) == [("x", {"n": 2}), ("y", {"n": 10})]
    state["n"] = 3
    ledger.note("a", "x", lambda: dict(state))
    ledger.flush()
    assert [key for key, _ in ledger.records("a")] == ["x", "y"]
    ledger.forget("a", "x")
    ledger.note("a", "x", lambda: dict(state))
    ledger.flush()
    assert [key for key, _ in ledger.records("a")] == ["y", "x"]
    # What wasn't flushed isn't there for the next process.
    ledger.note("a", "z", dict)
    shutil.copytree(tmp_path, tmp_path.with_name("copy"))
    other = FileLedger(tmp_path.with_name("copy") / "db")
    assert [key for key, _ in other.records("a")] == ["y", "x"]
    other.close()
    ledger.close()


def test_a_full_disk_is_told_and_nothing_is_forgotten(tmp_path: Path) -> None:
    ledger = FileLedger(tmp_path / "db")
    ledger.note("a", "small", lambda: {"n": 1})
    ledger.flush()
    (pages,) = ledger._database.execute("PRAGMA max_page_count = 1").fetchone()  # as many as there are, and no more
    ledger.note("a", "big", lambda: {"text": "x" * 1_000_000})
    with pytest.raises(HomeError, match="full"):
        ledger.flush()
    assert [key for key, _ in ledger.records("a")] == ["small"]
    ledger._database.execute(f"PRAGMA max_page_count = {pages + 1000}")
    ledger.flush()
    assert [key for key, _ in ledger.records("a")] == ["small", "big"]
    ledger.close()


@dataclass(frozen=True)
class Inner:
    at: float
    place: Path | None = None


@dataclass
class Outer:
    name: str
    inner: Inner
    many: tuple[Inner, ...] = ()
    pair: tuple[str, int] | None = None
    kinds: frozenset[str] = frozenset()
    by_name: dict[str, Inner] = field(default_factory=dict)
    other: object = field(default=None, metadata=NOT_KEPT)


def test_dataclasses_come_back_as_they_were() -> None:
    inner = Inner(at=float("inf"), place=Path("/a"))
    outer = Outer("x", inner, (inner, Inner(1.5)), ("a", 2), frozenset("ba"), {"k": inner}, other=object())
    data = json.loads(json.dumps(to_plain(outer)))
    assert "other" not in data
    assert from_plain(Outer, data, other=outer.other) == outer
    # Data of an older version lack a field, those of a newer one have one more.
    assert from_plain(Outer, {"name": "x", "inner": {"at": 1.0}, "new": 1}) == Outer("x", Inner(1.0))


def test_what_cant_be_kept_is_an_error_at_once() -> None:
    @dataclass
    class Wrong:
        when: complex

    with pytest.raises(TypeError, match="can't be kept"):
        to_plain(Wrong(1j))
