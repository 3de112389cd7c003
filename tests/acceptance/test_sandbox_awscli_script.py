"""A team's day with the stock AWS CLI against the sandbox: more than eighty commands, with answers and exit codes.

Commands of one step don't need each other, so they run side by side.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from rig import Programs

from orchestrator.sandbox.fleet import BucketSpec, FleetSpec, GroupSpec
from orchestrator.sandbox.options import Faults, SandboxOptions, stuck
from orchestrator.sandbox.server import Endpoint, Sandbox

pytestmark = pytest.mark.anyio

REGION = "eu-west-1"
FLEET = FleetSpec(
    groups=(GroupSpec(application="slow", deployment_group="stuck", region=REGION),),
    buckets=(BucketSpec(name="releases", region=REGION),),
)
AT_ONCE = 3
REFUSED = (254, 255)
"""The CLI's exit code when the service refuses, by its version."""
ROLE = "arn:aws:iam::000000000000:role/deploy"
ARN = f"arn:aws:codedeploy:{REGION}:000000000000"
GITHUB = "--github-location repository=acme/shop,commitId=abc"
FOREIGN = {"AWS_ACCESS_KEY_ID": "AKIAFOREIGN"}
WRONG = {"AWS_SECRET_ACCESS_KEY": "wrong"}
BLUE_GREEN = (
    "terminateBlueInstancesOnDeploymentSuccess={action=KEEP_ALIVE},"
    "deploymentReadyOption={actionOnTimeout=STOP_DEPLOYMENT,waitTimeInMinutes=60},"
    "greenFleetProvisioningOption={action=COPY_AUTO_SCALING_GROUP}"
)


@dataclass(frozen=True)
class Do:
    """A command, and what it has to give: a part of the JSON, or the code of the error."""

    command: str
    gives: Any = None
    """Dictionaries may hold more, lists may not; None: nothing at all is printed; a string: the error."""
    keep: Mapping[str, str] = field(default_factory=dict)
    """Name for later commands -> path in the answer."""
    environment: Mapping[str, str] = field(default_factory=dict)


ANY = object()


def deploy(group: str, *, application: str = "shop", more: str = GITHUB) -> str:
    return f"create-deployment --application-name {application} --deployment-group-name {group} {more}"


STEPS: Sequence[Sequence[Do]] = (
    (  # things are made
        Do("create-application --application-name shop --tags Key=team,Value=a", {"applicationId": ANY}),
        Do("create-application --application-name mail --compute-platform Lambda", {"applicationId": ANY}),
        Do("create-application --application-name cart --compute-platform ECS", {"applicationId": ANY}),
        Do("create-application --application-name a/b", "InvalidApplicationNameException"),
        Do("create-application --application-name x --compute-platform VAX", "InvalidComputePlatformException"),
        Do("create-deployment-config --deployment-config-name two --minimum-healthy-hosts type=HOST_COUNT,value=2",
           {"deploymentConfigId": ANY}),
        Do("create-deployment-config --deployment-config-name canary --compute-platform Lambda "
           "--traffic-routing-config type=TimeBasedCanary,timeBasedCanary={canaryPercentage=10,canaryInterval=5}",
           {"deploymentConfigId": ANY}),
        Do("create-deployment-config --deployment-config-name x --minimum-healthy-hosts type=FLEET_PERCENT,value=100",
           "InvalidMinimumHealthyHostValueException"),
        Do("create-deployment-config --deployment-config-name CodeDeployDefault.X",
           "InvalidDeploymentConfigNameException"),
        Do("register-on-premises-instance --instance-name house --iam-user-arn arn:aws:iam::000000000000:user/house"),
        Do("register-on-premises-instance --instance-name i-house --iam-user-arn arn:aws:iam::000000000000:user/house",
           "InvalidInstanceNameException"),
        Do("register-on-premises-instance --instance-name shed", "IamArnRequiredException"),
    ),
    (  # looked at, and used
        Do("create-application --application-name shop", "ApplicationAlreadyExistsException"),
        Do("get-application --application-name mail",
           {"application": {"applicationName": "mail", "computePlatform": "Lambda", "linkedToGitHub": False}}),
        Do("batch-get-applications --application-names shop cart",
           {"applicationsInfo": [{"computePlatform": "Server"}, {"computePlatform": "ECS"}]}),
        Do("get-application --application-name none", "ApplicationDoesNotExistException"),
        Do("list-applications", {"applications": ["cart", "mail", "shop", "slow"]}),
        Do("get-deployment-config --deployment-config-name CodeDeployDefault.OneAtATime",
           {"deploymentConfigInfo": {"minimumHealthyHosts": {"type": "MOST_CONCURRENCY", "value": 1}}}),
        Do("get-deployment-config --deployment-config-name canary",
           {"deploymentConfigInfo": {"trafficRoutingConfig": {"timeBasedCanary": {"canaryInterval": 5}}}}),
        Do("get-deployment-config --deployment-config-name none", "DeploymentConfigDoesNotExistException"),
        Do("""list-deployment-configs --query "deploymentConfigsList[?@=='two']" """, ["two"]),
        Do("delete-deployment-config --deployment-config-name CodeDeployDefault.AllAtOnce",
           "InvalidOperationException"),
        Do(f"create-deployment-group --application-name shop --deployment-group-name fleet --service-role-arn {ROLE} "
           "--deployment-config-name CodeDeployDefault.AllAtOnce "
           "--ec2-tag-filters Key=Name,Value=web,Type=KEY_AND_VALUE "
           "--alarm-configuration enabled=true,alarms=[{name=p99}] "
           "--auto-rollback-configuration enabled=true,events=DEPLOYMENT_FAILURE", {"deploymentGroupId": ANY}),
        Do(f"create-deployment-group --application-name shop --deployment-group-name rolling --service-role-arn {ROLE} "
           "--deployment-config-name two", {"deploymentGroupId": ANY}),
        Do(f"create-deployment-group --application-name shop --deployment-group-name house --service-role-arn {ROLE} "
           "--on-premises-instance-tag-filters Key=place,Type=KEY_ONLY", {"deploymentGroupId": ANY}),
        Do(f"create-deployment-group --application-name shop --deployment-group-name green --service-role-arn {ROLE} "
           "--deployment-style deploymentType=BLUE_GREEN,deploymentOption=WITH_TRAFFIC_CONTROL "
           f"--auto-scaling-groups asg --load-balancer-info targetGroupInfoList=[{{name=web}}] "
           f"--blue-green-deployment-configuration {BLUE_GREEN}", {"deploymentGroupId": ANY}),
        Do("create-deployment-group --application-name shop --deployment-group-name x --service-role-arn deploy",
           "InvalidRoleException"),
        Do(f"create-deployment-group --application-name none --deployment-group-name x --service-role-arn {ROLE}",
           "ApplicationDoesNotExistException"),
        Do(f"create-deployment-group --application-name shop --deployment-group-name x --service-role-arn {ROLE} "
           "--deployment-config-name none", "DeploymentConfigDoesNotExistException"),
        Do("add-tags-to-on-premises-instances --instance-names house --tags Key=place,Value=cellar"),
        Do("add-tags-to-on-premises-instances --instance-names none --tags Key=place,Value=cellar",
           "InstanceNotRegisteredException"),
        Do(f"tag-resource --resource-arn {ARN}:application:shop --tags Key=stage,Value=test"),
        Do("push --application-name shop --s3-location s3://releases/shop.zip --source app", ANY),
    ),
    (
        Do("get-deployment-group --application-name shop --deployment-group-name fleet",
           {"deploymentGroupInfo": {"serviceRoleArn": ROLE, "alarmConfiguration": {"alarms": [{"name": "p99"}]},
                                    "autoRollbackConfiguration": {"events": ["DEPLOYMENT_FAILURE"]}}}),
        Do("batch-get-deployment-groups --application-name shop --deployment-group-names fleet none",
           {"deploymentGroupsInfo": [{"deploymentGroupName": "fleet"}], "errorMessage": ANY}),
        Do("get-deployment-group --application-name shop --deployment-group-name none",
           "DeploymentGroupDoesNotExistException"),
        Do("list-deployment-groups --application-name shop",
           {"deploymentGroups": ["fleet", "green", "house", "rolling"]}),
        Do(f"create-deployment-group --application-name shop --deployment-group-name fleet --service-role-arn {ROLE}",
           "DeploymentGroupAlreadyExistsException"),
        Do("delete-deployment-config --deployment-config-name two", "DeploymentConfigInUseException"),
        Do(f"list-tags-for-resource --resource-arn {ARN}:application:shop",
           {"Tags": [{"Key": "stage", "Value": "test"}, {"Key": "team", "Value": "a"}]}),
        Do(f"list-tags-for-resource --resource-arn {ARN}:instance:x", "ArnNotSupportedException"),
        Do("get-on-premises-instance --instance-name house",
           {"instanceInfo": {"tags": [{"Key": "place", "Value": "cellar"}]}}),
        Do("list-on-premises-instances --tag-filters Key=place,Value=cellar,Type=KEY_AND_VALUE",
           {"instanceNames": ["house"]}),
        Do("batch-get-on-premises-instances --instance-names house none",
           {"instanceInfos": [{"instanceName": "house"}]}),
        Do("list-application-revisions --application-name shop",
           {"revisions": [{"revisionType": "S3", "s3Location": {"key": "shop.zip", "bundleType": "zip"}}]},
           keep={"etag": "revisions.0.s3Location.eTag", "version": "revisions.0.s3Location.version"}),
        Do("update-deployment-group --application-name shop --current-deployment-group-name fleet "
           "--outdated-instances-strategy IGNORE", {"hooksNotCleanedUp": []}),
        Do("update-deployment-group --application-name shop --current-deployment-group-name fleet "
           "--new-deployment-group-name green", "DeploymentGroupAlreadyExistsException"),
        Do(deploy("stuck", application="slow"), {"deploymentId": ANY}, keep={"stuck": "deploymentId"}),
    ),
    (  # after the revisions were listed
        Do(f"register-application-revision --application-name shop --description d {GITHUB}"),
    ),
    (  # deployments
        Do(deploy("fleet", more="--description first --file-exists-behavior OVERWRITE --s3-location "
                  "bucket=releases,key=shop.zip,bundleType=zip,eTag={etag},version={version}"),
           {"deploymentId": ANY}, keep={"fleet": "deploymentId"}),
        Do(deploy("rolling"), {"deploymentId": ANY}, keep={"rolling": "deploymentId"}),
        Do(deploy("house"), {"deploymentId": ANY}, keep={"house": "deploymentId"}),
        Do(deploy("green"), {"deploymentId": ANY}, keep={"green": "deploymentId"}),
        Do(deploy("stuck", application="slow"), "DeploymentLimitExceededException"),
        Do(deploy("none"), "DeploymentGroupDoesNotExistException"),
        Do(deploy("fleet", application="none"), "ApplicationDoesNotExistException"),
        Do(deploy("fleet", more=""), "RevisionRequiredException"),
        Do(deploy("fleet", more="--github-location repository=shop,commitId=abc"), "InvalidRevisionException"),
        Do(deploy("fleet", more=f"{GITHUB} --description {'x' * 257}"), "DescriptionTooLongException"),
        Do(deploy("fleet", more=f"{GITHUB} --file-exists-behavior MERGE"), "InvalidFileExistsBehaviorException"),
        Do(f"create-deployment --application-name shop {GITHUB}", "DeploymentGroupNameRequiredException"),
        Do(f"get-application-revision --application-name shop {GITHUB}",
           {"revisionInfo": {"description": "d", "registerTime": ANY}}),
    ),
    (
        Do(f"untag-resource --resource-arn {ARN}:application:shop --tag-keys team"),
        Do("wait deployment-successful --deployment-id {fleet}"),
        Do("get-deployment --deployment-id {fleet}",
           {"deploymentInfo": {"status": "Succeeded", "description": "first", "creator": "user",
                               "fileExistsBehavior": "OVERWRITE", "deploymentOverview": {"Succeeded": 3}}}),
        Do("batch-get-deployments --deployment-ids {rolling} d-UNKNOWN00 {house}",
           {"deploymentsInfo": [{"status": "Succeeded"}, {"deploymentOverview": {"Succeeded": 1}}]}),
        Do("list-deployments --application-name shop --deployment-group-name fleet", {"deployments": ANY}),
        Do("list-deployments --include-only-statuses Ready --query length(deployments)", 1),
        Do("list-deployments --include-only-statuses Finished", "InvalidDeploymentStatusException"),
        Do("list-deployments --application-name shop", "DeploymentGroupNameRequiredException"),
        Do("list-deployments --starting-token nonsense", "InvalidNextTokenException"),
        Do("get-deployment --deployment-id d-UNKNOWN00", "DeploymentDoesNotExistException"),
        Do("get-deployment --deployment-id nonsense", "InvalidDeploymentIdException"),
        Do("get-deployment --deployment-id {green}", {"deploymentInfo": {"status": "Ready"}}),
        Do("list-deployment-targets --deployment-id {fleet} --target-filters TargetStatus=Succeeded",
           {"targetIds": [ANY, ANY, ANY]}, keep={"target": "targetIds.0"}),
        Do("list-deployment-targets --deployment-id {fleet} --target-filters ServerInstanceLabel=Blue",
           "InvalidDeploymentInstanceTypeException"),
        Do("continue-deployment --deployment-id {fleet} --deployment-wait-type READY_WAIT",
           "UnsupportedActionForDeploymentTypeException"),
        Do("list-deployment-instances --deployment-id {fleet}", {"instancesList": [ANY, ANY, ANY]}),
        Do("stop-deployment --deployment-id {stuck}", {"status": ANY}),
        Do("batch-get-application-revisions --application-name shop --revisions revisionType=GitHub,"
           "gitHubLocation={{repository=acme/shop,commitId=abc}}",
           {"revisions": [{"genericRevisionInfo": {"deploymentGroups": ANY}}]}),
    ),
    (
        Do("continue-deployment --deployment-id {green} --deployment-wait-type READY_WAIT"),
        Do("get-deployment-target --deployment-id {fleet} --target-id {target}",
           {"deploymentTarget": {"deploymentTargetType": "InstanceTarget", "instanceTarget": {"status": "Succeeded"}}}),
        Do("batch-get-deployment-targets --deployment-id {fleet} --target-ids {target}",
           {"deploymentTargets": [{"instanceTarget": {"targetId": ANY}}]}),
        Do("get-deployment-target --deployment-id {fleet} --target-id i-0none",
           "DeploymentTargetDoesNotExistException"),
        Do("get-deployment-instance --deployment-id {fleet} --instance-id {target}",
           {"instanceSummary": {"status": "Succeeded"}}),
        Do("stop-deployment --deployment-id {fleet}", "DeploymentAlreadyCompletedException"),
        Do("get-deployment --deployment-id {stuck}",
           {"deploymentInfo": {"status": "Stopped", "errorInformation": {"code": "MANUAL_STOP"}}}),
        Do("list-applications", "UnrecognizedClientException", environment=FOREIGN),
        Do("list-applications", "InvalidSignatureException", environment=WRONG),
        Do("list-git-hub-account-token-names", {"tokenNameList": []}),
        Do("delete-git-hub-account-token --token-name mine", "GitHubAccountTokenDoesNotExistException"),
    ),
    (  # things go away
        Do("get-deployment --deployment-id {green}", {"deploymentInfo": {"status": "Succeeded"}}),
        Do("remove-tags-from-on-premises-instances --instance-names house --tags Key=place,Value=cellar"),
        Do("update-application --application-name cart --new-application-name basket"),
        Do("delete-deployment-group --application-name shop --deployment-group-name rolling",
           {"hooksNotCleanedUp": []}),
        Do("delete-application --application-name mail"),
        Do("delete-deployment-config --deployment-config-name canary"),
    ),
    (
        Do("deregister-on-premises-instance --instance-name house"),
        Do("get-application --application-name basket", {"application": {"computePlatform": "ECS"}}),
        Do("delete-deployment-config --deployment-config-name two"),
        Do("get-deployment --deployment-id {rolling}", {"deploymentInfo": {"status": "Succeeded"}}),
        Do("list-applications --max-items 2",
           {"applications": ["basket", "shop"], "NextToken": ANY}),
    ),
)  # fmt: skip


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Cli:
    """The program, against one sandbox; what commands gave is there for later ones."""

    def __init__(self, endpoint: Endpoint, home: Path, program: Path) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            **endpoint.environment(),
        }
        self._home = home
        self._program = str(program)
        self._room = anyio.CapacityLimiter(AT_ONCE)
        self.known: dict[str, str] = {}
        self.problems: list[str] = []

    async def step(self, commands: Sequence[Do]) -> None:
        async with anyio.create_task_group() as group:
            for command in commands:
                group.start_soon(self._do, command)

    async def _do(self, do: Do) -> None:
        filled = do.command
        for name, value in self.known.items():
            filled = filled.replace(f"{{{name}}}", value)
        async with self._room:
            ended = await anyio.run_process(
                [self._program, "deploy", *shlex.split(filled.replace("{{", "{").replace("}}", "}"))],
                env={**self._environment, **do.environment},
                cwd=self._home,
                check=False,
            )
        out, error = ended.stdout.decode(), ended.stderr.decode()
        if isinstance(do.gives, str):
            is_right = ended.returncode in REFUSED and f"({do.gives})" in error
        else:
            answer = parsed(out)
            is_right = ended.returncode == 0 and fits(answer, do.gives)
            self.known |= {name: look_up(answer, path) for name, path in do.keep.items()} if is_right else {}
        if not is_right:
            self.problems.append(f"aws deploy {filled}: exit {ended.returncode}\n{out}{error}\nexpected {do.gives}")


def parsed(out: str) -> Any:
    """None for nothing; text that is no JSON as it is."""
    try:
        return json.loads(out) if out.strip() else None
    except ValueError:
        return out


def fits(answer: Any, wanted: Any) -> bool:
    if wanted is ANY:
        return answer is not None
    if isinstance(wanted, dict):
        return isinstance(answer, dict) and all(fits(answer.get(name), one) for name, one in wanted.items())
    if isinstance(wanted, list) and isinstance(answer, list):
        return len(wanted) == len(answer) and all(fits(one, other) for one, other in zip(answer, wanted, strict=True))
    return bool(answer == wanted)


def look_up(answer: Any, path: str) -> str:
    for name in path.split("."):
        answer = answer[int(name)] if isinstance(answer, list) else answer[name]
    return str(answer)


def test_the_script_is_long_enough_and_the_judge_can_say_no() -> None:
    commands = [do.command for step in STEPS for do in step]
    assert len(commands) > 80
    assert len({command.split()[0] for command in commands}) > 40
    assert not fits({"a": [1]}, {"a": [1, 2]})
    assert not fits(None, {})
    assert not fits({}, {"a": ANY})


@pytest.mark.long
async def test_a_day_with_the_cli(tmp_path: Path, programs: Programs) -> None:
    source = tmp_path / "app"
    source.mkdir()
    (source / "appspec.yml").write_text("version: 0.0\nos: linux\nfiles: []\n")
    options = SandboxOptions(time_scale=0, faults=Faults(slow=(stuck("slow/stuck"),)))
    async with Sandbox(FLEET, options).serve() as endpoint:
        cli = Cli(endpoint, tmp_path, programs.aws)
        for step in STEPS:
            await cli.step(step)
            assert not cli.problems, "\n".join(cli.problems)
