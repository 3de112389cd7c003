"""Applications with other names, tags, on-premises instances, the old instance operations: what the calls do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from signed import Caller, root_keys

from orchestrator.sandbox.fleet import FleetSpec, GroupSpec
from orchestrator.sandbox.options import SandboxOptions
from orchestrator.sandbox.server import Sandbox

pytestmark = pytest.mark.anyio

REGION = "eu-west-1"
FLEET = FleetSpec(groups=(GroupSpec(application="app", deployment_group="g", region=REGION),))
GITHUB = {"revisionType": "GitHub", "gitHubLocation": {"repository": "acme/shop", "commitId": "abc"}}
ARN = f"arn:aws:codedeploy:{REGION}:000000000000"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Time:
    """The sandbox's clock, turned by hand."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def aws(time: Time, tmp_path: Path) -> AsyncIterator[Caller]:
    options = SandboxOptions(time_scale=0, page_size=3, data=tmp_path / "data")
    async with Sandbox(FLEET, options, clock=time).serve() as endpoint, aiohttp.ClientSession() as session:
        yield Caller(session, endpoint.url, root_keys(endpoint), REGION)


async def pages(aws: Caller, operation: str, member: str, **parameters: Any) -> list[list[Any]]:
    """All pages of a listing."""
    found: list[list[Any]] = []
    token: dict[str, str] = {}
    while True:
        answer = await aws.ok(operation, **parameters, **token)
        found.append(answer[member])
        if not (following := answer.get("nextToken")):
            return found
        token = {"nextToken": following}


async def test_an_application_with_another_name_is_still_itself(aws: Caller) -> None:
    deployed = (await aws.ok("CreateDeployment", applicationName="app", deploymentGroupName="g", revision=GITHUB))[
        "deploymentId"
    ]
    before = (await aws.ok("GetApplication", applicationName="app"))["application"]
    await aws.ok("GetDeployment", deploymentId=deployed)
    await aws.ok("UpdateApplication", applicationName="app", newApplicationName="shop")
    assert (
        await aws.codedeploy("GetApplication", {"applicationName": "app"})
    ).code == "ApplicationDoesNotExistException"
    after = (await aws.ok("GetApplication", applicationName="shop"))["application"]
    assert after == {**before, "applicationName": "shop"}
    assert (await aws.ok("GetDeployment", deploymentId=deployed))["deploymentInfo"]["applicationName"] == "shop"
    assert (await aws.ok("ListApplicationRevisions", applicationName="shop"))["revisions"] == [GITHUB]
    assert (await aws.ok("UpdateApplication", applicationName="shop")) == {}


async def test_listings_have_pages(aws: Caller) -> None:
    for number in range(6):
        await aws.ok("CreateApplication", applicationName=f"a{number}")
    assert await pages(aws, "ListApplications", "applications") == [["a0", "a1", "a2"], ["a3", "a4", "a5"], ["app"]]
    configs = [name for page in await pages(aws, "ListDeploymentConfigs", "deploymentConfigsList") for name in page]
    assert "CodeDeployDefault.OneAtATime" in configs
    assert len(configs) == len(set(configs)) > 3


@pytest.mark.parametrize("arn", [f"{ARN}:application:app", f"{ARN}:deploymentgroup:app/g"])
async def test_tags(aws: Caller, arn: str) -> None:
    await aws.ok("TagResource", ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "1"}])
    await aws.ok("TagResource", ResourceArn=arn, Tags=[{"Key": "b", "Value": "3"}, {"Key": "c"}])
    await aws.ok("UntagResource", ResourceArn=arn, TagKeys=["a", "never"])
    tags = (await aws.ok("ListTagsForResource", ResourceArn=arn))["Tags"]
    assert tags == [{"Key": "b", "Value": "3"}, {"Key": "c", "Value": ""}]


async def test_tags_that_come_with_the_thing(aws: Caller) -> None:
    await aws.ok("CreateApplication", applicationName="new", tags=[{"Key": "a", "Value": "1"}])
    assert (await aws.ok("ListTagsForResource", ResourceArn=f"{ARN}:application:new"))["Tags"] == [
        {"Key": "a", "Value": "1"}
    ]


async def test_an_on_premises_instance_from_first_to_last(aws: Caller, time: Time) -> None:
    user, session = "arn:aws:iam::000000000000:user/web", "arn:aws:sts::000000000000:assumed-role/web/one"
    await aws.ok("RegisterOnPremisesInstance", instanceName="web", iamUserArn=user)
    await aws.ok("RegisterOnPremisesInstance", instanceName="db", iamSessionArn=session)
    for parameters, code in (
        ({"instanceName": "web", "iamUserArn": user + "2"}, "InstanceNameAlreadyRegisteredException"),
        ({"instanceName": "x", "iamUserArn": user}, "IamUserArnAlreadyRegisteredException"),
        ({"instanceName": "x", "iamSessionArn": session}, "IamSessionArnAlreadyRegisteredException"),
    ):
        assert (await aws.codedeploy("RegisterOnPremisesInstance", parameters)).code == code
    tags = [{"Key": "role", "Value": "web"}, {"Key": "az", "Value": "a"}]
    await aws.ok("AddTagsToOnPremisesInstances", instanceNames=["web"], tags=tags)
    await aws.ok("AddTagsToOnPremisesInstances", instanceNames=["db"], tags=[{"Key": "role", "Value": "db"}])
    for filters, expected in (
        ([{"Key": "role", "Type": "KEY_ONLY"}], ["db", "web"]),
        ([{"Value": "db", "Type": "VALUE_ONLY"}], ["db"]),
        ([{"Key": "role", "Value": "web", "Type": "KEY_AND_VALUE"}], ["web"]),
        ([{"Key": "az", "Type": "KEY_ONLY"}, {"Value": "db", "Type": "VALUE_ONLY"}], ["db", "web"]),
        ([{"Key": "none", "Type": "KEY_ONLY"}], []),
    ):
        assert (await aws.ok("ListOnPremisesInstances", tagFilters=filters))["instanceNames"] == expected
    wrong = [{"Key": "az", "Value": "b"}, {"Key": "role", "Value": "web"}]
    await aws.ok("RemoveTagsFromOnPremisesInstances", instanceNames=["web"], tags=wrong)
    info = (await aws.ok("GetOnPremisesInstance", instanceName="web"))["instanceInfo"]
    assert info["tags"] == [{"Key": "az", "Value": "a"}]
    assert info["instanceArn"].startswith(f"{ARN}:instance/web_")
    await aws.ok("DeregisterOnPremisesInstance", instanceName="web")
    assert (await aws.ok("ListOnPremisesInstances", registrationStatus="Deregistered"))["instanceNames"] == ["web"]
    assert (await aws.ok("ListOnPremisesInstances", registrationStatus="Registered"))["instanceNames"] == ["db"]
    time.now += 24 * 3600
    assert (await aws.ok("BatchGetOnPremisesInstances", instanceNames=["web", "db"]))["instanceInfos"][0][
        "instanceName"
    ] == "db"
    assert (
        await aws.codedeploy("GetOnPremisesInstance", {"instanceName": "web"})
    ).code == "InstanceNotRegisteredException"


async def test_a_group_finds_its_on_premises_instances_by_their_tags(aws: Caller) -> None:
    web = {"Key": "role", "Value": "web"}
    for name, tags in (("one", [web]), ("two", [web]), ("three", [{"Key": "role", "Value": "db"}])):
        await aws.ok(
            "RegisterOnPremisesInstance", instanceName=name, iamUserArn=f"arn:aws:iam::000000000000:user/{name}"
        )
        await aws.ok("AddTagsToOnPremisesInstances", instanceNames=[name], tags=tags)
    await aws.ok("DeregisterOnPremisesInstance", instanceName="two")
    group = {"applicationName": "app", "deploymentGroupName": "house"}
    filters = [{**web, "Type": "KEY_AND_VALUE"}]
    role = "arn:aws:iam::000000000000:role/r"
    await aws.ok("CreateDeploymentGroup", **group, serviceRoleArn=role, onPremisesInstanceTagFilters=filters)
    made = await aws.ok("CreateDeployment", **group, revision=GITHUB)
    assert (await aws.ok("ListDeploymentTargets", deploymentId=made["deploymentId"]))["targetIds"] == ["one"]


async def test_the_old_instance_operations_tell_the_same(aws: Caller) -> None:
    made = await aws.ok("CreateDeployment", applicationName="app", deploymentGroupName="g", revision=GITHUB)
    deployment = {"deploymentId": made["deploymentId"]}
    targets = (await aws.ok("ListDeploymentTargets", **deployment))["targetIds"]
    arns = (await aws.ok("ListDeploymentInstances", **deployment, instanceStatusFilter=["Succeeded"]))["instancesList"]
    assert arns == [f"arn:aws:ec2:{REGION}:000000000000:instance/{target}" for target in targets]
    assert (await aws.ok("ListDeploymentInstances", **deployment, instanceStatusFilter=["Failed"]))[
        "instancesList"
    ] == []
    new = (await aws.ok("GetDeploymentTarget", **deployment, targetId=targets[0]))["deploymentTarget"]["instanceTarget"]
    for name in (targets[0], arns[0]):
        old = (await aws.ok("GetDeploymentInstance", **deployment, instanceId=name))["instanceSummary"]
        assert old["lifecycleEvents"] == new["lifecycleEvents"]
    both = await aws.ok("BatchGetDeploymentInstances", **deployment, instanceIds=[arns[1], "i-0none"])
    assert [one["instanceId"] for one in both["instancesSummary"]] == [arns[1]]
    assert "i-0none" in both["errorMessage"]
    unknown = {**deployment, "instanceId": "i-0none"}
    assert (await aws.codedeploy("GetDeploymentInstance", unknown)).code == "InstanceDoesNotExistException"
    blue = {**deployment, "instanceTypeFilter": ["Blue"]}
    assert (await aws.codedeploy("ListDeploymentInstances", blue)).code == "InvalidDeploymentInstanceTypeException"


async def test_both_ways_to_write_null(aws: Caller) -> None:
    """A member that is null is as good as none, at any depth."""
    await aws.ok(
        "CreateDeploymentGroup",
        applicationName="app",
        deploymentGroupName="new",
        serviceRoleArn="arn:aws:iam::000000000000:role/r",
        deploymentConfigName=None,
        deploymentStyle={"deploymentType": None, "deploymentOption": None},
        ec2TagFilters=[{"Key": "a", "Value": None, "Type": "KEY_ONLY"}],
    )
    group = (await aws.ok("GetDeploymentGroup", applicationName="app", deploymentGroupName="new"))[
        "deploymentGroupInfo"
    ]
    assert group["deploymentStyle"] == {
        "deploymentType": "IN_PLACE",
        "deploymentOption": "WITHOUT_TRAFFIC_CONTROL",
    }
    assert group["deploymentConfigName"] == "CodeDeployDefault.OneAtATime"
    assert group["ec2TagFilters"] == [{"Key": "a", "Type": "KEY_ONLY"}]
