"""A deployment and its group: plain data, from which the API's shapes are made."""

from __future__ import annotations

import hashlib
import secrets
import string
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.sandbox.configs import Routing, Zonal
from orchestrator.sandbox.errors import Json
from orchestrator.sandbox.health import HealthRule
from orchestrator.sandbox.lifecycle import NEVER, Track
from orchestrator.sandbox.plain import NOT_KEPT, from_plain, to_plain
from orchestrator.sandbox.revisions import shown_location
from orchestrator.sandbox.rollout import Wave

Creator = Literal["user", "codeDeployRollback"]
Status = Literal["Created", "Queued", "InProgress", "Ready", "Succeeded", "Failed", "Stopped"]
Kind = Literal["in_place", "blue_green", "blue_green_back", "ecs", "ecs_back", "lambda"]

_ID_LETTERS = string.ascii_uppercase + string.digits


def new_deployment_id() -> str:
    """Random, not seeded: AWS never uses an id twice, and neither do two runs of the sandbox."""
    return "d-" + "".join(secrets.choice(_ID_LETTERS) for _ in range(9))


@dataclass(slots=True, eq=False)
class Deployment:
    """One deployment as it stands, and the moments at which it goes on by itself. Times are epoch seconds."""

    id: str
    group: Group = field(metadata=NOT_KEPT)
    number: int
    """Counts the group's deployments from 1."""
    settings: Json
    """The members of DeploymentInfo that never change."""
    created: float
    kind: Kind
    rule: HealthRule
    """What its deployment configuration asked for when it was created; a rollback asks for the same."""
    zonal: Zonal | None = None
    routing: Routing | None = None
    rollback_events: frozenset[str] = frozenset()
    """The events on which it is rolled back."""
    problem: str | None = None
    """Why no agent can download its bundle, or why its AppSpec is none, if so."""
    hooks: dict[str, str] = field(default_factory=dict)
    """Lifecycle event -> Lambda function, as an AppSpec of ECS or Lambda names them."""
    function: Json = field(default_factory=dict)
    """LambdaFunctionInfo of what a Lambda deployment shifts."""
    status: Status = "Created"
    started: float | None = None
    ended: float | None = None
    stage: int = -1
    """The index of its stage in `stages.STAGES`; -1 before the first."""
    due: float = NEVER
    """When it goes on, where that isn't the end of an event."""
    deadline: float = NEVER
    alarm_due: float = NEVER
    """When an alarm goes off, if the fleet has one go off."""
    alarm: str = ""
    tracks: list[Track] = field(default_factory=list)
    fleet: int = 0
    """Instances that the minimum of healthy ones is counted over."""
    healthy_elsewhere: int = 0
    """Healthy ones among them that it leaves alone."""
    wave: Wave | None = None
    error: tuple[str, str] | None = None
    """Code and message."""
    stopping: tuple[str, str] | None = None
    """The code and message that it will have when running commands have ended."""
    has_termination_started: bool = False
    rollback_info: Json | None = None
    queue: list[tuple[float, int]] = field(default_factory=list, metadata=NOT_KEPT)
    """A heap of all due moments, with the number of the track; `stages.queue_of` makes it anew."""
    version: int = 0
    """Another number, another answer of GetDeployment."""
    cached: tuple[tuple[int, str], str] | None = field(default=None, metadata=NOT_KEPT)
    """What DeploymentInfo was serialised from, and the JSON."""

    @property
    def creator(self) -> Creator:
        creator: Creator = self.settings["creator"]
        return creator

    @property
    def revision(self) -> Json:
        revision: Json = self.settings["revision"]
        return revision

    @property
    def is_server(self) -> bool:
        return self.kind in ("in_place", "blue_green", "blue_green_back")

    @property
    def is_blue_green(self) -> bool:
        """On instances."""
        return self.kind in ("blue_green", "blue_green_back")

    @property
    def can_wait(self) -> bool:
        """Whether ContinueDeployment is for it."""
        return self.kind in ("blue_green", "ecs")

    @property
    def next_due(self) -> float:
        return self.queue[0][0] if self.queue else NEVER

    @property
    def alarm_configuration(self) -> Json:
        """Its own, or the group's."""
        found: Json | None = self.settings.get("overrideAlarmConfiguration")
        return (self.group.settings.get("alarmConfiguration") if found is None else found) or {}

    def overview(self) -> dict[str, int] | None:
        """None while nothing is counted yet; on ECS until it has ended."""
        if self.started is None or (self.ended is None and not self.is_server):
            return None
        counts = Counter(track.status for track in self.tracks)
        return {name: counts[name] for name in ("Pending", "InProgress", "Succeeded", "Failed", "Skipped", "Ready")}

    def info(self) -> Json:
        """DeploymentInfo, before it is cut to shape."""
        return {
            **self.settings,
            "revision": shown_location(self.revision),
            "previousRevision": shown_location(previous) if (previous := self.settings["previousRevision"]) else None,
            "deploymentId": self.id,
            "applicationName": self.group.application,
            "deploymentGroupName": self.group.name,
            "status": self.status,
            "createTime": self.created,
            "startTime": self.started,
            "completeTime": self.ended,
            "deploymentOverview": self.overview(),
            "errorInformation": {"code": self.error[0], "message": self.error[1]} if self.error else None,
            "rollbackInfo": self.rollback_info,
            "instanceTerminationWaitTimeStarted": self.has_termination_started,
        }

    def to_data(self) -> Json:
        """All of it, for the ledger; its group by id."""
        return {**to_plain(self), "group": self.group.id}

    @classmethod
    def from_data(cls, data: Json, group: Group) -> Deployment:
        return from_plain(cls, data, group=group)

    def summary(self) -> Json:
        """LastDeploymentInfo."""
        return {"deploymentId": self.id, "status": self.status, "createTime": self.created, "endTime": self.ended}


@dataclass(slots=True, eq=False)
class Group:
    """A deployment group with its instances."""

    account: str
    region: str
    application: str
    name: str
    instances: tuple[str, ...]
    """Those that it has whatever its tags say."""
    settings: Json
    """The members of DeploymentGroupInfo that only UpdateDeploymentGroup changes."""
    platform: str = "Server"
    """That of its application."""
    is_tagged: bool = False
    """Whether its tags choose its instances, where the fleet has instances with tags."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    deployments: list[Deployment] = field(default_factory=list, metadata=NOT_KEPT)
    active: Deployment | None = field(default=None, metadata=NOT_KEPT)
    """The last one, as long as its end hasn't been dealt with."""
    last_successful: Deployment | None = field(default=None, metadata=NOT_KEPT)
    installed: dict[str, str] = field(default_factory=dict)
    """Instance -> key of the revision on it."""
    unhealthy: set[str] = field(default_factory=set)
    """Instances whose last deployment failed."""
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def target(self) -> str:
        return f"{self.application}/{self.name}"

    @property
    def last_attempted(self) -> Deployment | None:
        return self.deployments[-1] if self.deployments else None

    def to_data(self) -> Json:
        """All of it, for the ledger; deployments by id."""
        active, good = self.active, self.last_successful
        return {
            **to_plain(self),
            "active": active.id if active else None,
            "last_successful": good.id if good else None,
        }

    @classmethod
    def from_data(cls, data: Json) -> Group:
        """Without its deployments: see `orchestrator.sandbox.shelf`."""
        return from_plain(cls, data)

    def info(self) -> Json:
        """DeploymentGroupInfo, before it is cut to shape."""
        last, good = self.last_attempted, self.last_successful
        return {
            **self.settings,
            "applicationName": self.application,
            "deploymentGroupName": self.name,
            "deploymentGroupId": self.id,
            "computePlatform": self.platform,
            "targetRevision": last.revision if last else None,
            "lastAttemptedDeployment": last.summary() if last else None,
            "lastSuccessfulDeployment": good.summary() if good else None,
        }


def instance_ids(account: str, region: str, target: str, count: int) -> tuple[str, ...]:
    """The same group has the same instances in every sandbox."""
    place = f"{account}/{region}/{target}"
    return tuple(f"i-0{hashlib.sha256(f'{place}/{n}'.encode()).hexdigest()[:16]}" for n in range(count))
