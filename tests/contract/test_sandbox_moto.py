"""moto's CodeDeploy as a second opinion: the same calls, the same answers, but for differences that are argued here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from awscli import open_client
from botocore.exceptions import ClientError
from moto import mock_aws

from orchestrator.sandbox.options import SandboxOptions
from orchestrator.sandbox.server import Sandbox

REGION = "us-east-1"
ROLE = "arn:aws:iam::123456789012:role/deploy"
GITHUB = {"revisionType": "GitHub", "gitHubLocation": {"repository": "acme/shop", "commitId": "abc"}}
GROUP = {"applicationName": "app", "deploymentGroupName": "g"}
FILTERS = [{"Key": "Name", "Value": "web", "Type": "KEY_AND_VALUE"}]
SETTINGS = {
    "serviceRoleArn": ROLE,
    "deploymentConfigName": "CodeDeployDefault.HalfAtATime",
    "ec2TagFilters": FILTERS,
    "alarmConfiguration": {"enabled": True, "ignorePollAlarmFailure": False, "alarms": [{"name": "a"}]},
    "autoRollbackConfiguration": {"enabled": True, "events": ["DEPLOYMENT_FAILURE"]},
    "deploymentStyle": {"deploymentType": "IN_PLACE", "deploymentOption": "WITHOUT_TRAFFIC_CONTROL"},
    "outdatedInstancesStrategy": "UPDATE",
}
ARN = "arn:aws:codedeploy:us-east-1:{account}:application:app"

CALLS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "make": ("create_application", {"applicationName": "app", "tags": [{"Key": "a", "Value": "1"}]}),
    "make again": ("create_application", {"applicationName": "app"}),
    "make for Lambda": ("create_application", {"applicationName": "fn", "computePlatform": "Lambda"}),
    "get": ("get_application", {"applicationName": "app"}),
    "get none": ("get_application", {"applicationName": "none"}),
    "get both": ("batch_get_applications", {"applicationNames": ["app", "fn"]}),
    "get one that is none": ("batch_get_applications", {"applicationNames": ["app", "none"]}),
    "list": ("list_applications", {}),
    "make a group": ("create_deployment_group", {**GROUP, **SETTINGS}),
    "make a group again": ("create_deployment_group", {**GROUP, **SETTINGS}),
    "make a small group": ("create_deployment_group", {**GROUP, "deploymentGroupName": "h", "serviceRoleArn": ROLE}),
    "make a group of none": ("create_deployment_group", {**GROUP, **SETTINGS, "applicationName": "none"}),
    "list groups": ("list_deployment_groups", {"applicationName": "app"}),
    "get a group": ("get_deployment_group", GROUP),
    "get a group that is none": ("get_deployment_group", {**GROUP, "deploymentGroupName": "none"}),
    "deploy": ("create_deployment", {**GROUP, "revision": GITHUB, "description": "d", "fileExistsBehavior": "RETAIN"}),
    "deploy to none": ("create_deployment", {**GROUP, "deploymentGroupName": "none", "revision": GITHUB}),
    "deploy to no group": ("create_deployment", {"applicationName": "app", "revision": GITHUB}),
    "get the deployment": ("get_deployment", {"deploymentId": "{deploymentId}"}),
    "get no deployment": ("get_deployment", {"deploymentId": "d-ABCDEFGHI"}),
    "get deployments": ("batch_get_deployments", {"deploymentIds": ["{deploymentId}", "d-ABCDEFGHI"]}),
    "list deployments": ("list_deployments", GROUP),
    "list deployments of an application": ("list_deployments", {"applicationName": "app"}),
    "list deployments by status": ("list_deployments", {**GROUP, "includeOnlyStatuses": ["Failed"]}),
    "tags": ("list_tags_for_resource", {"ResourceArn": ARN}),
    "tag": ("tag_resource", {"ResourceArn": ARN, "Tags": [{"Key": "b", "Value": "2"}]}),
    "untag": ("untag_resource", {"ResourceArn": ARN, "TagKeys": ["a"]}),
    "tags afterwards": ("list_tags_for_resource", {"ResourceArn": ARN}),
}

PLATFORM = "the service tells the compute platform, Server where none was asked for; moto only what was asked for"
LINKED = "the service tells it of every application; moto leaves it out"
DEPLOYMENT = {
    "computePlatform": PLATFORM,
    "autoRollbackConfiguration": "the group's counts where the deployment has none; moto forgets the group's",
    "deploymentOverview": "nothing is counted before the deployment has begun; moto counts zeros",
    "externalId": "it has none; moto gives an empty one",
    "ignoreApplicationStopFailures": "false where it wasn't given; moto leaves it out",
    "updateOutdatedInstancesOnly": "false where it wasn't given; moto leaves it out",
}
DIFFERENCES: Mapping[str, Mapping[str, str]] = {
    "get": {"application.linkedToGitHub": LINKED, "application.computePlatform": PLATFORM},
    "get both": {
        "applicationsInfo.0.linkedToGitHub": LINKED,
        "applicationsInfo.0.computePlatform": PLATFORM,
        "applicationsInfo.1.linkedToGitHub": LINKED,
    },
    "get a group": {
        "deploymentGroupInfo.alarmConfiguration": "it was given; moto loses it",
        "deploymentGroupInfo.computePlatform": PLATFORM,
        "deploymentGroupInfo.terminationHookEnabled": "false where it wasn't given; moto leaves it out",
    },
    "get the deployment": {f"deploymentInfo.{name}": reason for name, reason in DEPLOYMENT.items()},
    "get deployments": {f"deploymentsInfo.0.{name}": reason for name, reason in DEPLOYMENT.items()},
}
"""Where the sandbox is right, and why. One that isn't there any more is a failure, too."""


def play(client: Any, account: str) -> dict[str, Any]:
    """What each call answers: with its ids and times replaced, or the code of its error."""
    known: dict[str, str] = {"account": account}
    answers: dict[str, Any] = {}
    for name, (operation, parameters) in CALLS.items():
        try:
            answer = getattr(client, operation)(**fill(parameters, known))
        except ClientError as error:
            answers[name] = error.response["Error"]["Code"]
            continue
        del answer["ResponseMetadata"]
        known |= {key: value for key, value in answer.items() if key == "deploymentId"}
        answers[name] = plain(answer)
    return answers


def fill(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return value.format(**known) if "{" in value else value
    if isinstance(value, dict):
        return {key: fill(one, known) for key, one in value.items()}
    return [fill(one, known) for one in value] if isinstance(value, list) else value


def plain(value: Any, name: str = "") -> Any:
    """Without what differs by its nature. moto fills in members that have no value, the service leaves them out."""
    if isinstance(value, dict):
        members = {key: plain(one, key) for key, one in value.items()}
        return {key: one for key, one in members.items() if one not in ({}, [], "", None)}
    if isinstance(value, list):
        return [plain(one, name) for one in value]
    if isinstance(value, datetime) or (isinstance(value, str) and name.endswith("Id") and name != "commitId"):
        return f"<{name}>"
    return "<id>" if name == "deployments" else value


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Where they differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            yield from differences(ours.get(key), theirs.get(key), f"{path}.{key}" if path else key)
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(one, other, f"{path}.{number}" if path else str(number))
    elif ours != theirs:
        yield path


@pytest.fixture(scope="module")
def answers() -> dict[str, tuple[Any, Any]]:
    """Of the sandbox and of moto."""
    with mock_aws():
        environment = {"AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        theirs = play(open_client("codedeploy", environment), "123456789012")
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        sandbox = Sandbox(None, SandboxOptions())
        endpoint = stack.enter_context(portal.wrap_async_context_manager(sandbox.serve()))
        ours = play(open_client("codedeploy", endpoint.environment()), "000000000000")
    return {name: (ours[name], theirs[name]) for name in CALLS}


@pytest.mark.parametrize("name", CALLS)
def test_the_same_answers_as_moto(answers: dict[str, tuple[Any, Any]], name: str) -> None:
    ours, theirs = answers[name]
    assert set(differences(ours, theirs)) == set(DIFFERENCES.get(name, {})), (ours, theirs)
