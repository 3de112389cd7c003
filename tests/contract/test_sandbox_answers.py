"""Every answer of the sandbox's CodeDeploy fits the service model, and the SDK itself can read it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import aioboto3
import aiohttp
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from model_shapes import MODEL, misfits
from signed import Caller, root_keys

from orchestrator.sandbox.codedeploy import HANDLERS
from orchestrator.sandbox.controls import Controls
from orchestrator.sandbox.fleet import BucketSpec, FleetSpec, GroupSpec
from orchestrator.sandbox.options import Failure, Faults, Function, SandboxOptions, Speeds
from orchestrator.sandbox.server import Sandbox

pytestmark = pytest.mark.anyio

REGION = "eu-west-1"
FLEET = FleetSpec(
    groups=(
        GroupSpec(application="app", deployment_group="g", region=REGION, auto_rollback=("DEPLOYMENT_FAILURE",)),
        GroupSpec(application="app", deployment_group="slow", region=REGION),
    ),
    buckets=(BucketSpec(name="bucket", region=REGION),),
)
GITHUB = {"revisionType": "GitHub", "gitHubLocation": {"repository": "acme/shop", "commitId": "good"}}
BAD = {"revisionType": "GitHub", "gitHubLocation": {"repository": "acme/shop", "commitId": "bad"}}
APPSPEC_ECS = {
    "revisionType": "AppSpecContent",
    "appSpecContent": {
        "content": """
            {"version": 0.0, "Resources": [{"TargetService": {"Type": "AWS::ECS::Service", "Properties": {
                "TaskDefinition": "cart:7", "LoadBalancerInfo": {"ContainerName": "cart", "ContainerPort": 80}}}}]}"""
    },
}
APPSPEC_LAMBDA = {
    "revisionType": "AppSpecContent",
    "appSpecContent": {
        "content": """
            {"version": 0.0, "Hooks": [{"BeforeAllowTraffic": "check"}], "Resources": [
                {"mailer": {"Type": "AWS::Lambda::Function", "Properties": {
                    "Name": "mailer", "Alias": "live", "CurrentVersion": 1, "TargetVersion": 2}}}]}"""
    },
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_the_checker_can_fail() -> None:
    shape = MODEL.shape_for("GetDeploymentOutput")
    wrong = {
        "deploymentInfo": {"status": "Done", "createTime": "now", "nonsense": 1, "deploymentOverview": {"Failed": True}}
    }
    assert len(misfits(shape, wrong, "")) == 4


@dataclass
class Raw:
    """Calls that are checked byte for byte."""

    caller: Caller
    controls: Controls
    seen: set[str]

    async def __call__(self, operation: str, **parameters: Any) -> Any:
        reply = await self.caller.codedeploy(operation, parameters)
        assert reply.headers["content-type"] == "application/x-amz-json-1.1"
        assert reply.headers["x-amzn-requestid"]
        answer = reply.json
        assert reply.status == 200, answer
        shape = MODEL.operation_model(operation).output_shape
        assert (misfits(shape, answer, operation) if shape else list(answer)) == []
        self.seen.add(operation)
        return answer


@pytest.fixture
async def raw(anyio_backend: str) -> AsyncIterator[Raw]:
    faults = Faults(failures=(Failure(target="app/g", revision="bad"),))
    options = SandboxOptions(
        time_scale=50,
        page_size=1,
        faults=faults,
        speeds=Speeds(task_set=(5, 5)),
        functions=(Function(name="check", reports="nothing"),),
    )
    async with (
        Sandbox(FLEET, options).serve() as endpoint,
        aiohttp.ClientSession() as session,
    ):
        yield Raw(Caller(session, endpoint.url, root_keys(endpoint), REGION), endpoint.controls, set())


async def ended(raw: Raw, deployment_id: str) -> Any:
    while True:
        info = (await raw("GetDeployment", deploymentId=deployment_id))["deploymentInfo"]
        if info["status"] in ("Succeeded", "Failed", "Stopped"):
            return info


async def test_every_operation_answers_in_its_shape(raw: Raw) -> None:
    app = {"applicationName": "app"}
    group = {**app, "deploymentGroupName": "g"}
    await deployments(raw, group)
    await raw("CreateApplication", applicationName="new", tags=[{"Key": "a", "Value": "b"}])
    await raw("GetApplication", **app)
    await raw("BatchGetApplications", applicationNames=["app", "new"])
    assert (await raw("ListApplications"))["nextToken"]
    await raw(
        "CreateDeploymentConfig", deploymentConfigName="c", minimumHealthyHosts={"type": "HOST_COUNT", "value": 1}
    )
    await raw("GetDeploymentConfig", deploymentConfigName="CodeDeployDefault.OneAtATime")
    await raw("ListDeploymentConfigs")
    await raw("DeleteDeploymentConfig", deploymentConfigName="c")
    await raw(
        "CreateDeploymentGroup",
        applicationName="new",
        deploymentGroupName="g",
        serviceRoleArn="arn:aws:iam::000000000000:role/x",
        autoScalingGroups=["asg"],
        alarmConfiguration={"enabled": True, "alarms": [{"name": "a"}]},
    )
    await raw(
        "UpdateDeploymentGroup",
        applicationName="new",
        currentDeploymentGroupName="g",
        outdatedInstancesStrategy="IGNORE",
    )
    await raw("GetDeploymentGroup", **group)
    await raw("GetDeploymentGroup", applicationName="new", deploymentGroupName="g")
    await raw("BatchGetDeploymentGroups", **app, deploymentGroupNames=["g", "slow", "missing"])
    await raw("ListDeploymentGroups", **app)
    await raw("RegisterApplicationRevision", **app, revision=GITHUB, description="again")
    await raw("GetApplicationRevision", **app, revision=GITHUB)
    await raw(
        "BatchGetApplicationRevisions",
        **app,
        revisions=[GITHUB, {**GITHUB, "gitHubLocation": {"repository": "a/b", "commitId": "c"}}],
    )
    await raw("ListApplicationRevisions", **app, sortBy="lastUsedTime", sortOrder="descending", deployed="include")
    await raw("UpdateApplication", applicationName="new", newApplicationName="newer")
    await raw("DeleteDeploymentGroup", applicationName="newer", deploymentGroupName="g")
    await raw("DeleteApplication", applicationName="newer")
    await tags_and_instances(raw)
    await raw("ListGitHubAccountTokenNames")
    await raw("DeleteResourcesByExternalId", externalId="x")
    await blue_green(raw)
    await lambda_hook(raw)
    # This only ever refuses: there are no tokens.
    assert raw.seen == set(HANDLERS) - {"DeleteGitHubAccountToken"}


async def until(raw: Raw, deployment_id: str, condition: Callable[[Any], bool]) -> None:
    while not condition((await raw("GetDeployment", deploymentId=deployment_id))["deploymentInfo"]):
        pass


async def blue_green(raw: Raw) -> None:
    """Onto an ECS service, where it waits twice."""
    group = {"applicationName": "cart", "deploymentGroupName": "g"}
    pair = {
        "targetGroups": [{"name": "blue"}, {"name": "green"}],
        "prodTrafficRoute": {"listenerArns": ["arn:aws:elasticloadbalancing:eu-west-1:000000000000:listener/a"]},
    }
    await raw("CreateApplication", applicationName="cart", computePlatform="ECS")
    await raw(
        "CreateDeploymentGroup",
        **group,
        serviceRoleArn="arn:aws:iam::000000000000:role/x",
        ecsServices=[{"clusterName": "shop", "serviceName": "cart"}],
        loadBalancerInfo={"targetGroupPairInfoList": [pair]},
        deploymentStyle={"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        blueGreenDeploymentConfiguration={
            "deploymentReadyOption": {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 60},
            "terminateBlueInstancesOnDeploymentSuccess": {"action": "TERMINATE", "terminationWaitTimeInMinutes": 60},
        },
    )
    deployment = {"deploymentId": (await raw("CreateDeployment", **group, revision=APPSPEC_ECS))["deploymentId"]}
    await until(raw, deployment["deploymentId"], lambda info: info["status"] == "Ready")
    await raw("ContinueDeployment", **deployment)
    await until(raw, deployment["deploymentId"], lambda info: info["instanceTerminationWaitTimeStarted"])
    await raw("GetDeploymentTarget", **deployment, targetId="shop:cart")
    await raw("SkipWaitTimeForInstanceTermination", **deployment)
    assert (await ended(raw, deployment["deploymentId"]))["status"] == "Succeeded"


async def lambda_hook(raw: Raw) -> None:
    group = {"applicationName": "mailer", "deploymentGroupName": "g"}
    await raw("CreateApplication", applicationName="mailer", computePlatform="Lambda")
    await raw(
        "CreateDeploymentGroup",
        **group,
        serviceRoleArn="arn:aws:iam::000000000000:role/x",
        deploymentStyle={"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
    )
    deployment_id = (await raw("CreateDeployment", **group, revision=APPSPEC_LAMBDA))["deploymentId"]
    await until(raw, deployment_id, lambda _: bool(raw.controls.hooks()))
    (hook,) = raw.controls.hooks()
    await raw(
        "PutLifecycleEventHookExecutionStatus",
        deploymentId=deployment_id,
        lifecycleEventHookExecutionId=hook.execution_id,
        status="Succeeded",
    )
    assert (await ended(raw, deployment_id))["status"] == "Succeeded"
    await raw("BatchGetDeploymentTargets", deploymentId=deployment_id, targetIds=["mailer"])


async def tags_and_instances(raw: Raw) -> None:
    arn = f"arn:aws:codedeploy:{REGION}:000000000000:deploymentgroup:app/g"
    await raw("TagResource", ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}, {"Key": "c"}])
    assert (await raw("ListTagsForResource", ResourceArn=arn))["NextToken"]
    await raw("UntagResource", ResourceArn=arn, TagKeys=["a"])
    user = "arn:aws:iam::000000000000:user/web"
    await raw("RegisterOnPremisesInstance", instanceName="web", iamUserArn=user)
    tags = [{"Key": "Name", "Value": "web"}]
    await raw("AddTagsToOnPremisesInstances", instanceNames=["web"], tags=tags)
    filters = [{"Key": "Name", "Value": "web", "Type": "KEY_AND_VALUE"}]
    assert (await raw("ListOnPremisesInstances", tagFilters=filters))["instanceNames"] == ["web"]
    await raw("RemoveTagsFromOnPremisesInstances", instanceNames=["web"], tags=tags)
    await raw("DeregisterOnPremisesInstance", instanceName="web")
    await raw("GetOnPremisesInstance", instanceName="web")
    await raw("BatchGetOnPremisesInstances", instanceNames=["web", "missing"])


async def deployments(raw: Raw, group: dict[str, Any]) -> None:
    good = (await raw("CreateDeployment", **group, revision=GITHUB, description="d"))["deploymentId"]
    assert (await ended(raw, good))["status"] == "Succeeded"
    failed = (await raw("CreateDeployment", **group, revision=BAD, overrideAlarmConfiguration={"enabled": False}))[
        "deploymentId"
    ]
    info = await ended(raw, failed)
    assert info["errorInformation"]
    rollback = info["rollbackInfo"]["rollbackDeploymentId"]
    await raw("BatchGetDeployments", deploymentIds=[good, failed, rollback])
    assert (await raw("ListDeployments", includeOnlyStatuses=["Failed"]))["deployments"] == [failed]
    target = (await raw("ListDeploymentTargets", deploymentId=failed))["targetIds"][0]
    await raw("GetDeploymentTarget", deploymentId=failed, targetId=target)
    await raw("BatchGetDeploymentTargets", deploymentId=failed, targetIds=[target])
    instance = (await raw("ListDeploymentInstances", deploymentId=failed))["instancesList"][0]
    await raw("GetDeploymentInstance", deploymentId=failed, instanceId=instance)
    await raw("BatchGetDeploymentInstances", deploymentId=failed, instanceIds=[instance, "i-0missing"])
    slow = (await raw("CreateDeployment", applicationName="app", deploymentGroupName="slow", revision=GITHUB))[
        "deploymentId"
    ]
    await raw("StopDeployment", deploymentId=slow)
    assert (await ended(raw, slow))["status"] == "Stopped"


async def test_the_sdk_reads_it_all() -> None:
    async with Sandbox(FLEET, SandboxOptions(time_scale=0)).serve() as endpoint:
        environment = endpoint.environment()
        session = aioboto3.Session(
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )
        options = {"endpoint_url": endpoint.url, "config": Config(retries={"total_max_attempts": 1})}
        async with session.client("s3", **options) as s3, session.client("codedeploy", **options) as codedeploy:
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                archive.writestr("appspec.yml", "version: 0.0\nos: linux\n")
            put = await s3.put_object(Bucket="bucket", Key="k.zip", Body=buffer.getvalue(), IfNoneMatch="*")
            with pytest.raises(ClientError) as caught:
                await s3.put_object(Bucket="bucket", Key="k.zip", Body=b"", IfNoneMatch="*")
            assert caught.value.response["Error"]["Code"] == "PreconditionFailed"
            location = {
                "bucket": "bucket",
                "key": "k.zip",
                "bundleType": "zip",
                "version": put["VersionId"],
                "eTag": put["ETag"],
            }
            made = await codedeploy.create_deployment(
                applicationName="app",
                deploymentGroupName="g",
                revision={"revisionType": "S3", "s3Location": location},
            )
            info = (await codedeploy.get_deployment(deploymentId=made["deploymentId"]))["deploymentInfo"]
            assert info["status"] == "Succeeded"
            assert info["revision"]["s3Location"]["eTag"] == put["ETag"].strip('"')
            assert info["createTime"].timestamp() == pytest.approx(endpoint.deployments()[0].created, abs=0.01)
            with pytest.raises(codedeploy.exceptions.DeploymentDoesNotExistException):
                await codedeploy.get_deployment(deploymentId="d-MISSING00")
