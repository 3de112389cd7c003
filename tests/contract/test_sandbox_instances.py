"""Deployments through the SDK to instances that really deploy: what their folders hold, and what the service tells."""

from __future__ import annotations

import io
import subprocess
import zipfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aioboto3
import anyio
import pytest
from botocore.config import Config

from orchestrator.sandbox.agent.bubble import Tools
from orchestrator.sandbox.fleet import BucketSpec, FleetSpec, GroupSpec
from orchestrator.sandbox.options import SandboxOptions
from orchestrator.sandbox.rehearsal import Hooks, agents_maker
from orchestrator.sandbox.server import Sandbox

pytestmark = pytest.mark.anyio

FLEET = FleetSpec(
    groups=(
        GroupSpec(
            application="shop",
            deployment_group="web",
            region="eu-west-1",
            instances=2,
            deployment_config="CodeDeployDefault.AllAtOnce",
        ),
    ),
    buckets=(BucketSpec(name="releases", region="eu-west-1"),),
)
APPSPEC = "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: /var/www/shop\n"
STOP = "hooks:\n  ApplicationStop:\n    - location: stop.sh\n"


@dataclass
class Service:
    codedeploy: Any
    s3: Any
    instances: Path

    async def put(self, key: str, files: Mapping[str, str]) -> dict[str, str]:
        """A zip in S3; its location."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        answer = await self.s3.put_object(Bucket="releases", Key=key, Body=content.getvalue())
        return {
            "bucket": "releases",
            "key": key,
            "bundleType": "zip",
            "version": answer["VersionId"],
            "eTag": answer["ETag"],
        }

    async def deploy(self, revision: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
        """How it ended, and the lifecycle events of the first instance."""
        created = await self.codedeploy.create_deployment(
            applicationName="shop", deploymentGroupName="web", revision=revision
        )
        number = created["deploymentId"]
        with anyio.fail_after(60):
            while True:
                info = (await self.codedeploy.get_deployment(deploymentId=number))["deploymentInfo"]
                if info["status"] in {"Succeeded", "Failed", "Stopped"}:
                    break
                await anyio.sleep(0.05)
        targets = (await self.codedeploy.list_deployment_targets(deploymentId=number))["targetIds"]
        found = await self.codedeploy.get_deployment_target(deploymentId=number, targetId=targets[0])
        return info["status"], found["deploymentTarget"]["instanceTarget"]["lifecycleEvents"]

    async def deploy_s3(self, location: dict[str, str]) -> tuple[str, list[dict[str, Any]]]:
        return await self.deploy({"revisionType": "S3", "s3Location": location})

    async def deploy_github(self, repository: str, commit: str) -> tuple[str, list[dict[str, Any]]]:
        location = {"repository": repository, "commitId": commit}
        return await self.deploy({"revisionType": "GitHub", "gitHubLocation": location})

    def files(self) -> list[dict[str, str]]:
        """What lies below /var/www/shop on each instance."""
        return [
            {path.name: path.read_text() for path in sorted((folder / "root/var/www/shop").glob("*"))}
            for folder in sorted(self.instances.iterdir())
        ]


@asynccontextmanager
async def serving(
    folder: Path, hooks: Hooks, repositories: Mapping[str, Path] | None = None, image: Path | None = None
) -> AsyncIterator[Service]:
    agents = agents_maker(hooks, folder / "instances", repositories or {}, image=image)
    async with Sandbox(FLEET, SandboxOptions(time_scale=0), agents=agents).serve() as endpoint:
        keys = endpoint.environment()
        session = aioboto3.Session(
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
            region_name="eu-west-1",
        )
        once = Config(retries={"total_max_attempts": 1})
        async with (
            session.client("codedeploy", endpoint_url=endpoint.url, config=once) as codedeploy,
            session.client("s3", endpoint_url=endpoint.url, config=once) as s3,
        ):
            yield Service(codedeploy, s3, folder / "instances")


def failed(events: list[dict[str, Any]]) -> tuple[str, dict[str, str]]:
    """The event that failed, and its diagnostics."""
    event = next(event for event in events if event["status"] == "Failed")
    return event["lifecycleEventName"], event["diagnostics"]


async def test_each_instance_holds_what_was_deployed(tmp_path: Path, tools: Tools) -> None:
    stop = '#!/bin/sh\necho "$LIFECYCLE_EVENT of $APPLICATION_NAME, from $BUNDLE_KEY" > /var/www/stopped\n'
    async with serving(tmp_path, "run") as service:
        one = await service.put("1.zip", {"appspec.yml": APPSPEC + STOP, "site/a": "1", "site/b": "1", "stop.sh": stop})
        assert (await service.deploy_s3(one))[0] == "Succeeded"
        assert service.files() == [{"a": "1", "b": "1"}] * 2
        two = await service.put("2.zip", {"appspec.yml": APPSPEC, "site/a": "2"})
        assert (await service.deploy_s3(two))[0] == "Succeeded"
        assert service.files() == [{"a": "2"}] * 2
    for folder in service.instances.iterdir():
        assert (folder / "root/var/www/stopped").read_text() == "ApplicationStop of shop, from 2.zip\n"


async def test_a_script_that_fails_is_told_as_the_service_tells_it(tmp_path: Path, tools: Tools) -> None:
    appspec = APPSPEC + "hooks:\n  ValidateService:\n    - location: check.sh\n"
    async with serving(tmp_path, "run") as service:
        check = "#!/bin/sh\necho looking\necho 'not there' >&2\nexit 4\n"
        location = await service.put("1.zip", {"appspec.yml": appspec, "site/a": "1", "check.sh": check})
        status, events = await service.deploy_s3(location)
    assert status == "Failed"
    name, told = failed(events)
    assert name == "ValidateService"
    assert told["errorCode"] == "ScriptFailed"
    assert told["scriptName"] == "check.sh"
    assert told["message"] == "Script at specified location: check.sh failed with exit code 4"
    assert "[stdout]looking\n" in told["logTail"]
    assert "[stderr]not there\n" in told["logTail"]
    assert [event["status"] for event in events][:6] == ["Succeeded"] * 6


async def test_programs_of_an_image_stand_in_for_those_of_a_server(tmp_path: Path, tools: Tools) -> None:
    """In a folder that this machine has, too, whose other programs are still there."""
    programs = tmp_path / "image" / "usr" / "bin"
    programs.mkdir(parents=True)
    (programs / "stand-in").write_text("#!/bin/sh\necho called with $1 >> /var/calls\n")
    (programs / "stand-in").chmod(0o755)
    appspec = APPSPEC + "hooks:\n  ApplicationStart:\n    - location: start.sh\n"
    async with serving(tmp_path, "run", image=tmp_path / "image") as service:
        start = "#!/usr/bin/env bash\nset -eu\nstand-in start\nstand-in enable\n"
        location = await service.put("1.zip", {"appspec.yml": appspec, "site/a": "1", "start.sh": start})
        assert (await service.deploy_s3(location))[0] == "Succeeded"
    for folder in service.instances.iterdir():
        assert (folder / "root/var/calls").read_text() == "called with start\ncalled with enable\n"


async def test_a_script_that_is_missing_is_noticed_without_running_any(tmp_path: Path) -> None:
    appspec = APPSPEC + "hooks:\n  AfterInstall:\n    - location: none.sh\n"
    async with serving(tmp_path, "skip") as service:
        location = await service.put("1.zip", {"appspec.yml": appspec, "site/a": "1"})
        status, events = await service.deploy_s3(location)
    assert (status, failed(events)[0], failed(events)[1]["errorCode"]) == ("Failed", "AfterInstall", "ScriptMissing")


async def test_a_bundle_that_has_changed_since_is_not_deployed(tmp_path: Path) -> None:
    async with serving(tmp_path, "skip") as service:
        old = await service.put("1.zip", {"appspec.yml": APPSPEC, "site/a": "1"})
        new = await service.put("1.zip", {"appspec.yml": APPSPEC, "site/a": "2"})
        status, events = await service.deploy_s3({**new, "eTag": old["eTag"]})
        assert status == "Failed"
        name, told = failed(events)
        assert name == "DownloadBundle"
        assert told["errorCode"] == "UnknownError"
        assert "etag" in told["message"]
        assert (await service.deploy_s3(old))[0] == "Succeeded"
        assert service.files() == [{"a": "1"}] * 2


def commit_site(clone: Path) -> str:
    """A repository with one commit, which it returns."""
    (clone / "site").mkdir(parents=True)
    (clone / "appspec.yml").write_text(APPSPEC)
    (clone / "site" / "a").write_text("from git")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    for command in (["init", "--quiet"], ["add", "."], [*who, "commit", "--quiet", "--message", "first"]):
        subprocess.run(["git", "-C", clone, *command], check=True)
    return subprocess.check_output(["git", "-C", clone, "rev-parse", "HEAD"], text=True).strip()


async def test_a_commit_comes_from_the_clone(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    head = commit_site(clone)
    async with serving(tmp_path, "skip", {"acme/shop": clone}) as service:
        assert (await service.deploy_github("acme/shop", head))[0] == "Succeeded"
        assert service.files() == [{"a": "from git"}] * 2
        for repository, commit, said in (
            ("acme/shop", "0" * 40, "no commit"),
            ("acme/shop", "--output=/tmp/x", "no commit"),
            ("acme/other", head, "repositories"),
        ):
            status, events = await service.deploy_github(repository, commit)
            assert (status, failed(events)[0]) == ("Failed", "DownloadBundle")
            assert said in failed(events)[1]["message"]
