"""The stock AWS CLI against the sandbox: what works here, works with it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from rig import Programs

from orchestrator.sandbox.fleet import BucketSpec, FleetSpec, GroupSpec
from orchestrator.sandbox.options import Failure, Faults, SandboxOptions, stuck
from orchestrator.sandbox.server import Endpoint, Sandbox

pytestmark = pytest.mark.anyio

REGION = "eu-west-1"
FLEET = FleetSpec(
    groups=tuple(
        GroupSpec(application="shop", deployment_group=group, region=REGION) for group in ("blue", "stuck", "bad")
    ),
    buckets=(BucketSpec(name="releases", region=REGION),),
)
FAULTS = Faults(failures=(Failure(target="shop/bad", log_tail="one\ntwo"),), slow=(stuck("shop/stuck"),))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True)
class Cli:
    endpoint: Endpoint
    home: Path
    program: str

    async def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        found = await anyio.run_process(
            [self.program, *arguments],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_PAGER": "",
                **self.endpoint.environment(),
                **environment,
            },
            cwd=self.home,
            check=False,
        )
        return found.returncode, found.stdout.decode(), found.stderr.decode()

    async def text(self, *arguments: str, **environment: str) -> str:
        code, out, error = await self.run(*arguments, **environment)
        assert code == 0, error
        return out

    async def json(self, *arguments: str, **environment: str) -> Any:
        out = await self.text(*arguments, "--output", "json", **environment)
        return json.loads(out) if out.strip() else None

    async def error(self, *arguments: str, **environment: str) -> str:
        code, _, error = await self.run(*arguments, **environment)
        assert code in (254, 255), (code, error)
        return error

    async def deploy(self, group: str, *arguments: str) -> str:
        answer = await self.json(
            "deploy", "create-deployment", "--application-name", "shop", "--deployment-group-name", group,
            "--github-location", "repository=acme/shop,commitId=abc", *arguments,
        )  # fmt: skip
        deployment_id: str = answer["deploymentId"]
        return deployment_id


@pytest.fixture
async def cli(anyio_backend: str, programs: Programs) -> AsyncIterator[Cli]:
    with tempfile.TemporaryDirectory() as home:
        async with Sandbox(FLEET, SandboxOptions(time_scale=0, faults=FAULTS)).serve() as endpoint:
            yield Cli(endpoint, Path(home), str(programs.aws))


def bundle(folder: Path, size: int) -> Path:
    folder.mkdir()
    (folder / "appspec.yml").write_text("version: 0.0\nos: linux\nfiles: []\n")
    (folder / "data.bin").write_bytes(os.urandom(size))
    return folder


@pytest.mark.parametrize("size", [1000, 7 * 1024**2], ids=["one put", "multipart"])
async def test_push_then_deploy_then_wait(cli: Cli, size: int) -> None:
    source = bundle(cli.home / "app", size)
    pushed = await cli.text(
        "deploy", "push", "--application-name", "shop", "--s3-location", "s3://releases/shop.zip",
        "--source", str(source),
    )  # fmt: skip
    # It prints the command that deploys what it has pushed, with eTag and version; the rest is ours to fill in.
    location = pushed.split("--s3-location ")[1].split()[0]
    assert "eTag=" in location
    assert "version=" in location
    assert (size > 6 * 1024**2) == ("-" in location.split("eTag=")[1].split(",")[0])
    answer = await cli.json(
        "deploy", "create-deployment", "--application-name", "shop", "--deployment-group-name", "blue",
        "--s3-location", location, "--description", "by the CLI",
    )  # fmt: skip
    deployment_id = answer["deploymentId"]
    await cli.text("deploy", "wait", "deployment-successful", "--deployment-id", deployment_id)
    got = await cli.json("deploy", "get-deployment", "--deployment-id", deployment_id)
    assert got["deploymentInfo"]["status"] == "Succeeded"
    assert got["deploymentInfo"]["description"] == "by the CLI"
    assert got["deploymentInfo"]["deploymentOverview"]["Succeeded"] == 3
    revision = await cli.json(
        "deploy", "get-application-revision", "--application-name", "shop", "--s3-location", location
    )
    assert revision["revisionInfo"]["deploymentGroups"] == ["blue"]
    assert revision["revisionInfo"]["description"].startswith("Uploaded by AWS CLI")


async def test_batch_list_and_instances(cli: Cli) -> None:
    first = await cli.deploy("blue")
    second = await cli.deploy("blue")
    batch = await cli.json("deploy", "batch-get-deployments", "--deployment-ids", first, second, "d-UNKNOWN00")
    assert [one["deploymentId"] for one in batch["deploymentsInfo"]] == [first, second]
    listed = await cli.json(
        "deploy", "list-deployments", "--application-name", "shop", "--deployment-group-name", "blue",
        "--include-only-statuses", "Succeeded",
    )  # fmt: skip
    assert listed["deployments"] == [second, first]
    targets = (await cli.json("deploy", "list-deployment-targets", "--deployment-id", first))["targetIds"]
    assert len(targets) == 3
    target = await cli.json("deploy", "get-deployment-target", "--deployment-id", first, "--target-id", targets[0])
    assert target["deploymentTarget"]["instanceTarget"]["status"] == "Succeeded"
    assert len(target["deploymentTarget"]["instanceTarget"]["lifecycleEvents"]) == 7


async def test_failure_and_stop(cli: Cli) -> None:
    failed, stuck_one = await cli.deploy("bad"), await cli.deploy("stuck")
    code, _, error = await cli.run("deploy", "wait", "deployment-successful", "--deployment-id", failed)
    assert code == 255
    assert "terminal failure" in error
    info = (await cli.json("deploy", "get-deployment", "--deployment-id", failed))["deploymentInfo"]
    assert info["errorInformation"]["code"] == "HEALTH_CONSTRAINTS"
    target = (await cli.json("deploy", "list-deployment-targets", "--deployment-id", failed))["targetIds"][0]
    shown = await cli.json("deploy", "batch-get-deployment-targets", "--deployment-id", failed, "--target-ids", target)
    events = shown["deploymentTargets"][0]["instanceTarget"]["lifecycleEvents"]
    broken = next(event for event in events if event["status"] == "Failed")
    assert broken["lifecycleEventName"] == "ApplicationStart"
    assert broken["diagnostics"]["logTail"] == "one\ntwo"
    assert "DeploymentLimitExceededException" in await cli.error(
        "deploy", "create-deployment", "--application-name", "shop", "--deployment-group-name", "stuck",
        "--github-location", "repository=acme/shop,commitId=abc",
    )  # fmt: skip
    stopped = await cli.json("deploy", "stop-deployment", "--deployment-id", stuck_one)
    assert stopped["status"] == "Succeeded"
    assert "DeploymentAlreadyCompletedException" in await cli.error(
        "deploy", "stop-deployment", "--deployment-id", stuck_one
    )


async def test_making_an_application(cli: Cli) -> None:
    await cli.json("deploy", "create-application", "--application-name", "new", "--compute-platform", "Server")
    made = await cli.json(
        "deploy", "create-deployment-group", "--application-name", "new", "--deployment-group-name", "all",
        "--service-role-arn", "arn:aws:iam::000000000000:role/deploy",
        "--deployment-config-name", "CodeDeployDefault.AllAtOnce",
        "--ec2-tag-filters", "Key=Name,Value=web,Type=KEY_AND_VALUE",
        "--auto-rollback-configuration", "enabled=true,events=DEPLOYMENT_FAILURE",
    )  # fmt: skip
    await cli.text(
        "deploy", "register-application-revision", "--application-name", "new",
        "--github-location", "repository=acme/shop,commitId=abc",
    )  # fmt: skip
    group = await cli.json(
        "deploy", "get-deployment-group", "--application-name", "new", "--deployment-group-name", "all"
    )
    assert group["deploymentGroupInfo"]["deploymentGroupId"] == made["deploymentGroupId"]
    assert group["deploymentGroupInfo"]["autoRollbackConfiguration"]["events"] == ["DEPLOYMENT_FAILURE"]
    revisions = await cli.json("deploy", "list-application-revisions", "--application-name", "new")
    assert revisions["revisions"][0]["gitHubLocation"]["commitId"] == "abc"


async def test_refusals(cli: Cli) -> None:
    unknown = ("deploy", "get-deployment", "--deployment-id")
    assert "DeploymentDoesNotExistException" in await cli.error(*unknown, "d-UNKNOWN00")
    assert "InvalidDeploymentIdException" in await cli.error(*unknown, "nonsense")
    assert "UnrecognizedClientException" in await cli.error(*unknown, "d-UNKNOWN00", AWS_ACCESS_KEY_ID="AKIAFOREIGN")
    assert "NoSuchBucket" in await cli.error("s3api", "list-objects-v2", "--bucket", "missing")


async def test_s3(cli: Cli) -> None:
    (cli.home / "big.bin").write_bytes(os.urandom(9 * 1024**2))
    (cli.home / "small.txt").write_text("hello")
    await cli.text("s3", "mb", "s3://fresh")
    await cli.text("s3", "cp", "big.bin", "s3://fresh/deep/big.bin")
    await cli.text("s3", "cp", "small.txt", "s3://fresh/small.txt")
    assert [line.split()[-1] for line in (await cli.text("s3", "ls", "s3://fresh")).splitlines()] == [
        "deep/",
        "small.txt",
    ]
    await cli.text("s3", "cp", "s3://fresh/deep/big.bin", "back.bin")
    assert (cli.home / "back.bin").read_bytes() == (cli.home / "big.bin").read_bytes()
    code, _, error = await cli.run("s3", "rb", "s3://fresh")
    assert code == 1
    assert "BucketNotEmpty" in error
    await cli.text("s3", "rb", "s3://fresh", "--force")
    assert "fresh" not in await cli.text("s3", "ls")


async def test_sts_and_another_account(cli: Cli) -> None:
    assert (await cli.json("sts", "get-caller-identity"))["Account"] == "000000000000"
    answer = await cli.json(
        "sts", "assume-role", "--role-arn", "arn:aws:iam::111111111111:role/deploy", "--role-session-name", "test"
    )
    keys = {
        "AWS_ACCESS_KEY_ID": answer["Credentials"]["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": answer["Credentials"]["SecretAccessKey"],
        "AWS_SESSION_TOKEN": answer["Credentials"]["SessionToken"],
    }
    assert (await cli.json("sts", "get-caller-identity", **keys))["Account"] == "111111111111"
    assert (await cli.json("deploy", "list-applications", **keys))["applications"] == []
    keys["AWS_SESSION_TOKEN"] = "stolen"
    assert "UnrecognizedClientException" in await cli.error("deploy", "list-applications", **keys)
