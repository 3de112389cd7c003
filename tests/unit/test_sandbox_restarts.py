"""Deployments that the end of the sandbox interrupts: they go on as if it had never ended."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from service import BAD, REGION, Service, serving

from orchestrator.sandbox.fleet import BlueGreenSpec, FleetSpec, GroupSpec, InstanceSpec
from orchestrator.sandbox.options import Failure, Faults, SandboxOptions

pytestmark = pytest.mark.anyio

START = 1_000_000.0
GROUP = GroupSpec(
    application="app",
    deployment_group="g",
    region=REGION,
    machines=tuple(InstanceSpec(name=f"n{number}", zone=f"{REGION}a") for number in range(3)),
    alarms=("p99",),
    auto_rollback=("DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"),
)
GREEN = GroupSpec(
    application="app",
    deployment_group="green",
    region=REGION,
    blue_green=BlueGreenSpec(ready_wait=30, termination_wait=5),
)
FLEET = FleetSpec(groups=(GROUP, GREEN))
OPTIONS = SandboxOptions(faults=Faults(failures=(Failure(target="app/*", revision="bad"),)))


def started(folder: Path, now: float = START) -> AbstractContextManager[Service]:
    """One over the same folder; nothing but what is on disk is shared."""
    return serving(FLEET, OPTIONS, data=folder / "data", now=now)


async def story(aws: Service, deployment_id: str) -> Any:
    info = await aws.info(deployment_id)
    ids = (await aws.call("ListDeploymentTargets", deploymentId=deployment_id))["targetIds"]
    targets = await aws.call("BatchGetDeploymentTargets", deploymentId=deployment_id, targetIds=ids)
    for target in targets["deploymentTargets"]:
        del target["instanceTarget"]["deploymentId"]
    kept = ("status", "startTime", "completeTime", "deploymentOverview", "errorInformation")
    return {name: info.get(name) for name in kept}, targets


@pytest.mark.parametrize("group", ["g", "green"])
@pytest.mark.parametrize("revision", [None, BAD])
async def test_a_deployment_goes_on_at_any_moment_as_it_would_have(tmp_path: Path, group: str, revision: Any) -> None:
    """Ended and started again every few seconds, it is the same deployment as one that nobody disturbed."""
    with started(tmp_path / "whole") as aws:
        deployment_id = await aws.deploy(group, revision)
        aws.now += 400
        if group == "green" and revision is None:
            await aws.call("ContinueDeployment", deploymentId=deployment_id)
        aws.now += 600
        whole = await story(aws, deployment_id)
    with started(tmp_path / "pieces") as aws:
        deployment_id = await aws.deploy(group, revision)
        await aws.info(deployment_id)
    for second in (*range(3, 110, 9), 250, 395, 405, 500, 700):
        with started(tmp_path / "pieces", START + second) as aws:
            if group == "green" and revision is None and second == 395:
                aws.now = START + 400
                await aws.call("ContinueDeployment", deploymentId=deployment_id)
            await aws.info(deployment_id)
    with started(tmp_path / "pieces", START + 1000) as aws:
        assert await story(aws, deployment_id) == whole
        assert whole[0]["status"] == ("Failed" if revision else "Succeeded")


async def test_a_rollback_that_nobody_saw_happens_after_the_restart(tmp_path: Path) -> None:
    with started(tmp_path) as aws:
        await aws.deploy()
        aws.now += 100
        failed = await aws.deploy(revision=BAD)
    with started(tmp_path, START + 5000) as aws:
        info = await aws.info(failed)
        back = await aws.info(info["rollbackInfo"]["rollbackDeploymentId"])
        assert (back["status"], back["createTime"]) == ("Succeeded", info["completeTime"])


async def test_what_was_set_from_outside_lasts(tmp_path: Path) -> None:
    with started(tmp_path) as aws:
        aws.controls.set_alarm("p99", "on")
        await aws.controls.set_instance("n1", is_running=False)
    with started(tmp_path) as aws:
        assert aws.controls.alarms() == {"p99": "on"}
        assert {one.name: one.is_running for one in aws.controls.instances() if one.name} == {
            "n0": True, "n1": False, "n2": True,
        }  # fmt: skip
        aws.controls.set_alarm("p99", "off")
        await aws.controls.set_instance("n1", is_running=True)
    with started(tmp_path) as aws:
        assert aws.controls.alarms() == {}
        assert all(one.is_running for one in aws.controls.instances())


async def test_the_group_is_its_replacements_after_a_restart_too(tmp_path: Path) -> None:
    with started(tmp_path) as aws:
        deployment_id = await aws.deploy("green")
        aws.now += 200
        await aws.call("ContinueDeployment", deploymentId=deployment_id)
        aws.now += 600
        assert (await aws.info(deployment_id))["status"] == "Succeeded"
        before = [one for one in aws.controls.instances() if one.groups == ("app/green",)]
    with started(tmp_path, START + 1000) as aws:
        assert [one for one in aws.controls.instances() if one.groups == ("app/green",)] == before
        assert len(before) == 3
        assert len(aws.controls.instances()) == 6
