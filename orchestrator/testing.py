"""Shipped fakes: a CodeDeploy that runs in the caller's (virtual) time, a journal in memory, artifacts out of thin air.

They are for speed. `tests/contract/` holds them against the sandbox, and the sandbox against the stock AWS CLI.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio

from orchestrator.core.errors import AnswerLostError, CallError, RefusedError, StateError, ThrottledError
from orchestrator.core.events import Event, Record
from orchestrator.core.model import BundleSource, PromotedBundle, S3Revision, Target
from orchestrator.core.ports import Artifact
from orchestrator.core.state import RunState

EPOCH = 1_800_000_000.0
"""What the wall clock showed when virtual time began."""


def wall_clock() -> float:
    """Epoch seconds in virtual time."""
    return EPOCH + anyio.current_time()


@dataclass(kw_only=True)
class Script:
    """How the deployments of one group go."""

    seconds: float = 10.0
    status: str = "Succeeded"
    """What they end as; None of the three ends: they never end."""
    error: Mapping[str, str] | None = None
    failures: Sequence[Mapping[str, Any]] = ()
    """For each failed instance: `lifecycleEventName`, `scriptName`, `errorCode`, `message`, `logTail`."""
    rollback: str | None = None
    """What the deployment ends as by which CodeDeploy rolls a failed one back; None: it doesn't."""
    rollback_delay: float = 0.0
    """Seconds after the failure until it's named."""
    ready: float | None = None
    """Seconds until it is Ready (blue/green); `seconds` count from ContinueDeployment then. None: it never is."""
    termination: float = 0.0
    """The last of these seconds, in which the traffic has shifted and the old instances wait for their end."""


@dataclass(kw_only=True)
class Made:
    """A deployment in the fake."""

    id: str
    parameters: Mapping[str, Any]
    created: float
    ends: float
    status: str
    creator: str = "user"
    script: Script = field(default_factory=Script)
    stopped: bool = False
    continued: float | None = None
    """When its traffic was let go on."""
    rollback: Made | None = None

    @property
    def key(self) -> tuple[str, str]:
        return (self.parameters["applicationName"], self.parameters["deploymentGroupName"])


Fault = Callable[[str, Mapping[str, Any]], CallError | None]
"""Given an operation and its parameters, says what goes wrong with this attempt."""


def no_fault(_operation: str, _parameters: Mapping[str, Any]) -> CallError | None:
    return None


class ScriptedCodeDeploy:
    """A `Transport`. Every group exists; a second deployment at once in one is refused, as CodeDeploy does."""

    def __init__(
        self,
        scripts: Mapping[tuple[str, str], Script] | None = None,
        *,
        rate: float | None = None,
        latency: float | Callable[[str], float] = 0.01,
    ) -> None:
        """`scripts` by (application name, group name); `rate`: calls a second before it throttles.

        `latency`: seconds of a call, half of them before it is handled; may depend on the operation.
        """
        self.scripts = defaultdict(Script, scripts or {})
        self.choose: Callable[[Mapping[str, Any]], Script | None] = lambda _parameters: None
        """Another script than the group's for the deployment with these parameters; None: the group's."""
        self.before: Fault = no_fault
        """The attempt isn't carried out."""
        self.after: Fault = no_fault
        """The attempt is carried out, and its answer is lost."""
        self.late: Callable[[str, Mapping[str, Any]], float | None] = lambda _operation, _parameters: None
        """The answer is lost, and the attempt is carried out so many seconds later, if it then can be."""
        self.rewrite: Callable[[str, dict[str, Any]], dict[str, Any]] = lambda _operation, answer: answer
        """Changes answers on their way."""
        self.made: dict[str, Made] = {}
        self.calls: Counter[str] = Counter()
        self.throttled = 0
        self.batch_sizes: list[int] = []
        self._latency = latency if callable(latency) else lambda _operation: latency
        self._rate = rate
        self._tokens, self._counted = (rate or 0.0), 0.0
        self._on_their_way: list[tuple[float, str, Mapping[str, Any]]] = []
        self._ids = itertools.count(1)

    def create(
        self,
        application: str,
        group: str,
        *,
        creator: str = "user",
        description: str = "",
        script: Script | None = None,
    ) -> Made:
        """A deployment of somebody else's; without a `script` it goes as the group's own do."""
        parameters = {"applicationName": application, "deploymentGroupName": group, "description": description}
        return self._make(parameters, creator, script)

    def is_busy(self, application: str, group: str) -> bool:
        """Whether a deployment runs in the group."""
        return self._active_in((application, group)) is not None

    def of(self, application: str, group: str) -> list[Made]:
        """All deployments that users made in the group."""
        return [made for made in self.made.values() if made.key == (application, group) and made.creator == "user"]

    def most_at_once(self, among: Iterable[Made] | None = None) -> int:
        """The largest number of deployments (all, or these) that ran at the same time."""
        chosen = list(self.made.values() if among is None else among)
        moments = sorted([(made.created, 1) for made in chosen] + [(made.ends, -1) for made in chosen])
        return max(itertools.accumulate(change for _, change in moments), default=0)

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        self.calls[operation] += 1
        latency = self._latency(operation)
        await anyio.sleep(latency / 2)
        try:
            answer = self._handle(operation, parameters)
        finally:  # errors take their way back, too
            await anyio.sleep(latency / 2)
        if fault := self.after(operation, parameters):
            raise fault
        return self.rewrite(operation, answer)

    def catch_up(self) -> None:
        """Carries out what was late and is due by now. A call does it by itself; look at `made` after it."""
        due = sorted((each for each in self._on_their_way if each[0] <= anyio.current_time()), key=lambda each: each[0])
        for each in due:
            self._on_their_way.remove(each)
            moment, operation, parameters = each
            with suppress(CallError):  # nobody is there to be told
                self._answer(operation, parameters, moment)

    def _handle(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        self.catch_up()
        self._throttle(operation)
        if fault := self.before(operation, parameters):
            raise fault
        delay = self.late(operation, parameters)
        if delay is not None:
            self._on_their_way.append((anyio.current_time() + delay, operation, parameters))
            raise AnswerLostError("the connection was lost", operation=operation)
        return self._answer(operation, parameters)

    # --- the operations ----------------------------------------------------------------------------------------------

    def _answer(self, operation: str, parameters: Mapping[str, Any], moment: float | None = None) -> dict[str, Any]:
        """`moment`: when it is carried out, on anyio's clock; None: now."""
        handlers: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "CreateDeployment": lambda asked: {"deploymentId": self._create(asked, moment).id},
            "BatchGetDeployments": self._batch_get,
            "GetDeployment": lambda asked: {"deploymentInfo": self._info(self._get(asked["deploymentId"]))},
            "BatchGetDeploymentGroups": self._groups,
            "ListDeployments": lambda asked: {"deployments": [made.id for made in self._list(asked)]},
            "ContinueDeployment": lambda asked: self._continue(self._get(asked["deploymentId"])),
            "StopDeployment": lambda asked: self._stop(self._get(asked["deploymentId"])),
            "ListDeploymentTargets": self._list_instances,
            "BatchGetDeploymentTargets": self._instances,
            "RegisterApplicationRevision": lambda _asked: {},
        }
        if operation not in handlers:
            raise RefusedError("not in this fake", operation=operation, code="UnknownOperation")
        return handlers[operation](parameters)

    def _batch_get(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        ids = parameters["deploymentIds"]
        self.batch_sizes.append(len(ids))
        return {"deploymentsInfo": [self._info(self.made[each]) for each in ids if each in self.made]}

    def _groups(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        names = parameters["deploymentGroupNames"]
        return {"deploymentGroupsInfo": [self._group(parameters["applicationName"], name) for name in names]}

    def _list_instances(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        statuses = (parameters.get("targetFilters") or {}).get("TargetStatus")
        targets = self._targets_of(parameters["deploymentId"])
        return {"targetIds": [name for name, data in targets.items() if statuses is None or data["status"] in statuses]}

    def _instances(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        targets = self._targets_of(parameters["deploymentId"])
        return {"deploymentTargets": [{"instanceTarget": targets[name]} for name in parameters["targetIds"]]}

    def _targets_of(self, deployment_id: str) -> dict[str, dict[str, Any]]:
        """`instanceTarget` by id: one that is as slow as the deployment, and after its end those that failed."""
        made = self._get(deployment_id)
        if self._is_active(made):
            return {"i-slow": _slow(made, "InProgress")}
        failed = {f"i-{number}": _failed(number, data) for number, data in enumerate(made.script.failures)}
        return {"i-slow": _slow(made, "Succeeded"), **failed}

    def _create(self, parameters: Mapping[str, Any], moment: float | None) -> Made:
        busy = self._active_in((parameters["applicationName"], parameters["deploymentGroupName"]), moment)
        if busy is not None:
            raise RefusedError(
                f"The Deployment Group already has an active Deployment '{busy.id}'",
                operation="CreateDeployment",
                code="DeploymentLimitExceededException",
            )
        return self._make(parameters, "user", moment=moment)

    def _active_in(self, key: tuple[str, str], moment: float | None = None) -> Made | None:
        return next((made for made in self.made.values() if made.key == key and self._is_active(made, moment)), None)

    def _make(
        self,
        parameters: Mapping[str, Any],
        creator: str,
        script: Script | None = None,
        moment: float | None = None,
    ) -> Made:
        key = (parameters["applicationName"], parameters["deploymentGroupName"])
        script = script or self.choose(parameters) or self.scripts[key]
        now = anyio.current_time() if moment is None else moment
        comes_to_an_end = script.ready is None and script.status in {"Succeeded", "Failed", "Stopped"}
        ends = now + script.seconds if comes_to_an_end else float("inf")
        deployment_id = f"d-{next(self._ids):09d}"
        made = Made(
            id=deployment_id,
            parameters=parameters,
            created=now,
            ends=ends,
            status=script.status,
            creator=creator,
            script=script,
        )
        self.made[deployment_id] = made
        return made

    def _get(self, deployment_id: str) -> Made:
        if deployment_id not in self.made:
            raise RefusedError(f"{deployment_id} does not exist", code="DeploymentDoesNotExistException")
        return self.made[deployment_id]

    def _is_active(self, made: Made, moment: float | None = None) -> bool:
        return (anyio.current_time() if moment is None else moment) < made.ends

    def _is_ready(self, made: Made) -> bool:
        ready = made.script.ready
        waits = ready is not None and made.continued is None and self._is_active(made)
        return waits and anyio.current_time() >= made.created + (ready or 0.0)

    def _continue(self, made: Made) -> dict[str, Any]:
        if not self._is_ready(made):
            raise RefusedError(f"{made.id} isn't ready", code="DeploymentIsNotInReadyStateException")
        made.continued = anyio.current_time()
        made.ends = made.continued + made.script.seconds
        return {}

    def _stop(self, made: Made) -> dict[str, Any]:
        if not self._is_active(made):
            raise RefusedError(f"{made.id} has ended", code="DeploymentAlreadyCompletedException")
        made.stopped, made.status, made.ends = True, "Stopped", anyio.current_time() + 1.0
        return {"status": "Pending", "statusMessage": "No more commands will be scheduled"}

    def _list(self, parameters: Mapping[str, Any]) -> list[Made]:
        key = (parameters.get("applicationName"), parameters.get("deploymentGroupName"))
        found = [made for made in self.made.values() if made.key == key]
        if statuses := parameters.get("includeOnlyStatuses"):
            found = [made for made in found if self._info(made)["status"] in statuses]
        start = (parameters.get("createTimeRange") or {}).get("start", 0)
        return [made for made in found if EPOCH + made.created >= start]

    def _info(self, made: Made) -> dict[str, Any]:
        """`DeploymentInfo`; a rollback comes into being when somebody looks after its time."""
        now, active = anyio.current_time(), self._is_active(made)
        info: dict[str, Any] = {
            **made.parameters,
            "deploymentId": made.id,
            "status": ("Ready" if self._is_ready(made) else "InProgress") if active else made.status,
            "creator": made.creator,
            "createTime": EPOCH + made.created,
        }
        if made.continued is not None and now >= made.ends - made.script.termination:
            info["instanceTerminationWaitTimeStarted"] = True
        if active:
            return info
        info["completeTime"] = EPOCH + made.ends
        if made.script.error and made.status == "Failed":
            info["errorInformation"] = made.script.error
        if made.script.rollback and made.status == "Failed":
            info["autoRollbackConfiguration"] = {"enabled": True, "events": ["DEPLOYMENT_FAILURE"]}
            if now >= made.ends + made.script.rollback_delay:
                info["rollbackInfo"] = {"rollbackDeploymentId": self._rollback(made).id}
        return info

    def _rollback(self, made: Made) -> Made:
        if made.rollback is None:
            script = Script(status=made.script.rollback or "Succeeded", seconds=made.script.seconds)
            made.rollback = self._make(made.parameters, "codeDeployRollback", script)
        return made.rollback

    def _group(self, application: str, name: str) -> dict[str, Any]:
        group: dict[str, Any] = {"applicationName": application, "deploymentGroupName": name}
        made = [made for made in self.made.values() if made.key == (application, name)]
        if made:
            last = self._info(made[-1])
            group["lastAttemptedDeployment"] = {"deploymentId": last["deploymentId"], "status": last["status"]}
        return group

    def _throttle(self, operation: str) -> None:
        if self._rate is None:
            return
        now = anyio.current_time()
        self._tokens = min(self._rate, self._tokens + (now - self._counted) * self._rate)
        self._counted = now
        if self._tokens < 1:
            self.throttled += 1
            raise ThrottledError("Rate exceeded", operation=operation, code="ThrottlingException")
        self._tokens -= 1


def _slow(made: Made, status: str) -> dict[str, Any]:
    began = {"lifecycleEventName": "ApplicationStart", "status": status, "startTime": EPOCH + made.created}
    return {"targetId": "i-slow", "status": status, "lifecycleEvents": [began]}


def _failed(number: int, event: Mapping[str, Any]) -> dict[str, Any]:
    diagnostics = {name: value for name, value in event.items() if name != "lifecycleEventName"}
    failed = {"lifecycleEventName": event["lifecycleEventName"], "status": "Failed", "diagnostics": diagnostics}
    return {"targetId": f"i-{number}", "status": "Failed", "lifecycleEvents": [failed]}


class MemoryJournal:
    """A `Journal` that forgets with the process; `broken` makes its next flush fail."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.durable = 0
        """How many of them a flush has made durable."""
        self.broken = False

    def append(self, record: Record) -> None:
        self.records.append(record)

    async def flush(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.broken:
            raise StateError("the journal can't be written", hint="this is a rehearsal")
        self.durable = len(self.records)

    async def publish(self) -> None:
        await self.flush()


class EventLog:
    """A `Sink` that keeps what it saw."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def handle(self, record: Record, state: RunState) -> None:  # noqa: ARG002 - the port's signature
        self.events.append(record.event)


class InstantArtifacts:
    """`Artifacts` that are ready after `seconds`; `error` makes them fail."""

    def __init__(self, seconds: float = 0.0, error: Exception | None = None) -> None:
        self.prepared: list[tuple[str, ...]] = []
        self.most_at_once = 0
        self._now = 0
        self._seconds = seconds
        self._error = error

    async def prepare(self, targets: Sequence[Target]) -> Artifact:
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            await anyio.sleep(self._seconds)
        finally:
            self._now -= 1
        if self._error is not None:
            raise self._error
        self.prepared.append(tuple(target.id for target in targets))
        source = targets[0].source
        if isinstance(source, PromotedBundle):
            raise NotImplementedError("nothing is copied here")
        if not isinstance(source, BundleSource):
            return Artifact(revision=source, digest=None)
        key = f"{source.prefix}/{targets[0].application}/0.tgz"
        return Artifact(
            revision=S3Revision(bucket=source.bucket, key=key, bundle_type="tgz", etag="0" * 32),
            digest="sha256:" + "0" * 64,
        )
