"""What CodeDeploy refuses, it refuses in the sandbox, under the same name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.sandbox.bundles import BundleChecker
from orchestrator.sandbox.codedeploy import CodeDeploy
from orchestrator.sandbox.errors import ServiceError
from orchestrator.sandbox.fleet import FleetSpec, GroupSpec
from orchestrator.sandbox.identity import Keyring, Scope
from orchestrator.sandbox.injector import Injector
from orchestrator.sandbox.options import Faults, SandboxOptions
from orchestrator.sandbox.storage import Storage

pytestmark = pytest.mark.anyio

REGION = "eu-west-1"
GITHUB = {"revisionType": "GitHub", "gitHubLocation": {"repository": "acme/shop", "commitId": "good"}}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def codedeploy() -> Iterator[CodeDeploy]:
    groups = tuple(GroupSpec(application="app", deployment_group=name, region=REGION) for name in ("g", "other"))
    storage = Storage(10**6)
    injector = Injector(Faults(), seed=0, started=0)
    yield CodeDeploy(FleetSpec(groups=groups), SandboxOptions(), injector, BundleChecker(storage), 0)
    storage.close()


async def refusal(codedeploy: CodeDeploy, operation: str, parameters: Any) -> str:
    scope = Scope(identity=Keyring().root, region=REGION, service="codedeploy")
    with pytest.raises(ServiceError) as caught:
        await codedeploy.call(operation, json.dumps(parameters).encode(), scope, 1_000_000.0)
    assert caught.value.status == 400
    assert caught.value.message
    return caught.value.code


def s3(key: str, kind: str) -> dict[str, Any]:
    return {"revisionType": "S3", "s3Location": {"bucket": "bucket", "key": key, "bundleType": kind}}


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("Nonsense", {}, "UnknownOperationException"),
        ("SkipWaitTimeForInstanceTermination", {}, "DeploymentIdRequiredException"),
        ("CreateApplication", {}, "ApplicationNameRequiredException"),
        ("CreateApplication", {"applicationName": ""}, "InvalidApplicationNameException"),
        ("CreateApplication", {"applicationName": "a" * 101}, "InvalidApplicationNameException"),
        ("CreateApplication", {"applicationName": "a/b"}, "InvalidApplicationNameException"),
        ("CreateApplication", {"applicationName": 5}, "SerializationException"),
        ("CreateApplication", {"applicationName": "app"}, "ApplicationAlreadyExistsException"),
        ("CreateApplication", {"applicationName": "e", "computePlatform": "VAX"}, "InvalidComputePlatformException"),
        ("CreateApplication", {"applicationName": "x", "nonsense": 1}, "ValidationException"),
        ("GetApplication", {"applicationName": "missing"}, "ApplicationDoesNotExistException"),
        ("GetDeployment", {"deploymentId": "d-123"}, "InvalidDeploymentIdException"),
        ("GetDeployment", {"deploymentId": "d-123456789"}, "DeploymentDoesNotExistException"),
        ("GetDeployment", {"deploymentId": None}, "DeploymentIdRequiredException"),
        ("BatchGetDeployments", {"deploymentIds": ["d-123456789"] * 26}, "BatchLimitExceededException"),
        ("BatchGetDeployments", {"deploymentIds": "d-123456789"}, "SerializationException"),
        (
            "BatchGetDeploymentGroups",
            {"applicationName": "app", "deploymentGroupNames": ["g"] * 101},
            "BatchLimitExceededException",
        ),
        ("ListDeployments", {"applicationName": "app"}, "DeploymentGroupNameRequiredException"),
        ("ListDeployments", {"includeOnlyStatuses": ["Done"]}, "InvalidDeploymentStatusException"),
        ("ListDeployments", {"nextToken": "zzz"}, "InvalidNextTokenException"),
        ("ListDeployments", {"createTimeRange": {"start": 2, "end": 1}}, "InvalidTimeRangeException"),
        ("ListDeployments", {"createTimeRange": {"start": True}}, "SerializationException"),
        (
            "DeleteDeploymentConfig",
            {"deploymentConfigName": "CodeDeployDefault.AllAtOnce"},
            "InvalidOperationException",
        ),
        (
            "CreateDeploymentConfig",
            {"deploymentConfigName": "CodeDeployDefault.Mine"},
            "InvalidDeploymentConfigNameException",
        ),
        (
            "CreateDeploymentConfig",
            {"deploymentConfigName": "c", "minimumHealthyHosts": {"type": "FLEET_PERCENT", "value": 100}},
            "InvalidMinimumHealthyHostValueException",
        ),
        (
            "ListApplicationRevisions",
            {"applicationName": "app", "s3KeyPrefix": "x"},
            "BucketNameFilterRequiredException",
        ),
        ("GetApplicationRevision", {"applicationName": "app", "revision": GITHUB}, "RevisionDoesNotExistException"),
        ("CreateDeploymentGroup", {"applicationName": "app", "deploymentGroupName": "x"}, "RoleRequiredException"),
        (
            "UpdateDeploymentGroup",
            {"applicationName": "app", "currentDeploymentGroupName": "g", "newDeploymentGroupName": "other"},
            "DeploymentGroupAlreadyExistsException",
        ),
    ],
)
async def test_refusals(codedeploy: CodeDeploy, operation: str, parameters: dict[str, Any], code: str) -> None:
    assert await refusal(codedeploy, operation, parameters) == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"applicationName": "missing"}, "ApplicationDoesNotExistException"),
        ({"deploymentGroupName": "missing"}, "DeploymentGroupDoesNotExistException"),
        ({"deploymentGroupName": None}, "DeploymentGroupNameRequiredException"),
        ({"revision": None}, "RevisionRequiredException"),
        ({"revision": {"revisionType": "S3"}}, "InvalidRevisionException"),
        ({"revision": {"revisionType": "Ftp"}}, "InvalidRevisionException"),
        ({"revision": s3("key", "rar")}, "InvalidRevisionException"),
        ({"revision": s3("key", "YAML")}, "InvalidRevisionException"),
        (
            {"revision": {"revisionType": "GitHub", "gitHubLocation": {"repository": "x", "commitId": "y"}}},
            "InvalidRevisionException",
        ),
        (
            {"revision": {"revisionType": "AppSpecContent", "appSpecContent": {"content": "{}"}}},
            "InvalidRevisionException",
        ),
        ({"deploymentConfigName": "Missing"}, "DeploymentConfigDoesNotExistException"),
        ({"description": "x" * 257}, "DescriptionTooLongException"),
        ({"fileExistsBehavior": "MERGE"}, "InvalidFileExistsBehaviorException"),
        ({"targetInstances": {"autoScalingGroups": ["a"]}}, "InvalidTargetInstancesException"),
        ({"autoRollbackConfiguration": {"enabled": True, "events": ["SNOW"]}}, "InvalidAutoRollbackConfigException"),
        ({"overrideAlarmConfiguration": {"enabled": True}}, "InvalidAlarmConfigException"),
    ],
)
async def test_create_deployment_refuses(codedeploy: CodeDeploy, change: dict[str, Any], code: str) -> None:
    parameters = {"applicationName": "app", "deploymentGroupName": "g", "revision": GITHUB, **change}
    assert await refusal(codedeploy, "CreateDeployment", parameters) == code
    assert codedeploy.region("000000000000", REGION).deployments == {}


ROLE = "arn:aws:iam::000000000000:role/deploy"
NAMED = [{"Key": "Name", "Value": "web", "Type": "KEY_AND_VALUE"}]
BLUE = {"deploymentType": "BLUE_GREEN"}
SHIFTED = {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"}
BALANCER = {"targetGroupInfoList": [{"name": "web"}]}
PAIR = {
    "targetGroups": [{"name": "blue"}, {"name": "green"}],
    "prodTrafficRoute": {"listenerArns": ["arn:aws:elasticloadbalancing:eu-west-1:000000000000:listener/app/x/1/2"]},
}
PAIRS = {"targetGroupPairInfoList": [PAIR]}
SERVICE = [{"serviceName": "web", "clusterName": "main"}]
TOPIC = "arn:aws:sns:eu-west-1:000000000000:releases"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"serviceRoleArn": "deploy"}, "InvalidRoleException"),
        ({"deploymentConfigName": "Missing"}, "DeploymentConfigDoesNotExistException"),
        (
            {"deploymentConfigName": "CodeDeployDefault.LambdaAllAtOnce"},
            "InvalidDeploymentConfigNameException",
        ),
        ({"ec2TagFilters": [{"Key": "a"}]}, "InvalidEC2TagException"),
        ({"ec2TagFilters": [{"Type": "KEY_ONLY"}]}, "InvalidEC2TagException"),
        ({"ec2TagFilters": [{"Type": "SOME"}]}, "InvalidEC2TagException"),
        ({"ec2TagFilters": NAMED * 11}, "InvalidEC2TagException"),
        ({"ec2TagFilters": NAMED, "ec2TagSet": {"ec2TagSetList": [NAMED]}}, "InvalidEC2TagCombinationException"),
        ({"ec2TagSet": {"ec2TagSetList": [NAMED] * 4}}, "TagSetListLimitExceededException"),
        ({"onPremisesInstanceTagFilters": [{"Type": "SOME"}]}, "InvalidTagException"),
        (
            {"onPremisesInstanceTagFilters": NAMED, "onPremisesTagSet": {"onPremisesTagSetList": [NAMED]}},
            "InvalidOnPremisesTagCombinationException",
        ),
        ({"autoScalingGroups": ["a", "a"]}, "InvalidAutoScalingGroupException"),
        ({"autoScalingGroups": [f"a{n}" for n in range(11)]}, "InvalidAutoScalingGroupException"),
        ({"triggerConfigurations": [{"triggerName": "t"}]}, "InvalidTriggerConfigException"),
        (
            {
                "triggerConfigurations": [
                    {"triggerName": f"t{n}", "triggerTargetArn": TOPIC, "triggerEvents": ["DeploymentStart"]}
                    for n in range(11)
                ]
            },
            "TriggerTargetsLimitExceededException",
        ),
        (
            {
                "triggerConfigurations": [
                    {"triggerName": "t", "triggerTargetArn": "topic", "triggerEvents": ["DeploymentStart"]}
                ]
            },
            "InvalidTriggerConfigException",
        ),
        ({"alarmConfiguration": {"enabled": True}}, "InvalidAlarmConfigException"),
        ({"alarmConfiguration": {"alarms": [{"name": "a"}, {"name": "a"}]}}, "InvalidAlarmConfigException"),
        (
            {"alarmConfiguration": {"alarms": [{"name": f"a{n}"} for n in range(11)]}},
            "AlarmsLimitExceededException",
        ),
        ({"autoRollbackConfiguration": {"enabled": True}}, "InvalidAutoRollbackConfigException"),
        ({"deploymentStyle": {"deploymentType": "SIDEWAYS"}}, "InvalidDeploymentStyleException"),
        ({"outdatedInstancesStrategy": "HOPE"}, "InvalidInputException"),
        ({"deploymentStyle": {"deploymentOption": "WITH_TRAFFIC_CONTROL"}}, "InvalidLoadBalancerInfoException"),
        ({"loadBalancerInfo": {"elbInfoList": [{}]}}, "InvalidLoadBalancerInfoException"),
        ({"loadBalancerInfo": PAIRS}, "InvalidTargetGroupPairException"),
        ({"ecsServices": SERVICE}, "InvalidECSServiceException"),
        (
            {"blueGreenDeploymentConfiguration": {"greenFleetProvisioningOption": {"action": "DISCOVER_EXISTING"}}},
            "InvalidBlueGreenDeploymentConfigurationException",
        ),
        (
            {
                "deploymentStyle": BLUE,
                "blueGreenDeploymentConfiguration": {"deploymentReadyOption": {"actionOnTimeout": "STOP_DEPLOYMENT"}},
            },
            "InvalidBlueGreenDeploymentConfigurationException",
        ),
        (
            {
                "deploymentStyle": BLUE,
                "blueGreenDeploymentConfiguration": {"deploymentReadyOption": {"waitTimeInMinutes": 5}},
            },
            "InvalidBlueGreenDeploymentConfigurationException",
        ),
        (
            {
                "deploymentStyle": BLUE,
                "blueGreenDeploymentConfiguration": {
                    "terminateBlueInstancesOnDeploymentSuccess": {"terminationWaitTimeInMinutes": 2881}
                },
            },
            "InvalidBlueGreenDeploymentConfigurationException",
        ),
        ({"tags": [{"Key": "aws:mine"}]}, "InvalidTagsToAddException"),
        ({"tags": [{"Key": "k", "Value": "v" * 257}]}, "InvalidTagsToAddException"),
    ],
)
async def test_groups_on_servers(codedeploy: CodeDeploy, settings: dict[str, Any], code: str) -> None:
    parameters = {"applicationName": "app", "deploymentGroupName": "x", "serviceRoleArn": ROLE, **settings}
    assert await refusal(codedeploy, "CreateDeploymentGroup", parameters) == code
    if "tags" not in settings:
        changed = {"applicationName": "app", "currentDeploymentGroupName": "g", **settings}
        assert await refusal(codedeploy, "UpdateDeploymentGroup", changed) == code


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"deploymentStyle": {"deploymentType": "IN_PLACE"}}, "InvalidDeploymentStyleException"),
        ({"ecsServices": []}, "InvalidECSServiceException"),
        ({"ecsServices": [{"serviceName": "web"}]}, "InvalidECSServiceException"),
        ({"loadBalancerInfo": {}}, "InvalidLoadBalancerInfoException"),
        ({"loadBalancerInfo": BALANCER}, "InvalidLoadBalancerInfoException"),
        (
            {"loadBalancerInfo": {"targetGroupPairInfoList": [{"targetGroups": [{"name": "one"}]}]}},
            "InvalidTargetGroupPairException",
        ),
        ({"deploymentConfigName": "CodeDeployDefault.OneAtATime"}, "InvalidDeploymentConfigNameException"),
        (
            {
                "blueGreenDeploymentConfiguration": {
                    "greenFleetProvisioningOption": {"action": "COPY_AUTO_SCALING_GROUP"}
                }
            },
            "InvalidBlueGreenDeploymentConfigurationException",
        ),
    ],
)
async def test_groups_on_ecs(codedeploy: CodeDeploy, settings: dict[str, Any], code: str) -> None:
    scope = Scope(identity=Keyring().root, region=REGION, service="codedeploy")

    async def made(operation: str, parameters: Any) -> None:
        await codedeploy.call(operation, json.dumps(parameters).encode(), scope, 1_000_000.0)

    await made("CreateApplication", {"applicationName": "ecs", "computePlatform": "ECS"})
    group: dict[str, Any] = {
        "applicationName": "ecs",
        "serviceRoleArn": ROLE,
        "deploymentStyle": SHIFTED,
        "loadBalancerInfo": PAIRS,
    }
    group |= {"ecsServices": SERVICE}
    assert await refusal(codedeploy, "CreateDeploymentGroup", {**group, "deploymentGroupName": "x", **settings}) == code
    await made("CreateDeploymentGroup", {**group, "deploymentGroupName": "x"})
    second = {**group, "deploymentGroupName": "y"}
    assert await refusal(codedeploy, "CreateDeploymentGroup", second) == "ECSServiceMappingLimitExceededException"


def canary(percent: int, minutes: int) -> dict[str, Any]:
    return {"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": percent, "canaryInterval": minutes}}


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({}, "InvalidMinimumHealthyHostValueException"),
        ({"minimumHealthyHosts": {"type": "SOME", "value": 1}}, "InvalidMinimumHealthyHostValueException"),
        ({"minimumHealthyHosts": {"type": "HOST_COUNT", "value": -1}}, "InvalidMinimumHealthyHostValueException"),
        ({"trafficRoutingConfig": {"type": "AllAtOnce"}}, "InvalidTrafficRoutingConfigurationException"),
        (
            {
                "minimumHealthyHosts": {"type": "HOST_COUNT", "value": 1},
                "zonalConfig": {"monitorDurationInSeconds": -1},
            },
            "InvalidZonalDeploymentConfigurationException",
        ),
        ({"computePlatform": "Lambda"}, "InvalidTrafficRoutingConfigurationException"),
        (
            {"computePlatform": "Lambda", "minimumHealthyHosts": {"type": "HOST_COUNT", "value": 1}},
            "InvalidMinimumHealthyHostValueException",
        ),
        (
            {"computePlatform": "ECS", "trafficRoutingConfig": canary(100, 5)},
            "InvalidTrafficRoutingConfigurationException",
        ),
        (
            {"computePlatform": "ECS", "trafficRoutingConfig": canary(10, 2881)},
            "InvalidTrafficRoutingConfigurationException",
        ),
        (
            {"computePlatform": "ECS", "trafficRoutingConfig": {**canary(10, 5), "type": "TimeBasedLinear"}},
            "InvalidTrafficRoutingConfigurationException",
        ),
        (
            {
                "computePlatform": "ECS",
                "trafficRoutingConfig": {"type": "AllAtOnce"},
                "zonalConfig": {"monitorDurationInSeconds": 1},
            },
            "InvalidZonalDeploymentConfigurationException",
        ),
    ],
)
async def test_configurations(codedeploy: CodeDeploy, settings: dict[str, Any], code: str) -> None:
    assert await refusal(codedeploy, "CreateDeploymentConfig", {"deploymentConfigName": "mine", **settings}) == code


ARN = f"arn:aws:codedeploy:{REGION}:000000000000"
USER = "arn:aws:iam::000000000000:user/web"


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("TagResource", {"Tags": [{"Key": "a"}]}, "ResourceArnRequiredException"),
        ("TagResource", {"ResourceArn": f"{ARN}:application:app", "Tags": []}, "TagRequiredException"),
        (
            "TagResource",
            {"ResourceArn": f"{ARN}:application:app", "Tags": [{"Value": "x"}]},
            "InvalidTagsToAddException",
        ),
        ("TagResource", {"ResourceArn": "app", "Tags": [{"Key": "a"}]}, "InvalidArnException"),
        ("TagResource", {"ResourceArn": "arn:aws:s3:::bucket", "Tags": [{"Key": "a"}]}, "InvalidArnException"),
        (
            "TagResource",
            {"ResourceArn": f"{ARN}:application:none", "Tags": [{"Key": "a"}]},
            "ApplicationDoesNotExistException",
        ),
        (
            "TagResource",
            {"ResourceArn": f"{ARN}:deploymentgroup:app/none", "Tags": [{"Key": "a"}]},
            "DeploymentGroupDoesNotExistException",
        ),
        ("ListTagsForResource", {"ResourceArn": f"{ARN}:deploymentconfig:x"}, "ArnNotSupportedException"),
        ("ListTagsForResource", {"ResourceArn": f"{ARN.replace('eu', 'us')}:application:app"}, "InvalidArnException"),
        ("UntagResource", {"ResourceArn": f"{ARN}:application:app"}, "TagRequiredException"),
        (
            "TagResource",
            {"ResourceArn": f"{ARN}:application:app", "Tags": [{"Key": f"k{n}"} for n in range(51)]},
            "InvalidTagsToAddException",
        ),
        ("RegisterOnPremisesInstance", {"instanceName": "i-web", "iamUserArn": USER}, "InvalidInstanceNameException"),
        ("RegisterOnPremisesInstance", {"instanceName": "web"}, "IamArnRequiredException"),
        ("RegisterOnPremisesInstance", {"instanceName": "web", "iamUserArn": "web"}, "InvalidIamUserArnException"),
        (
            "RegisterOnPremisesInstance",
            {"instanceName": "web", "iamSessionArn": USER},
            "InvalidIamSessionArnException",
        ),
        (
            "RegisterOnPremisesInstance",
            {"instanceName": "web", "iamUserArn": USER, "iamSessionArn": "x"},
            "MultipleIamArnsProvidedException",
        ),
        ("GetOnPremisesInstance", {"instanceName": "web"}, "InstanceNotRegisteredException"),
        ("BatchGetOnPremisesInstances", {"instanceNames": ["web"] * 26}, "BatchLimitExceededException"),
        ("BatchGetOnPremisesInstances", {"instanceNames": []}, "InstanceNameRequiredException"),
        ("ListOnPremisesInstances", {"registrationStatus": "Lost"}, "InvalidRegistrationStatusException"),
        ("ListOnPremisesInstances", {"tagFilters": [{"Key": "a"}]}, "InvalidTagFilterException"),
        ("ListOnPremisesInstances", {"tagFilters": [{"Type": "SOME"}]}, "InvalidTagFilterException"),
        (
            "AddTagsToOnPremisesInstances",
            {"instanceNames": ["web"], "tags": [{"Key": "a"}]},
            "InstanceNotRegisteredException",
        ),
        ("AddTagsToOnPremisesInstances", {"instanceNames": ["web"], "tags": [{"Key": ""}]}, "InvalidTagException"),
        (
            "AddTagsToOnPremisesInstances",
            {"instanceNames": [f"web{n}" for n in range(101)], "tags": [{"Key": "a"}]},
            "InstanceLimitExceededException",
        ),
        ("UpdateApplication", {}, "ApplicationNameRequiredException"),
        ("UpdateApplication", {"applicationName": "none"}, "ApplicationDoesNotExistException"),
        ("ListGitHubAccountTokenNames", {"nextToken": "x"}, "InvalidNextTokenException"),
        ("DeleteGitHubAccountToken", {}, "GitHubAccountTokenNameRequiredException"),
        ("DeleteGitHubAccountToken", {"tokenName": "mine"}, "GitHubAccountTokenDoesNotExistException"),
        (
            "BatchGetDeploymentInstances",
            {"deploymentId": "d-123456789", "instanceIds": ["i"]},
            "DeploymentDoesNotExistException",
        ),
        ("GetDeploymentInstance", {"deploymentId": "d-123456789"}, "InstanceIdRequiredException"),
        (
            "ListDeploymentInstances",
            {"deploymentId": "d-123456789", "instanceStatusFilter": ["Happy"]},
            "InvalidInstanceStatusException",
        ),
        ("BatchGetDeployments", {"deploymentIds": []}, "DeploymentIdRequiredException"),
    ],
)
async def test_tags_instances_and_the_rest(
    codedeploy: CodeDeploy, operation: str, parameters: dict[str, Any], code: str
) -> None:
    assert await refusal(codedeploy, operation, parameters) == code


async def test_a_body_that_is_too_deep(codedeploy: CodeDeploy) -> None:
    scope = Scope(identity=Keyring().root, region=REGION, service="codedeploy")
    with pytest.raises(ServiceError) as caught:
        await codedeploy.call("ListApplications", b"[" * 100_000, scope, 0.0)
    assert caught.value.code == "SerializationException"
