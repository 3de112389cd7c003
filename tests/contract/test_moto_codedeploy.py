"""The gateway against moto's CodeDeploy: what our own sandbox and our own gateway could both get wrong alike."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from random import Random

import anyio
import pytest
from motos import moto_server
from world import target

from orchestrator.aws import AwsSession, CodeDeployTransport
from orchestrator.core.codedeploy import CodeDeploy, is_ours
from orchestrator.core.errors import RefusedError
from orchestrator.core.limiter import Budget
from orchestrator.core.model import GitHubRevision, Location, Target

HERE = Location(region="eu-west-1")
REVISION = GitHubRevision(repository="acme/x", commit_id="a" * 40)
TOKEN = "orchestrator:r1/1"

pytestmark = pytest.mark.anyio


@pytest.fixture
async def gateway() -> AsyncIterator[tuple[CodeDeploy, Target]]:
    """With an application and a group of its own: moto's are its process's."""
    name = f"app-{uuid.uuid4()}"
    async with moto_server() as environment, AwsSession(endpoint_environment=environment) as session:
        role = "arn:aws:iam::123456789012:role/deploy"
        group = {"applicationName": name, "deploymentGroupName": "g", "serviceRoleArn": role}
        await session.call("codedeploy", HERE, "CreateApplication", {"applicationName": name})
        await session.call("codedeploy", HERE, "CreateDeploymentGroup", group)
        random = Random(1)  # noqa: S311 - jitter, no secret
        yield CodeDeploy(CodeDeployTransport(session, HERE), Budget(), random=random), target(f"{name}/g")


async def test_what_was_created_is_found_by_its_token(gateway: tuple[CodeDeploy, Target]) -> None:
    """As a group that is busy is looked at; moto has no BatchGetDeploymentGroups, which `find_ours` asks first."""
    codedeploy, made_for = gateway
    made = await codedeploy.create(made_for, REVISION, TOKEN, unless=anyio.Event())
    (found,) = await codedeploy.active(made_for)
    assert (found.id, found.revision) == (made, REVISION)
    assert is_ours(found, made_for, REVISION, TOKEN)
    assert not is_ours(found, made_for, REVISION, "orchestrator:r2/1")
    assert not is_ours(found, made_for, GitHubRevision(repository="acme/x", commit_id="b" * 40), TOKEN)


async def test_many_are_read_at_once_and_those_that_are_none_are_left_out(gateway: tuple[CodeDeploy, Target]) -> None:
    codedeploy, made_for = gateway
    made = [await codedeploy.create(made_for, REVISION, f"orchestrator:r1/{n}", unless=anyio.Event()) for n in range(3)]
    ids = [each for each in made if each is not None]
    found = await codedeploy.deployments([*ids, "d-ABCDEFGHI"])
    assert sorted(found) == sorted(ids)
    assert {each.description.split(" ")[0] for each in found.values()} == {f"orchestrator:r1/{n}" for n in range(3)}


async def test_what_is_not_there_is_a_definite_no(gateway: tuple[CodeDeploy, Target]) -> None:
    codedeploy, _ = gateway
    with pytest.raises(RefusedError, match="DoesNotExist"):
        await codedeploy.create(target("nobody/g"), REVISION, TOKEN, unless=anyio.Event())
