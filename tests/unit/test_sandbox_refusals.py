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
        ("ListOnPremisesInstances", {}, "UnsupportedOperationException"),
        ("CreateApplication", {}, "ApplicationNameRequiredException"),
        ("CreateApplication", {"applicationName": ""}, "InvalidApplicationNameException"),
        ("CreateApplication", {"applicationName": "a" * 101}, "InvalidApplicationNameException"),
        ("CreateApplication", {"applicationName": "a/b"}, "InvalidApplicationNameException"),
        ("CreateApplication", {"applicationName": 5}, "SerializationException"),
        ("CreateApplication", {"applicationName": "app"}, "ApplicationAlreadyExistsException"),
        ("CreateApplication", {"applicationName": "e", "computePlatform": "Mars"}, "InvalidComputePlatformException"),
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
            "CreateDeploymentGroup",
            {
                "applicationName": "app",
                "deploymentGroupName": "x",
                "serviceRoleArn": "r",
                "autoRollbackConfiguration": {"enabled": True},
            },
            "InvalidAutoRollbackConfigException",
        ),
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
