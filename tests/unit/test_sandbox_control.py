"""The commands on a running sandbox: what they ask it for, and what it answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from anyio import to_thread
from signed import Caller, root_keys

from orchestrator.cli.show_sandbox import logs_as_text, status_as_text
from orchestrator.sandbox.fleet import BucketSpec, FleetSpec, GroupSpec
from orchestrator.sandbox.options import Failure, Faults, SandboxOptions
from orchestrator.sandbox.remote import Remote, RemoteError, read_exports
from orchestrator.sandbox.server import Sandbox, export_lines

REGION = "eu-west-1"
GITHUB = {"revisionType": "GitHub", "gitHubLocation": {"repository": "acme/shop", "commitId": "abc"}}
FLEET = FleetSpec(
    groups=tuple(GroupSpec(application="app", deployment_group=name, region=REGION) for name in ("good", "bad")),
    buckets=(BucketSpec(name="bucket", region=REGION),),
)
FAULTS = Faults(failures=(Failure(target="app/bad", event="AfterInstall", log_tail="one\ntwo"),))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


Ask = Callable[..., Awaitable[dict[str, Any]]]


@asynccontextmanager
async def running(data: Path | None = None) -> AsyncIterator[tuple[Caller, Ask]]:
    options = SandboxOptions(time_scale=0, faults=FAULTS, data=data)
    async with Sandbox(FLEET, options).serve() as endpoint, aiohttp.ClientSession() as session:
        remote = Remote(read_exports(export_lines(endpoint)))

        async def ask(method: str, *path: str) -> dict[str, Any]:
            return await to_thread.run_sync(remote.ask, method, *path)

        yield Caller(session, endpoint.url, root_keys(endpoint), REGION), ask


async def deploy(aws: Caller, group: str, **more: Any) -> str:
    made = await aws.ok("CreateDeployment", applicationName="app", deploymentGroupName=group, revision=GITHUB, **more)
    deployment_id: str = made["deploymentId"]
    return deployment_id


@pytest.mark.anyio
async def test_status_tells_what_there_is() -> None:
    async with running() as (aws, ask):
        good, bad = await deploy(aws, "good"), await deploy(aws, "bad")
        await aws.s3("PUT", "/bucket/k", b"12345")
        status = await ask("GET", "status")
        groups = {one["deployment_group"]: one for one in status["groups"]}
        assert groups["good"]["last_deployment"]["deployment_id"] == good
        assert groups["bad"]["last_deployment"]["status"] == "Failed"
        assert len(groups["good"]["instances"]) == 3
        assert status["buckets"] == [
            {"name": "bucket", "account": "000000000000", "region": REGION, "objects": 1, "bytes": 5}
        ]
        text = status_as_text({"url": "http://x", **status})
        # What has failed comes first.
        assert text.index(bad) < text.index(good)
        assert "Succeeded=3" in text
        assert "alarms: all off" in text


@pytest.mark.anyio
async def test_an_alarm_stops_what_watches_it_and_is_remembered(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as (aws, ask):
        alarms = {"enabled": True, "alarms": [{"name": "shop p99/eu"}]}
        await aws.ok(
            "UpdateDeploymentGroup",
            applicationName="app",
            currentDeploymentGroupName="good",
            alarmConfiguration=alarms,
        )
        assert (await ask("PUT", "alarm", "shop p99/eu", "on"))["alarms"] == {"shop p99/eu": "on"}
    async with running(tmp_path / "data") as (aws, ask):
        assert (await ask("GET", "status"))["alarms"] == {"shop p99/eu": "on"}
        info = (await aws.ok("GetDeployment", deploymentId=await deploy(aws, "good")))["deploymentInfo"]
        assert (info["status"], info["errorInformation"]["code"]) == ("Stopped", "ALARM_ACTIVE")
        await ask("PUT", "alarm", "shop p99/eu", "off")
        info = (await aws.ok("GetDeployment", deploymentId=await deploy(aws, "good")))["deploymentInfo"]
        assert info["status"] == "Succeeded"


@pytest.mark.anyio
async def test_an_instance_stops_and_starts_and_its_log_tells_why_it_failed(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as (aws, ask):
        groups = (await ask("GET", "status"))["groups"]
        name = next(one for one in groups if one["deployment_group"] == "bad")["instances"][0]
        failed = await deploy(aws, "bad")
        log = (await ask("GET", "logs", name))["instances"][0]
        assert [one["deployment_id"] for one in log["deployments"]] == [failed]
        text = logs_as_text({"instances": [log]})
        assert "AfterInstall: ScriptFailed: scripts/start.sh:" in text
        assert "      two" in text
        (stopped,) = (await ask("PUT", "instance", name, "stop"))["instances"]
        assert (stopped["id"], stopped["is_running"]) == (name, False)
    async with running(tmp_path / "data") as (_, ask):
        assert [one["id"] for one in (await ask("GET", "status"))["instances"] if not one["is_running"]] == [name]
        (started,) = (await ask("PUT", "instance", name, "start"))["instances"]
        assert started["is_running"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", ("logs", "i-none"), "no instance 'i-none'"),
        ("PUT", ("instance", "i-none", "stop"), "no instance 'i-none'"),
        ("PUT", ("alarm", "x", "maybe"), "has no PUT"),
        ("GET", ("nonsense",), "has no GET"),
    ],
)
async def test_what_it_refuses(method: str, path: tuple[str, ...], message: str) -> None:
    async with running() as (_, ask):
        with pytest.raises(RemoteError, match=message) as caught:
            await ask(method, *path)
        assert caught.value.is_input


@pytest.mark.anyio
async def test_only_who_has_its_keys() -> None:
    async with running() as (aws, _):
        for environment in (
            {"AWS_ENDPOINT_URL": aws.url, "AWS_ACCESS_KEY_ID": aws.keys.key, "AWS_SECRET_ACCESS_KEY": "wrong"},
            {"AWS_ENDPOINT_URL": aws.url},
        ):
            with pytest.raises(RemoteError):
                await to_thread.run_sync(Remote(environment).ask, "GET", "status")
        async with aws.session.get(f"{aws.url}/_sandbox/status") as response:
            assert response.status == 403


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "AWS_ENDPOINT_URL is not set"),
        ({"AWS_ENDPOINT_URL": "https://codedeploy.eu-west-1.amazonaws.com"}, "is no sandbox"),
        ({"AWS_ENDPOINT_URL": "http://192.0.2.1:80"}, "is no sandbox"),
    ],
)
def test_variables_that_lead_elsewhere(environment: dict[str, str], message: str) -> None:
    with pytest.raises(RemoteError, match=message):
        Remote(environment)


def test_a_hundred_groups_are_a_page() -> None:
    group = {"region": "r", "account": "a", "platform": "Server", "instances": [], "application": "app"}
    groups = [{**group, "deployment_group": f"g{n}", "last_deployment": None} for n in range(100)]
    more: dict[str, Any] = {"time_scale": 0, "data": None, "instances": [], "alarms": {}, "hooks": [], "buckets": []}
    text = status_as_text({"url": "x", "groups": groups, **more})
    assert "… and 50 more; --output json has them all" in text
