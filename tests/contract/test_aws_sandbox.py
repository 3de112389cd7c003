"""The adapters of aws/ against the sandbox, over the wire: S3, CodeDeploy and STS as the SDK speaks them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from orchestrator.app.uploads import Opened, Place, Stored, Uploads
from orchestrator.aws import AwsSession, Backoff, Buffers, CodeDeployTransport, ObjectStore, caller_identity
from orchestrator.aws.parts import PART_SIZE
from orchestrator.bundle.source import digest
from orchestrator.bundle.source import open_source as open_bundle
from orchestrator.core.errors import AnswerLostError, CredentialsError, RefusedError, ThrottledError
from orchestrator.core.model import NO_OBJECT_SETTINGS, BundleSource, Location
from orchestrator.sandbox.fleet import BucketSpec, FleetSpec, GroupSpec
from orchestrator.sandbox.options import Faults, SandboxOptions
from orchestrator.sandbox.server import Endpoint, Sandbox

pytestmark = pytest.mark.anyio

REGION = "eu-west-1"
HERE = Location(region=REGION)
OTHER_ACCOUNT = "222222222222"
ROLE = Location(region=REGION, role_arn=f"arn:aws:iam::{OTHER_ACCOUNT}:role/deploy")
REVISION = {"revisionType": "GitHub", "gitHubLocation": {"repository": "acme/web", "commitId": "a" * 40}}
FLEET = FleetSpec(
    groups=(
        GroupSpec(application="shop", deployment_group="fleet", region=REGION),
        GroupSpec(application="shop", deployment_group="fleet", region=REGION, account=OTHER_ACCOUNT),
    ),
    buckets=(
        BucketSpec(name="versioned", region=REGION),
        BucketSpec(name="plain", region=REGION, versioned=False),
        BucketSpec(name="far-away", region="us-west-2"),
    ),
)
BIG = 2 * PART_SIZE + 77


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(slots=True)
class Bench:
    sandbox: Endpoint
    session: AwsSession

    @property
    def transport(self) -> CodeDeployTransport:
        return CodeDeployTransport(self.session, HERE)

    @property
    def store(self) -> ObjectStore:
        return ObjectStore(
            self.session, HERE, backoff=Backoff(base=0.01, attempts=8), patience=Backoff(base=0.01, attempts=8)
        )

    async def uploads_left(self, bucket: str = "versioned") -> int:
        answer = await self.session.call("s3", HERE, "ListMultipartUploads", {"Bucket": bucket})
        return len(answer.get("Uploads") or ())


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(FLEET, SandboxOptions(time_scale=0)).serve())
        session = await stack.enter_async_context(AwsSession(endpoint_environment=sandbox.environment()))
        yield Bench(sandbox, session)


def buffers() -> Buffers:
    return Buffers(3 * PART_SIZE)


def file_of(folder: Path, size: int) -> Path:
    path = folder / "bundle.tgz"
    path.write_bytes(os.urandom(size))
    return path


async def create(transport: CodeDeployTransport) -> str:
    answer = await transport.call(
        "CreateDeployment", {"applicationName": "shop", "deploymentGroupName": "fleet", "revision": REVISION}
    )
    return str(answer["deploymentId"])


# --- CodeDeploy ------------------------------------------------------------------------------------------------------


async def test_a_deployment_from_its_creation_to_its_end(bench: Bench) -> None:
    deployment_id = await create(bench.transport)
    answer = await bench.transport.call("BatchGetDeployments", {"deploymentIds": [deployment_id]})
    (info,) = answer["deploymentsInfo"]
    assert info["deploymentId"] == deployment_id
    assert info["status"] == "Succeeded"
    assert isinstance(info["createTime"], float)
    assert info["revision"] == REVISION
    assert None not in info.values()


async def test_a_refusal_has_code_and_request_id(bench: Bench) -> None:
    with pytest.raises(RefusedError) as caught:
        await bench.transport.call("GetDeployment", {"deploymentId": "d-NOTTHERE1"})
    assert caught.value.code == "DeploymentDoesNotExistException"
    assert caught.value.request_id


@pytest.mark.parametrize(
    ("faults", "created"),
    [(Faults(reset_before=1.0), 0), (Faults(reset_after=1.0), 1), (Faults(error_rate=1.0), 0)],
    ids=["reset before", "reset after", "500"],
)
async def test_create_deployment_is_sent_once_whatever_happens(bench: Bench, faults: Faults, created: int) -> None:
    await bench.transport.call("ListApplications", {})
    bench.sandbox.set_faults(faults)
    bench.sandbox.calls.clear()
    with pytest.raises(AnswerLostError):
        await create(bench.transport)
    assert bench.sandbox.calls.total("CreateDeployment") == 1
    assert len(bench.sandbox.deployments()) == created


async def test_throttling_and_expiry_are_told_apart(bench: Bench) -> None:
    bench.sandbox.set_faults(Faults(throttle=0.001))
    await bench.transport.call("ListApplications", {})
    with pytest.raises(ThrottledError):
        await bench.transport.call("ListApplications", {})
    bench.sandbox.set_faults(Faults(expired=True))
    with pytest.raises(CredentialsError) as caught:
        await bench.transport.call("ListApplications", {})
    assert "renew" in str(caught.value.hint)


async def test_keys_that_nobody_issued_are_a_matter_of_credentials(bench: Bench) -> None:
    environment = {**bench.sandbox.environment(), "AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"}
    async with AwsSession(endpoint_environment=environment) as session:
        with pytest.raises(CredentialsError):
            await CodeDeployTransport(session, HERE).call("ListApplications", {})


async def test_a_role_leads_to_its_account(bench: Bench) -> None:
    deployment_id = await create(CodeDeployTransport(bench.session, ROLE))
    (deployment,) = bench.sandbox.deployments()
    assert (deployment.id, deployment.account) == (deployment_id, OTHER_ACCOUNT)
    assert bench.sandbox.calls.total("AssumeRole") == 1
    identity = await caller_identity(bench.session, ROLE)
    assert identity.account == OTHER_ACCOUNT
    assert identity.arn.endswith("assumed-role/deploy/orchestrator")
    assert (await caller_identity(bench.session, HERE)).account != OTHER_ACCOUNT


async def test_an_empty_region_is_the_one_of_the_environment(bench: Bench) -> None:
    answer = await CodeDeployTransport(bench.session, Location(region="")).call("ListApplications", {})
    assert answer["applications"] == ["shop"]


# --- S3 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1000, BIG])
async def test_what_is_put_is_there(bench: Bench, tmp_path: Path, size: int) -> None:
    path = file_of(tmp_path, size)
    put = await bench.store.put_file("versioned", "a b/ü.tgz", path, metadata={"digest": "sha256:1"}, buffers=buffers())
    assert put.version_id
    assert '"' not in put.etag
    found = await bench.store.head("versioned", "a b/ü.tgz", checksum=True)
    assert found == put
    assert await bench.store.head("versioned", "a b/ü.tgz", put.version_id, checksum=True) == put
    assert await bench.store.get_bytes("versioned", "a b/ü.tgz") == path.read_bytes()
    assert await bench.uploads_left() == 0


async def test_a_bucket_without_versions_gives_none(bench: Bench, tmp_path: Path) -> None:
    put = await bench.store.put_file("plain", "k", file_of(tmp_path, 10), metadata={}, buffers=buffers())
    assert put.version_id is None


async def test_what_is_not_there_is_none_and_a_missing_bucket_is_named(bench: Bench, tmp_path: Path) -> None:
    assert await bench.store.head("versioned", "nothing") is None
    for size in (10, BIG):
        with pytest.raises(RefusedError) as caught:
            await bench.store.put_file("no-such-bucket", "k", file_of(tmp_path, size), metadata={}, buffers=buffers())
        assert caught.value.code == "NoSuchBucket"
        assert "create the bucket" in str(caught.value.hint)


async def test_an_upload_survives_resets_and_500s(bench: Bench, tmp_path: Path) -> None:
    path = file_of(tmp_path, BIG)
    await bench.store.head("versioned", "k")
    bench.sandbox.set_faults(Faults(error_rate=0.15, reset_before=0.15, reset_after=0.15, services=frozenset({"s3"})))
    await bench.store.put_file("versioned", "k", path, metadata={}, buffers=buffers())
    bench.sandbox.set_faults(Faults())
    assert await bench.store.get_bytes("versioned", "k") == path.read_bytes()
    assert await bench.uploads_left() == 0


async def test_an_upload_that_fails_leaves_nothing_behind(bench: Bench, tmp_path: Path) -> None:
    await bench.store.head("versioned", "k")
    bench.sandbox.set_faults(Faults(error_rate=1.0, operations=("UploadPart",), services=frozenset({"s3"})))
    with pytest.raises(AnswerLostError):
        await bench.store.put_file("versioned", "k", file_of(tmp_path, BIG), metadata={}, buffers=buffers())
    assert await bench.uploads_left() == 0


async def test_an_upload_that_is_cancelled_leaves_nothing_behind(bench: Bench, tmp_path: Path) -> None:
    path = file_of(tmp_path, 6 * PART_SIZE)
    first_part = anyio.Event()
    one_at_a_time = Buffers(PART_SIZE)

    async def put() -> None:
        await bench.store.put_file(
            "versioned", "k", path, metadata={}, buffers=one_at_a_time, progress=lambda _: first_part.set()
        )

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(put)
        await first_part.wait()
        assert await bench.uploads_left() == 1
        tasks.cancel_scope.cancel()
    assert await bench.uploads_left() == 0
    assert await bench.store.head("versioned", "k") is None
    assert one_at_a_time.taken == 0
    names = {task.name for task in anyio.get_running_tasks() if task.name}
    assert not any("_work" in name for name in names)


async def test_expired_credentials_end_an_upload_at_once(bench: Bench, tmp_path: Path) -> None:
    bench.sandbox.set_faults(Faults(expired=True, services=frozenset({"s3"})))
    with pytest.raises(CredentialsError):
        await bench.store.put_file("versioned", "k", file_of(tmp_path, BIG), metadata={}, buffers=buffers())
    with pytest.raises(CredentialsError):
        await bench.store.head("versioned", "k")


async def test_a_bucket_of_another_region_is_reached(bench: Bench, tmp_path: Path) -> None:
    put = await bench.store.put_file("far-away", "k", file_of(tmp_path, 10), metadata={}, buffers=buffers())
    assert await bench.store.head("far-away", "k", checksum=True) == put


@pytest.mark.parametrize("size", [1000, BIG])
async def test_a_bundle_for_another_region_is_copied_there_by_s3(bench: Bench, tmp_path: Path, size: int) -> None:
    (tmp_path / "appspec.yml").write_text("version: 0.0\nos: linux\nfiles: []\n")
    file_of(tmp_path, size)
    bundle = open_bundle(BundleSource(path=tmp_path, bucket="versioned", prefix=""))
    opened = Opened(bundle, digest(bundle))
    far = Location(region="us-west-2")
    told: list[str] = []
    uploads = Uploads({each: ObjectStore(bench.session, each) for each in (HERE, far)}, tell=told.append)

    async def ensure(location: Location, bucket: str) -> Stored:
        place = Place(location=location, bucket=bucket, key="shop/x.tgz", settings=NO_OBJECT_SETTINGS)
        return await uploads.ensure(opened, place)

    first, second = await ensure(HERE, "versioned"), await ensure(far, "far-away")
    assert (first.copied_from, second.copied_from, told) == (None, "s3://versioned/shop/x.tgz", [])
    assert (second.info.size, second.info.checksum) == (first.info.size, first.info.checksum)
    content = await ObjectStore(bench.session, far).get_bytes("far-away", "shop/x.tgz", second.info.version_id)
    assert content == await bench.store.get_bytes("versioned", "shop/x.tgz")
