"""Deployments to ECS and Lambda: events, traffic, hooks that report, and AppSpecs that can't be used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from service import Service, service

from orchestrator.sandbox.lifecycle import ECS_EVENTS, LAMBDA_EVENTS
from orchestrator.sandbox.options import Failure, Faults, Function, Speeds

pytestmark = pytest.mark.anyio

ROLE = "arn:aws:iam::000000000000:role/r"
ECS = """
version: 0.0
Resources:
  - TargetService:
      Type: AWS::ECS::Service
      Properties:
        TaskDefinition: arn:aws:ecs:eu-west-1:000000000000:task-definition/cart:7
        LoadBalancerInfo: {ContainerName: cart, ContainerPort: 8080}
Hooks:
  - AfterAllowTestTraffic: check-cart
"""
BROKEN = ECS + "# a task set that never comes up"
SPEEDS = Speeds(lead=0.5, event=(1, 1), task_set=(100, 100))
LISTENER = "arn:aws:elasticloadbalancing:eu-west-1:000000000000:listener/a"
ECS_GROUP = {
    "ecsServices": [{"clusterName": "shop", "serviceName": "cart"}],
    "loadBalancerInfo": {
        "targetGroupPairInfoList": [
            {
                "targetGroups": [{"name": "blue"}, {"name": "green"}],
                "prodTrafficRoute": {
                    "listenerArns": ["arn:aws:elasticloadbalancing:eu-west-1:000000000000:listener/a"]
                },
            }
        ]
    },
    "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def lambda_spec(target: int = 2, hooks: str = "[]") -> str:
    versions = f'"Name": "mailer", "Alias": "live", "CurrentVersion": "1", "TargetVersion": "{target}"'
    resource = f'{{"Type": "AWS::Lambda::Function", "Properties": {{{versions}}}}}'
    return f'{{"version": 0.0, "Resources": [{{"mailer": {resource}}}], "Hooks": {hooks}}}'


def content(text: str) -> dict[str, Any]:
    return {"revisionType": "AppSpecContent", "appSpecContent": {"content": text}}


@pytest.fixture
async def aws() -> AsyncIterator[Service]:
    functions = (
        Function(name="check-*", seconds=5),
        Function(name="broken", reports="Failed"),
        Function(name="silent", reports="nothing"),
    )
    broken = hashlib.sha256(BROKEN.encode()).hexdigest()
    faults = Faults(failures=(Failure(target="cart/*", event="Install", revision=broken),))
    with service(faults, speeds=SPEEDS, functions=functions) as found:
        yield found


async def group(aws: Service, platform: str, application: str = "cart", **settings: Any) -> None:
    await aws.call("CreateApplication", applicationName=application, computePlatform=platform)
    await aws.call(
        "CreateDeploymentGroup",
        applicationName=application,
        deploymentGroupName="g",
        serviceRoleArn=ROLE,
        **(ECS_GROUP if platform == "ECS" else {"deploymentStyle": ECS_GROUP["deploymentStyle"]}),
        **settings,
    )


async def deploy(aws: Service, text: str, **parameters: Any) -> str:
    answer = await aws.call(
        "CreateDeployment",
        applicationName="cart",
        deploymentGroupName="g",
        revision=content(text),
        **parameters,
    )
    return str(answer["deploymentId"])


async def target(aws: Service, deployment_id: str) -> Any:
    ids = (await aws.call("ListDeploymentTargets", deploymentId=deployment_id))["targetIds"]
    answer = await aws.call("GetDeploymentTarget", deploymentId=deployment_id, targetId=ids[0])
    (found,) = (value for name, value in answer["deploymentTarget"].items() if name != "deploymentTargetType")
    return found


def weights(found: Any) -> list[float]:
    return [one["trafficWeight"] for one in found["taskSetsInfo"]]


async def test_ecs_runs_its_eight_events_and_moves_the_traffic(aws: Service) -> None:
    await group(aws, "ECS")
    deployment_id = await deploy(aws, ECS, deploymentConfigName="CodeDeployDefault.ECSCanary10Percent5Minutes")
    aws.now += 60
    found = await target(aws, deployment_id)
    assert found["targetId"] == "shop:cart"
    assert found["targetArn"] == "arn:aws:ecs:eu-west-1:000000000000:service/shop/cart"
    assert [one["lifecycleEventName"] for one in found["lifecycleEvents"]] == list(ECS_EVENTS)
    assert weights(found) == [100.0, 0.0]
    info = await aws.info(deployment_id)
    assert (info["status"], info["computePlatform"], "deploymentOverview" in info) == ("InProgress", "ECS", False)
    aws.now += 60  # 1 of lead, 1, 100 for the task set, 1, 1, 5 for the hook, 1: the first tenth goes over
    assert weights(await target(aws, deployment_id)) == [90.0, 10.0]
    aws.now += 300
    found = await target(aws, deployment_id)
    assert weights(found) == [0.0, 100.0]
    assert found["taskSetsInfo"][1]["status"] == "PRIMARY"
    info = await aws.info(deployment_id)
    assert info["status"] == "Succeeded"
    assert info["deploymentOverview"]["Succeeded"] == 1
    assert info["completeTime"] - info["createTime"] == pytest.approx(1 + 1 + 100 + 1 + 1 + 5 + 1 + 300 + 1)


async def test_the_content_is_shown_by_its_hash_only(aws: Service) -> None:
    await group(aws, "ECS")
    revision = (await aws.info(await deploy(aws, ECS)))["revision"]
    sha = hashlib.sha256(ECS.encode()).hexdigest()
    assert revision == {"revisionType": "AppSpecContent", "appSpecContent": {"sha256": sha}}
    found = await aws.call("GetApplicationRevision", applicationName="cart", revision=revision)
    assert found["revision"]["appSpecContent"]["content"] == ECS


async def test_ecs_waits_in_ready_and_before_it_terminates(aws: Service) -> None:
    options = {
        "deploymentReadyOption": {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 60},
        "terminateBlueInstancesOnDeploymentSuccess": {"action": "TERMINATE", "terminationWaitTimeInMinutes": 10},
    }
    await group(aws, "ECS", blueGreenDeploymentConfiguration=options)
    deployment_id = await deploy(aws, ECS)
    ready = {"deploymentId": deployment_id, "deploymentWaitType": "READY_WAIT"}
    assert await aws.code("ContinueDeployment", **ready) == "DeploymentIsNotInReadyStateException"
    aws.now += 120
    assert (await aws.info(deployment_id))["status"] == "Ready"
    termination = {**ready, "deploymentWaitType": "TERMINATION_WAIT"}
    assert await aws.code("ContinueDeployment", **termination) == "DeploymentIsNotInReadyStateException"
    await aws.call("ContinueDeployment", **ready)
    aws.now += 60
    info = await aws.info(deployment_id)
    assert (info["status"], info["instanceTerminationWaitTimeStarted"]) == ("InProgress", True)
    assert {one["status"] for one in (await target(aws, deployment_id))["lifecycleEvents"]} == {"Succeeded"}
    await aws.call("ContinueDeployment", **termination)
    assert (await aws.info(deployment_id))["status"] == "Succeeded"
    assert await aws.code("ContinueDeployment", **ready) == "DeploymentAlreadyCompletedException"


async def test_lambda_shifts_in_steps(aws: Service) -> None:
    await group(aws, "Lambda")
    linear = "CodeDeployDefault.LambdaLinear10PercentEvery1Minute"
    deployment_id = await deploy(aws, lambda_spec(), deploymentConfigName=linear)
    seen: list[float] = []
    found: Any = None
    for _ in range(12):
        aws.now += 60 if seen else 58
        found = await target(aws, deployment_id)
        seen.append(round(found["lambdaFunctionInfo"]["targetVersionWeight"], 2))
    assert seen == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.0, 1.0]
    assert found["targetId"] == "mailer"
    assert [one["lifecycleEventName"] for one in found["lifecycleEvents"]] == list(LAMBDA_EVENTS)
    assert found["lambdaFunctionInfo"]["targetVersion"] == "2"
    assert (await aws.info(deployment_id))["status"] == "Succeeded"


async def test_a_hook_that_fails_ends_it_and_the_alias_goes_back(aws: Service) -> None:
    rollback = {"enabled": True, "events": ["DEPLOYMENT_FAILURE"]}
    await group(aws, "Lambda", autoRollbackConfiguration=rollback)
    await deploy(aws, lambda_spec())
    aws.now += 60
    failed = await deploy(aws, lambda_spec(3, '[{"AfterAllowTraffic": "broken"}]'))
    aws.now += 60
    info = await aws.info(failed)
    assert (info["status"], info["errorInformation"]["code"]) == ("Failed", "HOOK_EXECUTION_FAILURE")
    events = (await target(aws, failed))["lifecycleEvents"]
    assert [one["status"] for one in events] == ["Succeeded", "Succeeded", "Failed"]
    back = await aws.info(info["rollbackInfo"]["rollbackDeploymentId"])
    assert (back["creator"], back["status"]) == ("codeDeployRollback", "Succeeded")
    assert back["deploymentConfigName"] == "CodeDeployDefault.LambdaAllAtOnce"
    function = (await target(aws, back["deploymentId"]))["lambdaFunctionInfo"]
    assert (function["currentVersion"], function["targetVersion"]) == ("3", "2")


async def test_an_ecs_rollback_moves_traffic_at_once_and_makes_no_task_set(aws: Service) -> None:
    rollback = {"enabled": True, "events": ["DEPLOYMENT_STOP_ON_REQUEST"]}
    await group(aws, "ECS", autoRollbackConfiguration=rollback)
    await deploy(aws, ECS)
    aws.now += 200
    canary = "CodeDeployDefault.ECSCanary10Percent15Minutes"
    stopped = await deploy(aws, ECS + "# v2", deploymentConfigName=canary)
    aws.now += 200
    await aws.call("StopDeployment", deploymentId=stopped)
    aws.now += 10
    info = await aws.info(stopped)
    assert info["status"] == "Stopped"
    events = {one["lifecycleEventName"]: one["status"] for one in (await target(aws, stopped))["lifecycleEvents"]}
    assert (events["AllowTraffic"], events["AfterAllowTraffic"]) == ("Failed", "Skipped")
    back = await aws.info(info["rollbackInfo"]["rollbackDeploymentId"])
    assert (back["status"], back["deploymentConfigName"]) == ("Succeeded", "CodeDeployDefault.ECSAllAtOnce")
    assert weights(await target(aws, back["deploymentId"])) == [0.0, 100.0]


async def test_a_function_that_waits_is_answered_for_by_its_execution_id(aws: Service) -> None:
    await group(aws, "Lambda")
    deployment_id = await deploy(aws, lambda_spec(2, '[{"BeforeAllowTraffic": "silent"}]'))
    aws.now += 600
    (hook,) = aws.controls.hooks()
    assert (hook.deployment_id, hook.event, hook.function) == (deployment_id, "BeforeAllowTraffic", "silent")
    report = {"deploymentId": deployment_id, "lifecycleEventHookExecutionId": hook.execution_id}
    put = "PutLifecycleEventHookExecutionStatus"
    assert await aws.code(put, **report, status="Pending") == "InvalidLifecycleEventHookExecutionStatusException"
    unknown = {**report, "lifecycleEventHookExecutionId": "x"}
    assert await aws.code(put, **unknown, status="Failed") == "InvalidLifecycleEventHookExecutionIdException"
    assert await aws.call(put, **report, status="Succeeded") == {"lifecycleEventHookExecutionId": hook.execution_id}
    assert await aws.code(put, **report, status="Failed") == "LifecycleEventAlreadyCompletedException"
    aws.now += 60
    assert (await aws.info(deployment_id))["status"] == "Succeeded"


async def test_a_function_that_never_reports_fails_after_an_hour(aws: Service) -> None:
    await group(aws, "Lambda")
    deployment_id = await deploy(aws, lambda_spec(2, '[{"BeforeAllowTraffic": "silent"}]'))
    aws.now += 3600
    assert (await aws.info(deployment_id))["status"] == "InProgress"
    aws.now += 2
    assert (await aws.info(deployment_id))["status"] == "Failed"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("version: [", "well-formed"),
        ("version: 0.0", "Resources"),
        (lambda_spec().replace("AWS::Lambda::Function", "AWS::ECS::Service"), "Type"),
        (lambda_spec().replace('"Alias": "live", ', ""), "alias"),
        (lambda_spec().replace('"1"', '"latest"'), "latest"),
        (lambda_spec(2, '[{"Install": "f"}]'), "Install"),
        (lambda_spec(2, '[{"AfterAllowTraffic": ""}]'), "no function"),
    ],
)
async def test_an_appspec_that_can_not_be_used(aws: Service, text: str, what: str) -> None:
    await group(aws, "Lambda")
    deployment_id = await deploy(aws, text)
    aws.now += 2
    info = await aws.info(deployment_id)
    assert (info["status"], info["errorInformation"]["code"]) == ("Failed", "INVALID_REVISION")
    assert what in info["errorInformation"]["message"]


async def test_a_hash_that_is_not_the_contents(aws: Service) -> None:
    await group(aws, "Lambda")
    revision = {"revisionType": "AppSpecContent", "appSpecContent": {"content": lambda_spec(), "sha256": "0" * 64}}
    answer = await aws.call("CreateDeployment", applicationName="cart", deploymentGroupName="g", revision=revision)
    aws.now += 2
    assert "SHA-256" in json.dumps(await aws.info(answer["deploymentId"]))


async def test_each_platform_has_its_revisions(aws: Service) -> None:
    await group(aws, "Lambda")
    github = {"revisionType": "GitHub", "gitHubLocation": {"repository": "a/b", "commitId": "c"}}
    call = {"applicationName": "cart", "deploymentGroupName": "g"}
    assert await aws.code("CreateDeployment", **call, revision=github) == "InvalidRevisionException"
    server = {"applicationName": "app", "deploymentGroupName": "g"}
    assert await aws.code("CreateDeployment", **server, revision=content(ECS)) == "InvalidRevisionException"


async def test_each_platform_has_its_configurations_and_parameters(aws: Service) -> None:
    await group(aws, "Lambda")
    call = {"applicationName": "cart", "deploymentGroupName": "g", "revision": content(lambda_spec())}
    for parameters, code in (
        ({"deploymentConfigName": "CodeDeployDefault.OneAtATime"}, "InvalidDeploymentConfigNameException"),
        ({"updateOutdatedInstancesOnly": True}, "InvalidUpdateOutdatedInstancesOnlyValueException"),
        ({"ignoreApplicationStopFailures": True}, "InvalidIgnoreApplicationStopFailuresValueException"),
    ):
        assert await aws.code("CreateDeployment", **call, **parameters) == code
    deployment_id = await deploy(aws, lambda_spec())
    aws.now += 60
    batch = {"deploymentId": deployment_id, "targetIds": ["mailer", "mailer"]}
    assert await aws.code("BatchGetDeploymentTargets", **batch) == "DeploymentTargetListSizeExceededException"


async def test_a_task_set_that_does_not_come_up(aws: Service) -> None:
    await group(aws, "ECS")
    deployment_id = await deploy(aws, BROKEN)
    aws.now += 200
    info = await aws.info(deployment_id)
    assert (info["status"], info["errorInformation"]["code"]) == ("Failed", "ECS_UPDATE_ERROR")
    events = (await target(aws, deployment_id))["lifecycleEvents"]
    assert [one["status"] for one in events] == ["Succeeded", "Failed"] + ["Skipped"] * 6
