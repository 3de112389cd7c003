"""CodeDeploy in one account and region: typed calls under one budget, and the one place where calls are repeated.

Reads are repeated until they are answered or patience runs out. CreateDeployment is sent once: whether a lost answer
means a lost request, only a look at the group can tell (`find_ours`). The SDK below repeats nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import anyio

from orchestrator.core import shapes
from orchestrator.core.calling_off import cancel_after
from orchestrator.core.chunks import chunks
from orchestrator.core.errors import AnswerLostError, CallError, RefusedError, ThrottledError
from orchestrator.core.instances import InstanceFailure, InstanceProgress
from orchestrator.core.limiter import Budget, Priority, Ticket
from orchestrator.core.model import (
    ACTIVE_STATUSES,
    AppSpecRevision,
    Deployment,
    DeploymentSettings,
    Group,
    Revision,
    Target,
    revision_from_api,
    revision_to_api,
)
from orchestrator.core.ports import Transport
from orchestrator.core.token import describe

BATCH = 25
"""Ids that BatchGetDeployments and BatchGetDeploymentTargets take (API model)."""

GROUP_BATCH = 100
"""Names that BatchGetDeploymentGroups takes."""

CREATOR_USER = "user"
"""`creator` of a deployment that an API call made."""

_UNFINISHED = ("InProgress", "Failed", "Unknown")
"""Of CodeDeploy's words for instances: at work, or in trouble. Those that wait for their turn have nothing to tell."""

CLOCK_SKEW = 300
"""Seconds that AWS's clock and ours may differ by, when ListDeployments is asked by time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long reads are repeated when answers are lost."""

    seconds: float = 120.0
    first_pause: float = 0.2
    longest_pause: float = 10.0


class _NotSentError(Exception):
    """The caller took its request back before it was sent."""


class CodeDeploy:
    """The operations that the engine, the plan and `wait` need.

    Every call may raise `RefusedError` or `CredentialsError` at once, and `AnswerLostError` when patience ran out.
    A throttled call is always repeated; it slows the budget down and is told to `on_throttle`.
    """

    def __init__(
        self,
        transport: Transport,
        budget: Budget,
        *,
        random: Random,
        patience: Patience | None = None,
        on_throttle: Callable[[str, float], None] = lambda _operation, _rate: None,
    ) -> None:
        """`on_throttle` is given the operation and the budget's new rate, once for each cut."""
        self.budget = budget
        self._transport = transport
        self._random = random
        self._patience = patience or Patience()
        self._on_throttle = on_throttle

    def with_patience(self, patience: Patience) -> CodeDeploy:
        """The same connection and budget, with another patience."""
        return CodeDeploy(
            self._transport, self.budget, random=self._random, patience=patience, on_throttle=self._on_throttle
        )

    # --- groups and revisions ----------------------------------------------------------------------------------------

    async def groups(self, application_name: str, names: Sequence[str]) -> dict[str, Group]:
        """Those of these groups that exist, by name. `RefusedError` when the application doesn't."""
        found: dict[str, Group] = {}
        for batch in chunks(names, GROUP_BATCH):
            parameters = {"applicationName": application_name, "deploymentGroupNames": list(batch)}
            answer = await self._read("BatchGetDeploymentGroups", parameters, Priority.LIST)
            for data in answer.get("deploymentGroupsInfo") or ():
                group = shapes.group(data)
                found[group.name] = group
        return found

    async def application_names(self) -> list[str]:
        return await self._names("ListApplications", {}, "applications")

    async def group_names(self, application_name: str) -> list[str]:
        """`RefusedError` when there is no such application."""
        return await self._names("ListDeploymentGroups", {"applicationName": application_name}, "deploymentGroups")

    async def tags(self, arn: str) -> dict[str, str]:
        """Of an application or a group: a call each."""
        found: dict[str, str] = {}
        parameters = {"ResourceArn": arn}
        while True:
            answer = await self._read("ListTagsForResource", parameters, Priority.LIST)
            found |= {tag["Key"]: tag.get("Value") or "" for tag in answer.get("Tags") or ()}
            if not answer.get("NextToken"):
                return found
            parameters = {"ResourceArn": arn, "NextToken": answer["NextToken"]}

    async def platforms(self, application_names: Sequence[str]) -> dict[str, str]:
        """The compute platforms (Server, ECS, Lambda) of up to 100 applications, by name.

        `RefusedError` (ApplicationDoesNotExistException) when one of them doesn't exist.
        """
        answer = await self._read("BatchGetApplications", {"applicationNames": list(application_names)}, Priority.LIST)
        found = answer.get("applicationsInfo") or ()
        return {each["applicationName"]: each.get("computePlatform") or "Server" for each in found}

    async def appspecs(self, application_name: str, revisions: Sequence[AppSpecRevision]) -> list[AppSpecRevision]:
        """Those of these AppSpecs, known by their hashes, whose content CodeDeploy still has."""
        found: list[Revision | None] = []
        for batch in chunks(revisions, BATCH):
            named = [
                {"revisionType": "AppSpecContent", "appSpecContent": {"sha256": revision.sha256}} for revision in batch
            ]
            parameters = {"applicationName": application_name, "revisions": named}
            answer = await self._read("BatchGetApplicationRevisions", parameters, Priority.LIST)
            found += [revision_from_api(each.get("revisionLocation")) for each in answer.get("revisions") or ()]
        return [each for each in found if isinstance(each, AppSpecRevision) and each.content]

    async def config_platform(self, name: str) -> str:
        """The compute platform of a deployment configuration. `RefusedError` when there is none of this name."""
        answer = await self._read("GetDeploymentConfig", {"deploymentConfigName": name}, Priority.LIST)
        return str((answer.get("deploymentConfigInfo") or {}).get("computePlatform") or "Server")

    async def register(self, application_name: str, revision: Revision, description: str) -> None:
        """Registers a revision; safe to repeat."""
        parameters = {
            "applicationName": application_name,
            "revision": revision_to_api(revision),
            "description": description,
        }
        await self._read("RegisterApplicationRevision", parameters, Priority.CREATE)

    # --- deployments -------------------------------------------------------------------------------------------------

    async def create(self, target: Target, revision: Revision, token: str, *, unless: anyio.Event) -> str | None:
        """Sends CreateDeployment once and returns the deployment's id; None when `unless` came before it was sent.

        Raises `AnswerLostError` when it may have been carried out, `RefusedError` when it wasn't.
        """
        parameters = create_parameters(target, revision, token)
        try:
            answer = await self._send("CreateDeployment", parameters, Priority.CREATE, unless)
        except _NotSentError:
            return None
        deployment_id = answer.get("deploymentId")
        if not deployment_id:
            raise AnswerLostError("the answer holds no deploymentId", operation="CreateDeployment")
        return str(deployment_id)

    async def deployments(
        self, ids: Sequence[str], *, priority: Priority = Priority.POLL, patient: bool = True
    ) -> dict[str, Deployment]:
        """Up to 25 deployments by id; what CodeDeploy doesn't know (yet) is left out."""
        parameters = {"deploymentIds": list(ids)}
        call = self._read if patient else self._send
        answer = await call("BatchGetDeployments", parameters, priority)
        found = (shapes.deployment(data) for data in answer.get("deploymentsInfo") or ())
        return {deployment.id: deployment for deployment in found}

    async def deployment(
        self, deployment_id: str, *, priority: Priority = Priority.POLL, patient: bool = True
    ) -> Deployment:
        """`RefusedError` with code DeploymentDoesNotExistException when there is none."""
        call = self._read if patient else self._send
        answer = await call("GetDeployment", {"deploymentId": deployment_id}, priority)
        return shapes.deployment(answer.get("deploymentInfo") or {})

    async def stop(self, deployment_id: str, *, auto_rollback: bool | None = None) -> str:
        """Asks for the deployment's stop; safe to repeat. Returns CodeDeploy's message."""
        parameters: dict[str, Any] = {"deploymentId": deployment_id}
        if auto_rollback is not None:
            parameters["autoRollbackEnabled"] = auto_rollback
        answer = await self._read("StopDeployment", parameters, Priority.STOP)
        return str(answer.get("statusMessage") or answer.get("status") or "")

    async def shift_traffic(self, deployment_id: str) -> None:
        """Lets a blue/green deployment that is ready reroute its traffic: one attempt.

        `AnswerLostError` when it may have been carried out. To ask again is safe: what isn't ready any more is refused.
        """
        parameters = {"deploymentId": deployment_id, "deploymentWaitType": "READY_WAIT"}
        await self._send("ContinueDeployment", parameters, Priority.CREATE)

    async def active(self, target: Target) -> list[Deployment]:
        """The deployments that keep the target's group busy."""
        ids = await self._list(target, {"includeOnlyStatuses": list(ACTIVE_STATUSES)})
        return await self._many(ids)

    async def find_ours(self, target: Target, revision: Revision, token: str, since: float) -> Deployment | None:
        """The deployment that carries the token, if CodeDeploy shows one. `since`: epoch seconds of the intent.

        Looks at the group's last attempted deployment first, then at all of the group's since then.
        """
        groups = await self.groups(target.application_name, [target.deployment_group_name])
        group = groups.get(target.deployment_group_name)
        if group is not None and group.last_attempted_id is not None:
            found = _ours(await self._many([group.last_attempted_id]), target, revision, token)
            if found is not None:
                return found
        ids = await self._list(target, {"createTimeRange": {"start": int(since) - CLOCK_SKEW}})
        return _ours(await self._many(ids), target, revision, token)

    async def failures(self, deployment_id: str) -> tuple[list[InstanceFailure], int]:
        """The first 25 failed instances with their diagnostics, and how many failed in all."""
        ids: list[str] = []
        token: str | None = None
        while True:
            parameters: dict[str, Any] = {"deploymentId": deployment_id, "targetFilters": {"TargetStatus": ["Failed"]}}
            if token is not None:
                parameters["nextToken"] = token
            answer = await self._read("ListDeploymentTargets", parameters, Priority.LIST)
            ids += answer.get("targetIds") or ()
            token = answer.get("nextToken")
            if not token:
                break
        if not ids:
            return [], 0
        parameters = {"deploymentId": deployment_id, "targetIds": ids[:BATCH]}
        answer = await self._read("BatchGetDeploymentTargets", parameters, Priority.LIST)
        failures = [shapes.instance_failure(data) for data in answer.get("deploymentTargets") or ()]
        return failures, len(ids)

    async def unfinished_instances(self, deployment_id: str) -> list[InstanceProgress]:
        """Up to 25 of the instances that are at work or in trouble, with the lifecycle event that each is at."""
        filters = {"TargetStatus": list(_UNFINISHED)}
        parameters: dict[str, Any] = {"deploymentId": deployment_id, "targetFilters": filters}
        answer = await self._read("ListDeploymentTargets", parameters, Priority.LIST)
        ids = answer.get("targetIds") or ()
        if not ids:
            return []
        parameters = {"deploymentId": deployment_id, "targetIds": list(ids[:BATCH])}
        answer = await self._read("BatchGetDeploymentTargets", parameters, Priority.LIST)
        return [shapes.instance_progress(data) for data in answer.get("deploymentTargets") or ()]

    # --- calls -------------------------------------------------------------------------------------------------------

    async def _names(self, operation: str, parameters: Mapping[str, Any], key: str) -> list[str]:
        """All pages of a listing."""
        names: list[str] = []
        asked = dict(parameters)
        while True:
            answer = await self._read(operation, asked, Priority.LIST)
            names += answer.get(key) or ()
            if not answer.get("nextToken"):
                return names
            asked = {**parameters, "nextToken": answer["nextToken"]}

    async def _list(self, target: Target, filters: Mapping[str, Any]) -> list[str]:
        parameters = {
            "applicationName": target.application_name,
            "deploymentGroupName": target.deployment_group_name,
            **filters,
        }
        return await self._names("ListDeployments", parameters, "deployments")

    async def _many(self, ids: Sequence[str]) -> list[Deployment]:
        """Those of these deployments that exist. A batch may leave one out that is there: it was listed, so we ask."""
        found: list[Deployment] = []
        for batch in chunks(ids, BATCH):
            answer = await self.deployments(batch, priority=Priority.LIST)
            found += answer.values()
            for deployment_id in batch:
                if deployment_id not in answer:
                    found += await self._one(deployment_id)
        return found

    async def _one(self, deployment_id: str) -> list[Deployment]:
        """Empty where there is no such deployment."""
        try:
            return [await self.deployment(deployment_id, priority=Priority.LIST)]
        except RefusedError as error:
            if error.code.startswith("DeploymentDoesNotExist"):
                return []
            raise

    async def _read(self, operation: str, parameters: Mapping[str, Any], priority: Priority) -> Mapping[str, Any]:
        """A call that may be repeated."""
        deadline = anyio.current_time() + self._patience.seconds
        pause = self._patience.first_pause
        while True:
            try:
                return await self._send(operation, parameters, priority)
            except AnswerLostError:
                if anyio.current_time() + pause > deadline:
                    raise
            await anyio.sleep(pause * (0.5 + self._random.random()))
            pause = min(pause * 2, self._patience.longest_pause)

    async def _send(
        self,
        operation: str,
        parameters: Mapping[str, Any],
        priority: Priority,
        unless: anyio.Event | None = None,
    ) -> Mapping[str, Any]:
        """One attempt that was let through; a throttled one was never carried out, so it may always be repeated.

        Raises `_NotSentError` when `unless` comes while it waits to be let through.
        """
        while True:
            ticket = await self._turn(priority, unless)
            try:
                answer = await self._transport.call(operation, parameters)
            except ThrottledError:
                if self.budget.throttled(ticket):
                    self._on_throttle(operation, self.budget.rate)
                continue
            except CallError:
                self.budget.succeeded()
                raise
            self.budget.succeeded()
            return answer

    async def _turn(self, priority: Priority, unless: anyio.Event | None) -> Ticket:
        if unless is None:
            return await self.budget.acquire(priority)
        ticket: Ticket | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel_after, unless, tasks.cancel_scope)
            ticket = await self.budget.acquire(priority)
            tasks.cancel_scope.cancel()
        if ticket is None or unless.is_set():
            raise _NotSentError
        return ticket


def create_parameters(target: Target, revision: Revision, token: str) -> dict[str, Any]:
    """CreateDeployment's parameters; what isn't set is left to the group."""
    return {
        "applicationName": target.application_name,
        "deploymentGroupName": target.deployment_group_name,
        "revision": revision_to_api(revision),
        "description": describe(token, target.settings.description),
        **_optional_parameters(target.settings),
    }


def _optional_parameters(settings: DeploymentSettings) -> dict[str, Any]:
    rollback = settings.auto_rollback
    values = {
        "deploymentConfigName": settings.deployment_config,
        "autoRollbackConfiguration": None
        if rollback is None
        else {"enabled": bool(rollback), "events": list(rollback)},
        "overrideAlarmConfiguration": None if settings.alarms is None else dict(settings.alarms),
        "fileExistsBehavior": settings.file_exists_behavior,
        "ignoreApplicationStopFailures": settings.ignore_application_stop_failures,
        "updateOutdatedInstancesOnly": settings.update_outdated_instances_only,
        "targetInstances": None if settings.target_instances is None else dict(settings.target_instances),
    }
    return {name: value for name, value in values.items() if value is not None}


def _ours(deployments: Sequence[Deployment], target: Target, revision: Revision, token: str) -> Deployment | None:
    return next((found for found in deployments if is_ours(found, target, revision, token)), None)


def is_ours(found: Deployment, target: Target, revision: Revision, token: str) -> bool:
    """Token, target, revision and creator all agree; an answer's empty field contradicts nothing."""
    return (
        found.description.split(" ", 1)[0] == token
        and found.application_name in {"", target.application_name}
        and found.deployment_group_name in {"", target.deployment_group_name}
        and found.creator in {"", CREATOR_USER}
        and (found.revision is None or same_revision(found.revision, revision))
    )


def same_revision(current: Revision | None, wanted: Revision) -> bool:
    """Whether they surely are the same content: a version or eTag that one of them lacks contradicts nothing."""
    if current is None or type(current) is not type(wanted):
        return False
    mine, theirs = revision_to_api(wanted), revision_to_api(current)
    name = next(key for key in mine if key != "revisionType")
    mine, theirs = mine[name], theirs[name]
    if name == "appSpecContent":  # CodeDeploy gives back the sha256 only
        return bool(mine["sha256"] == theirs["sha256"])
    return all(mine[key] == theirs[key] for key in mine.keys() & theirs.keys())


def group_is_busy(error: RefusedError) -> bool:
    """DeploymentLimitExceeded: the group has an active deployment, or the account has too many."""
    return error.code.startswith("DeploymentLimitExceeded")
