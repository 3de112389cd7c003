"""CodeDeploy's calls: what is sent, what is repeated and for how long, and what counts as the same revision."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import Any

import anyio
import pytest
from world import target

from orchestrator.core.codedeploy import (
    CLOCK_SKEW,
    CodeDeploy,
    Patience,
    create_parameters,
    group_is_busy,
    is_ours,
    same_revision,
)
from orchestrator.core.errors import AnswerLostError, CallError, CredentialsError, RefusedError, ThrottledError
from orchestrator.core.limiter import Budget
from orchestrator.core.model import (
    DESCRIPTION_LIMIT,
    AppSpecRevision,
    Deployment,
    DeploymentSettings,
    DeploymentStatus,
    GitHubRevision,
    Revision,
    S3Revision,
)

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]
Answer = Mapping[str, Any] | CallError

S3 = S3Revision(bucket="b", key="k.tgz", bundle_type="tgz", version="v1", etag="e1")
GITHUB = GitHubRevision(repository="acme/web", commit_id="c0ffee")
APPSPEC = AppSpecRevision(content="version: 0.0", sha256="5" * 64)
TOKEN = "orchestrator:r1/1"
A = target("a/g")
LOST = AnswerLostError("connection reset")


class Told:
    """A `Transport` that gives these answers, one after the other, and keeps what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self._answers: Iterator[Answer] = iter(answers)
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.moments: list[float] = []

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append((operation, dict(parameters)))
        self.moments.append(anyio.current_time())
        await anyio.lowlevel.checkpoint()
        answer = next(self._answers)
        if isinstance(answer, CallError):
            raise answer
        return answer


def client(transport: Told, **more: Any) -> CodeDeploy:
    return CodeDeploy(transport, Budget(rate=40.0), random=Random(1), **more)  # noqa: S311 - jitter, not secrets


# --- what CreateDeployment is sent ----------------------------------------------------------------------------------


def test_what_is_not_set_is_left_to_the_group() -> None:
    assert create_parameters(A, GITHUB, TOKEN) == {
        "applicationName": "a",
        "deploymentGroupName": "g",
        "revision": {
            "revisionType": "GitHub",
            "gitHubLocation": {"repository": "acme/web", "commitId": "c0ffee"},
        },
        "description": TOKEN,
    }


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({"deployment_config": "Half"}, {"deploymentConfigName": "Half"}),
        ({"auto_rollback": ()}, {"autoRollbackConfiguration": {"enabled": False, "events": []}}),
        (
            {"auto_rollback": ("DEPLOYMENT_FAILURE",)},
            {"autoRollbackConfiguration": {"enabled": True, "events": ["DEPLOYMENT_FAILURE"]}},
        ),
        ({"alarms": {"enabled": False}}, {"overrideAlarmConfiguration": {"enabled": False}}),
        ({"alarms": {}}, {"overrideAlarmConfiguration": {}}),
        ({"file_exists_behavior": "RETAIN"}, {"fileExistsBehavior": "RETAIN"}),
        ({"ignore_application_stop_failures": False}, {"ignoreApplicationStopFailures": False}),
        ({"ignore_application_stop_failures": True}, {"ignoreApplicationStopFailures": True}),
        ({"update_outdated_instances_only": False}, {"updateOutdatedInstancesOnly": False}),
        ({"target_instances": {"autoScalingGroups": ["x"]}}, {"targetInstances": {"autoScalingGroups": ["x"]}}),
    ],
)
def test_each_setting_has_its_parameter(settings: dict[str, Any], sent: dict[str, Any]) -> None:
    parameters = create_parameters(replace(A, settings=DeploymentSettings(**settings)), S3, TOKEN)
    assert parameters == create_parameters(A, S3, TOKEN) | sent


def test_the_token_stands_first_and_the_description_is_cut() -> None:
    settings = DeploymentSettings(description="x" * 300)
    description = create_parameters(replace(A, settings=settings), S3, TOKEN)["description"]
    assert description.startswith(f"{TOKEN} xxx")
    assert len(description) == DESCRIPTION_LIMIT


# --- what is the same -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("current", "wanted", "same"),
    [
        (S3, S3, True),
        (None, S3, False),
        (GITHUB, S3, False),
        (replace(S3, version=None), S3, True),
        (S3, replace(S3, version=None, etag=None), True),
        (replace(S3, version="v2"), S3, False),
        (replace(S3, etag="e2"), S3, False),
        (replace(S3, key="other"), S3, False),
        (replace(S3, bundle_type="zip"), S3, False),
        (GITHUB, GITHUB, True),
        (replace(GITHUB, commit_id="d0d0"), GITHUB, False),
        (replace(APPSPEC, content=""), APPSPEC, True),
        (replace(APPSPEC, sha256="6" * 64), APPSPEC, False),
    ],
)
def test_same_revision(current: Revision | None, wanted: Revision, same: bool) -> None:
    assert same_revision(current, wanted) is same


OURS = Deployment(
    id="d-1",
    status=DeploymentStatus.CREATED,
    raw_status="Created",
    application_name="a",
    deployment_group_name="g",
    description=f"{TOKEN} by hand",
    creator="user",
    revision=S3,
)


@pytest.mark.parametrize(
    ("found", "ours"),
    [
        (OURS, True),
        (replace(OURS, creator="", application_name="", deployment_group_name="", revision=None), True),
        (replace(OURS, description=f"{TOKEN}0"), False),
        (replace(OURS, description=f"by hand {TOKEN}"), False),
        (replace(OURS, creator="codeDeployRollback"), False),
        (replace(OURS, application_name="b"), False),
        (replace(OURS, deployment_group_name="h"), False),
        (replace(OURS, revision=GITHUB), False),
    ],
)
def test_is_ours(found: Deployment, ours: bool) -> None:
    assert is_ours(found, A, S3, TOKEN) is ours


@pytest.mark.parametrize("code", ["DeploymentLimitExceededException", "DeploymentLimitExceeded"])
def test_a_busy_group_is_known_by_the_code(code: str) -> None:
    assert group_is_busy(RefusedError("whatever it says", code=code))
    assert not group_is_busy(RefusedError("already has an active deployment", code="InvalidRoleException"))


# --- what is repeated -----------------------------------------------------------------------------------------------


def test_a_read_is_repeated_with_growing_pauses(virtual: Virtual) -> None:
    transport = Told(*[LOST] * 6, {"deploymentInfo": {"deploymentId": "d-1", "status": "Created"}})
    found = virtual(client(transport).deployment("d-1"))
    assert found.id == "d-1"
    pauses = [later - earlier for earlier, later in zip(transport.moments, transport.moments[1:], strict=False)]
    assert pauses[0] < 0.4
    assert 2.0 < pauses[-1] < 11.0


def test_a_read_gives_up_when_its_patience_is_over(virtual: Virtual) -> None:
    transport = Told(*[LOST] * 1000)

    async def story() -> None:
        with pytest.raises(AnswerLostError):
            await client(transport, patience=Patience(seconds=60)).deployment("d-1")
        assert 40 < anyio.current_time() - 1000 <= 60 + 5

    virtual(story())
    assert len(transport.asked) > 5


@pytest.mark.parametrize("error", [RefusedError("no", code="X"), CredentialsError("expired")])
def test_a_definite_no_is_not_repeated(virtual: Virtual, error: CallError) -> None:
    transport = Told(error)
    with pytest.raises(type(error)):
        virtual(client(transport).deployment("d-1"))
    assert len(transport.asked) == 1


def test_a_throttled_call_is_repeated_however_often_and_told_once_a_cut(virtual: Virtual) -> None:
    told: list[tuple[str, float]] = []
    transport = Told(*[ThrottledError("Rate exceeded")] * 8, {"status": "Succeeded"})
    codedeploy = client(transport, on_throttle=lambda operation, rate: told.append((operation, rate)))
    virtual(codedeploy.stop("d-1"))
    assert len(transport.asked) == 9
    assert [operation for operation, _ in told] == ["StopDeployment"] * 8
    assert [rate for _, rate in told] == sorted((rate for _, rate in told), reverse=True)


def test_an_impatient_poll_is_sent_once(virtual: Virtual) -> None:
    transport = Told(LOST)
    with pytest.raises(AnswerLostError):
        virtual(client(transport).deployments(["d-1"], patient=False))
    assert len(transport.asked) == 1


@pytest.mark.parametrize("answer", [LOST, {}, {"deploymentId": ""}])
def test_a_create_is_sent_once_whatever_becomes_of_its_answer(virtual: Virtual, answer: Answer) -> None:
    transport = Told(answer)

    async def story() -> None:
        with pytest.raises(AnswerLostError):
            await client(transport).create(A, S3, TOKEN, unless=anyio.Event())

    virtual(story())
    assert len(transport.asked) == 1


def test_a_throttled_create_is_sent_again_but_not_once_it_is_unwanted(virtual: Virtual) -> None:
    async def story(transport: Told, after: float) -> str | None:
        unless = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_set_after, unless, after)
            found = await client(transport).create(A, S3, TOKEN, unless=unless)
            tasks.cancel_scope.cancel()
        return found

    throttled = [ThrottledError("Rate exceeded")] * 5
    patiently = Told(*throttled, {"deploymentId": "d-1"})
    assert virtual(story(patiently, 1000)) == "d-1"
    unwanted = Told(*throttled, {"deploymentId": "d-1"})
    assert virtual(story(unwanted, 0.3)) is None
    assert len(unwanted.asked) < 6


async def _set_after(event: anyio.Event, seconds: float) -> None:
    await anyio.sleep(seconds)
    event.set()


def test_an_unwanted_create_is_not_sent_at_all(virtual: Virtual) -> None:
    transport = Told()

    async def story() -> str | None:
        unless = anyio.Event()
        unless.set()
        return await client(transport).create(A, S3, TOKEN, unless=unless)

    assert virtual(story()) is None
    assert not transport.asked


# --- lists ----------------------------------------------------------------------------------------------------------


def _infos(*ids: str) -> dict[str, Any]:
    return {"deploymentsInfo": [{"deploymentId": each, "status": "InProgress"} for each in ids]}


def test_lists_are_read_to_their_last_page_and_batches_are_of_25(virtual: Virtual) -> None:
    ids = [f"d-{number}" for number in range(60)]
    transport = Told(
        {"deployments": ids[:30], "nextToken": "more"},
        {"deployments": [], "nextToken": "still more"},
        {"deployments": ids[30:]},
        *(_infos(*ids[start : start + 25]) for start in (0, 25, 50)),
    )
    found = virtual(client(transport).active(A))
    assert [each.id for each in found] == ids
    assert [parameters.get("nextToken") for _, parameters in transport.asked[:3]] == [None, "more", "still more"]
    assert [len(parameters["deploymentIds"]) for _, parameters in transport.asked[3:]] == [25, 25, 10]


def test_what_a_batch_leaves_out_is_asked_for_and_may_not_exist(virtual: Virtual) -> None:
    transport = Told(
        {"deployments": ["d-1", "d-2", "d-3"]},
        _infos("d-2"),
        {"deploymentInfo": {"deploymentId": "d-1", "status": "InProgress"}},
        RefusedError("no", code="DeploymentDoesNotExistException"),
    )
    found = virtual(client(transport).active(A))
    assert sorted(each.id for each in found) == ["d-1", "d-2"]


def test_ours_is_looked_for_at_the_group_first_and_then_in_the_list(virtual: Virtual) -> None:
    ours = {"deploymentId": "d-9", "status": "Created", "description": TOKEN}
    groups = {
        "deploymentGroupsInfo": [{"deploymentGroupName": "g", "lastAttemptedDeployment": {"deploymentId": "d-9"}}]
    }
    quick = Told(groups, {"deploymentsInfo": [ours]})
    assert virtual(client(quick).find_ours(A, S3, TOKEN, 5000.0)).id == "d-9"

    other = {"deploymentsInfo": [{**ours, "description": "somebody else's"}]}
    thorough = Told(groups, other, {"deployments": ["d-9"]}, {"deploymentsInfo": [ours]})
    assert virtual(client(thorough).find_ours(A, S3, TOKEN, 5000.9)).id == "d-9"
    assert thorough.asked[2][1]["createTimeRange"] == {"start": 5000 - CLOCK_SKEW}

    nothing = Told({"deploymentGroupsInfo": []}, {"deployments": []})
    assert virtual(client(nothing).find_ours(A, S3, TOKEN, 5000.0)) is None


def test_failures_are_counted_over_all_pages_and_the_first_25_told(virtual: Virtual) -> None:
    transport = Told(
        {"targetIds": [f"i-{number}" for number in range(20)], "nextToken": "more"},
        {"targetIds": [f"i-{number}" for number in range(20, 40)]},
        {"deploymentTargets": [{"instanceTarget": {"targetId": "i-0", "status": "Failed"}}]},
    )
    failures, failed = virtual(client(transport).failures("d-1"))
    assert (len(failures), failed) == (1, 40)
    assert len(transport.asked[2][1]["targetIds"]) == 25

    none = Told({"targetIds": []})
    assert virtual(client(none).failures("d-1")) == ([], 0)


def test_groups_are_asked_for_a_hundred_at_a_time(virtual: Virtual) -> None:
    names = [f"g{number}" for number in range(150)]
    transport = Told(
        {"deploymentGroupsInfo": [{"deploymentGroupName": name} for name in names[:100]]},
        {"deploymentGroupsInfo": [{"deploymentGroupName": name} for name in names[101:]]},
    )
    found = virtual(client(transport).groups("a", names))
    assert found.keys() == set(names) - {"g100"}
