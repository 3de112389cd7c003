"""Deployments over HTTP as the SDK sees them: its parsers, its waiter, its exceptions; played from a fleet file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aioboto3
import anyio
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from orchestrator.sandbox.fleet import FleetSpec
from orchestrator.sandbox.fleetfile import read_fleet
from orchestrator.sandbox.fleetmerge import merged_faults, merged_fleet
from orchestrator.sandbox.options import Faults, SandboxOptions
from orchestrator.sandbox.server import Endpoint, Sandbox

pytestmark = pytest.mark.anyio

GITHUB = {"revisionType": "GitHub", "gitHubLocation": {"repository": "acme/shop", "commitId": "good"}}
BAD = {"revisionType": "GitHub", "gitHubLocation": {"repository": "acme/shop", "commitId": "bad"}}
LONG = {"revisionType": "GitHub", "gitHubLocation": {"repository": "acme/shop", "commitId": "long"}}
FLEET = """
speeds: {lead: 0s, event: 20s, provision: 20s, drain: 0s}
groups:
  shop/fleet:
    instances: [{count: 2, zone: eu-west-1a}, {name: odd, zone: eu-west-1b}]
    deployment_config: CodeDeployDefault.AllAtOnce
    alarms: [p99]
    auto_rollback: [DEPLOYMENT_FAILURE, DEPLOYMENT_STOP_ON_ALARM]
  shop/green: {blue_green: {ready_wait: 48h, termination_wait: 48h}}
faults:
  - {target: shop/*, revision: bad, fails: ValidateService, script: check.sh, log: 503}
  - {target: shop/*, revision: long, stuck: true}
"""


@asynccontextmanager
async def sandbox(folder: Path, more: str = "") -> AsyncIterator[tuple[Endpoint, Any]]:
    """With a client of the SDK; 1,000 times as fast as life."""
    path = folder / "fleet.yaml"
    path.write_text(FLEET + more)
    file = read_fleet(path)
    fleet = merged_fleet(replace(file, region="eu-west-1"), FleetSpec())
    options = SandboxOptions(time_scale=1000, speeds=file.speeds, faults=merged_faults(file, Faults()))
    async with Sandbox(fleet, options).serve() as endpoint:
        env = endpoint.environment()
        session = aioboto3.Session(
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
            region_name="eu-west-1",
        )
        config = Config(retries={"total_max_attempts": 1})
        async with session.client("codedeploy", endpoint_url=endpoint.url, config=config) as client:
            yield endpoint, client


async def deploy(client: Any, group: str, revision: Any = GITHUB) -> str:
    answer = await client.create_deployment(applicationName="shop", deploymentGroupName=group, revision=revision)
    return str(answer["deploymentId"])


async def until(client: Any, deployment_id: str, **wanted: Any) -> Any:
    with anyio.fail_after(20):
        while True:
            info = (await client.get_deployment(deploymentId=deployment_id))["deploymentInfo"]
            if all(info.get(name) == value for name, value in wanted.items()):
                return info
            await anyio.sleep(0.02)


async def test_the_sdks_own_waiter_waits_for_it(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as (_, client):
        waiter = client.get_waiter("deployment_successful")
        good, delay = await deploy(client, "fleet"), {"Delay": 0.05, "MaxAttempts": 200}
        await waiter.wait(deploymentId=good, WaiterConfig=delay)
        failed = await deploy(client, "fleet", BAD)
        with pytest.raises(WaiterError):
            await waiter.wait(deploymentId=failed, WaiterConfig=delay)
        info = (await client.get_deployment(deploymentId=failed))["deploymentInfo"]
        assert info["errorInformation"]["code"] == "HEALTH_CONSTRAINTS"
        back = await until(client, info["rollbackInfo"]["rollbackDeploymentId"], status="Succeeded")
        assert back["creator"] == "codeDeployRollback"
        (target, *_) = (await client.list_deployment_targets(deploymentId=failed))["targetIds"]
        shown = await client.get_deployment_target(deploymentId=failed, targetId=target)
        event = shown["deploymentTarget"]["instanceTarget"]["lifecycleEvents"][6]
        assert event["diagnostics"]["scriptName"] == "check.sh"
        assert event["diagnostics"]["logTail"] == "503"


async def test_blue_green_from_ready_to_the_end(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as (_, client):
        deployment_id = await deploy(client, "green")
        await until(client, deployment_id, status="Ready")
        labels = {}
        for label in ("Blue", "Green"):
            filters = {"ServerInstanceLabel": [label]}
            found = await client.list_deployment_targets(deploymentId=deployment_id, targetFilters=filters)
            labels[label] = found["targetIds"]
        assert [len(ids) for ids in labels.values()] == [3, 3]
        with pytest.raises(client.exceptions.DeploymentLimitExceededException, match=deployment_id):
            await deploy(client, "green")
        await client.continue_deployment(deploymentId=deployment_id, deploymentWaitType="READY_WAIT")
        await until(client, deployment_id, instanceTerminationWaitTimeStarted=True)
        with pytest.raises(client.exceptions.DeploymentIsNotInReadyStateException):
            await client.continue_deployment(deploymentId=deployment_id, deploymentWaitType="READY_WAIT")
        await client.continue_deployment(deploymentId=deployment_id, deploymentWaitType="TERMINATION_WAIT")
        assert (await until(client, deployment_id, status="Succeeded"))["deploymentOverview"]["Succeeded"] == 6
        with pytest.raises(client.exceptions.DeploymentAlreadyCompletedException):
            await client.continue_deployment(deploymentId=deployment_id)


async def test_an_alarm_from_outside(tmp_path: Path) -> None:
    async with sandbox(tmp_path, "calls: {latency: 10ms}") as (endpoint, client):
        good = await deploy(client, "fleet")
        await until(client, good, status="Succeeded")
        stopped = await deploy(client, "fleet", LONG)
        await until(client, stopped, status="InProgress")
        endpoint.controls.set_alarm("p99", "on")
        info = await until(client, stopped, status="Stopped")
        assert info["errorInformation"]["code"] == "ALARM_ACTIVE"
        await until(client, info["rollbackInfo"]["rollbackDeploymentId"], status="Succeeded")


async def test_the_files_throttling_by_operation(tmp_path: Path) -> None:
    async with sandbox(tmp_path, "calls: {throttled: {ListApplications: 0.001}}") as (endpoint, client):
        await client.list_applications()
        with pytest.raises(ClientError, match="ThrottlingException"):
            await client.list_applications()
        await client.list_deployment_configs()
        assert endpoint.calls.total("ListApplications", "ThrottlingException") == 1


async def test_lost_answers_of_creates(tmp_path: Path) -> None:
    lost = "calls: {reset_after: 100%, operations: [CreateDeployment], times: 1}"
    async with sandbox(tmp_path, lost) as (endpoint, client):
        with pytest.raises(BotoCoreError):  # the connection is gone, with the answer
            await deploy(client, "fleet", LONG)
        assert len(endpoint.deployments("shop", "fleet")) == 1  # carried out all the same
        with pytest.raises(client.exceptions.DeploymentLimitExceededException):
            await deploy(client, "fleet", LONG)
