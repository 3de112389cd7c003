"""What gets in the way of a deployment: alarms, requests, instances that stop, and the rollbacks that follow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from service import BAD, GITHUB, Service, service

from orchestrator.sandbox.controls import UnknownInstanceError
from orchestrator.sandbox.options import AlarmFault, Failure, Faults, Speeds

pytestmark = pytest.mark.anyio

SPEEDS = Speeds(lead=0.5, event=(1, 1))
ALARMS = {"enabled": True, "alarms": [{"name": "p99"}, {"name": "errors"}]}
ON_ALARM = {"enabled": True, "events": ["DEPLOYMENT_STOP_ON_ALARM"]}
SILENCE = 300
"""Seconds that an agent has to begin an event."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def aws() -> Iterator[Service]:
    with service(speeds=SPEEDS) as found:
        yield found


async def watch(aws: Service, alarms: Any = ALARMS, **settings: Any) -> None:
    await aws.call(
        "UpdateDeploymentGroup",
        applicationName="app",
        currentDeploymentGroupName="g",
        alarmConfiguration=alarms,
        **settings,
    )


async def test_an_alarm_stops_what_runs(aws: Service) -> None:
    await watch(aws)
    deployment_id, other = await aws.deploy(), await aws.deploy("other")
    aws.now += 5
    aws.controls.set_alarm("unrelated", "on")
    assert (await aws.info(deployment_id))["status"] == "InProgress"
    aws.controls.set_alarm("errors", "on")
    aws.now += 0.5
    info = await aws.info(deployment_id)
    assert (info["status"], info["errorInformation"]["code"]) == ("Stopped", "ALARM_ACTIVE")
    assert "errors" in info["errorInformation"]["message"]
    assert (await aws.info(other))["status"] == "InProgress"


async def test_an_alarm_that_is_on_already_stops_it_at_its_start(aws: Service) -> None:
    await watch(aws)
    aws.controls.set_alarm("p99", "on")
    deployment_id = await aws.deploy()
    aws.now += 1
    info = await aws.info(deployment_id)
    assert (info["status"], info["errorInformation"]["code"]) == ("Stopped", "ALARM_ACTIVE")
    aws.controls.set_alarm("p99", "off")
    deployment_id = await aws.deploy()
    aws.now += 30
    assert (await aws.info(deployment_id))["status"] == "Succeeded"


@pytest.mark.parametrize(
    "parameters",
    [
        {"overrideAlarmConfiguration": {"enabled": False, "alarms": [{"name": "p99"}]}},
        {"overrideAlarmConfiguration": {"enabled": True, "alarms": [{"name": "another"}]}},
    ],
)
async def test_a_deployments_own_alarm_configuration_counts(aws: Service, parameters: Any) -> None:
    await watch(aws)
    deployment_id = await aws.deploy(**parameters)
    aws.now += 5
    aws.controls.set_alarm("p99", "on")
    aws.now += 30
    assert (await aws.info(deployment_id))["status"] == "Succeeded"


async def test_a_group_whose_alarms_are_disabled_is_not_stopped(aws: Service) -> None:
    await watch(aws, {**ALARMS, "enabled": False})
    aws.controls.set_alarm("p99", "on")
    deployment_id = await aws.deploy()
    aws.now += 30
    assert (await aws.info(deployment_id))["status"] == "Succeeded"


@pytest.mark.parametrize(("ignores", "status"), [(True, "Succeeded"), (False, "Stopped")])
async def test_alarms_that_can_not_be_read(aws: Service, ignores: bool, status: str) -> None:
    await watch(aws, {**ALARMS, "ignorePollAlarmFailure": ignores})
    deployment_id = await aws.deploy()
    aws.now += 5
    aws.controls.set_alarm("p99", "unreadable")
    aws.now += 30
    assert (await aws.info(deployment_id))["status"] == status


async def test_an_alarm_rolls_back_and_the_rollback_is_not_stopped_by_it(aws: Service) -> None:
    await watch(aws, autoRollbackConfiguration=ON_ALARM)
    await aws.deploy()
    aws.now += 30
    stopped = await aws.deploy(revision=BAD)
    aws.now += 5
    aws.controls.set_alarm("p99", "on")
    aws.now += 60
    info = await aws.info(stopped)
    back = await aws.info(info["rollbackInfo"]["rollbackDeploymentId"])
    assert (info["status"], back["status"], back["creator"]) == ("Stopped", "Succeeded", "codeDeployRollback")
    assert back["rollbackInfo"]["rollbackTriggeringDeploymentId"] == stopped
    assert back["revision"] == GITHUB


@pytest.mark.parametrize(
    ("events", "is_rolled_back"),
    [(["DEPLOYMENT_FAILURE"], False), (["DEPLOYMENT_STOP_ON_REQUEST"], False), (["DEPLOYMENT_STOP_ON_ALARM"], True)],
)
async def test_each_rollback_event_is_for_its_own_end(aws: Service, events: list[str], is_rolled_back: bool) -> None:
    """The deployment's own events, whatever the group's say."""
    await watch(aws, autoRollbackConfiguration={"enabled": True, "events": ["DEPLOYMENT_STOP_ON_ALARM"]})
    await aws.deploy()
    aws.now += 30
    stopped = await aws.deploy(revision=BAD, autoRollbackConfiguration={"enabled": True, "events": events})
    aws.now += 5
    aws.controls.set_alarm("p99", "on")
    aws.now += 5
    assert ("rollbackInfo" in await aws.info(stopped)) == is_rolled_back


async def test_a_fleet_can_have_an_alarm_go_off_in_the_middle() -> None:
    fault = AlarmFault(target="app/g", alarm="p*", after=6, deployments=1)
    with service(Faults(alarms=(fault,)), speeds=SPEEDS) as aws:
        await watch(aws)
        deployment_id = await aws.deploy()
        aws.now += 8
        info = await aws.info(deployment_id)
        assert (info["status"], info["errorInformation"]["code"]) == ("Stopped", "ALARM_ACTIVE")
        assert info["completeTime"] - info["startTime"] == 6.5
        again = await aws.deploy()
        aws.now += 30
        assert (await aws.info(again))["status"] == "Succeeded"


async def test_a_stop_says_pending_and_then_succeeded(aws: Service) -> None:
    deployment_id = await aws.deploy()
    aws.now += 3
    assert (await aws.call("StopDeployment", deploymentId=deployment_id))["status"] == "Pending"
    assert (await aws.call("StopDeployment", deploymentId=deployment_id))["status"] == "Succeeded"
    aws.now += 0.5
    assert (await aws.info(deployment_id))["status"] == "Stopped"
    assert await aws.code("StopDeployment", deploymentId=deployment_id) == "DeploymentAlreadyCompletedException"


async def test_an_instance_that_stops_before_its_turn_falls_silent(aws: Service) -> None:
    instances = [one for one in aws.controls.instances() if one.groups == ("app/g",)]
    deployment_id = await aws.deploy()
    aws.now += 2
    await aws.controls.set_instance(instances[1].id, is_running=False)
    aws.now += 1 + 7 + SILENCE
    info = await aws.info(deployment_id)
    assert (info["status"], info["errorInformation"]["code"]) == ("Failed", "HEALTH_CONSTRAINTS")
    assert info["deploymentOverview"] == {
        "Pending": 0, "InProgress": 0, "Succeeded": 1, "Failed": 1, "Skipped": 1, "Ready": 0,
    }  # fmt: skip


async def test_an_instance_that_is_back_in_time_is_deployed_to(aws: Service) -> None:
    instances = [one for one in aws.controls.instances() if one.groups == ("app/g",)]
    await aws.controls.set_instance(instances[0].id, is_running=False)
    deployment_id = await aws.deploy()
    aws.now += SILENCE
    await aws.controls.set_instance(instances[0].id, is_running=True)
    aws.now += 30
    assert (await aws.info(deployment_id))["status"] == "Succeeded"


async def test_an_instance_that_stops_in_the_middle_of_an_event(aws: Service) -> None:
    instances = [one for one in aws.controls.instances() if one.groups == ("app/g",)]
    deployment_id = await aws.deploy()
    aws.now += 2.5
    (stopped,) = await aws.controls.set_instance(instances[0].id, is_running=False)
    assert not stopped.is_running
    aws.now += 4000
    assert (await aws.info(deployment_id))["status"] == "InProgress"
    aws.now += 300
    assert (await aws.info(deployment_id))["status"] == "Failed"


async def test_an_instance_that_starts_again_in_the_middle_has_failed(aws: Service) -> None:
    instances = [one for one in aws.controls.instances() if one.groups == ("app/g",)]
    deployment_id = await aws.deploy()
    aws.now += 2.5
    for is_running in (False, True):
        await aws.controls.set_instance(instances[0].id, is_running=is_running)
    answer = await aws.call("GetDeploymentTarget", deploymentId=deployment_id, targetId=instances[0].id)
    events = answer["deploymentTarget"]["instanceTarget"]["lifecycleEvents"]
    assert [one["status"] for one in events[:3]] == ["Succeeded", "Failed", "Skipped"]
    assert "restarted" in events[1]["diagnostics"]["message"]


async def test_an_instance_that_there_is_not(aws: Service) -> None:
    name = aws.controls.instances()[0].id
    with pytest.raises(UnknownInstanceError, match=f"did you mean '{name}'"):
        await aws.controls.set_instance(name[:-1], is_running=False)


async def test_the_same_seed_tells_the_same_story() -> None:
    stories = []
    for _ in range(2):
        fault = Failure(target="app/*", event="Install", chance=0.3)
        with service(Faults(failures=(fault,)), deployment_config="CodeDeployDefault.AllAtOnce", instances=20) as aws:
            story = []
            for _ in range(3):
                deployment_id = await aws.deploy()
                aws.now += 100
                info = await aws.info(deployment_id)
                story.append((info["status"], info["completeTime"], info["deploymentOverview"]))
            stories.append(story)
    assert stories[0] == stories[1]
    overviews = [overview for _, _, overview in stories[0]]
    assert all(0 < overview["Failed"] < 20 for overview in overviews)
    assert len({overview["Failed"] for overview in overviews}) > 1
