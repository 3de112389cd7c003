"""A deployment and its group: what was asked for, and how it stands at a moment."""

from __future__ import annotations

import hashlib
import secrets
import string
import uuid
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.sandbox.errors import Json
from orchestrator.sandbox.health import HealthRule
from orchestrator.sandbox.plain import NOT_KEPT, from_plain, to_plain
from orchestrator.sandbox.schedule import Schedule, Step, Track

Creator = Literal["user", "codeDeployRollback"]

_ID_LETTERS = string.ascii_uppercase + string.digits


def new_deployment_id() -> str:
    """Random, not seeded: AWS never uses an id twice, and neither do two runs of the sandbox."""
    return "d-" + "".join(secrets.choice(_ID_LETTERS) for _ in range(9))


@dataclass(slots=True)
class Deployment:
    """One deployment. `schedule` says all that changes with time."""

    id: str
    group: Group = field(metadata=NOT_KEPT)
    number: int
    """Counts the group's deployments from 1."""
    settings: Json
    """The members of DeploymentInfo that never change."""
    schedule: Schedule
    health_of: HealthRule
    """What its deployment configuration asked for when it was created; a rollback asks for the same."""
    rollback_events: frozenset[str] = frozenset()
    """The events on which it is rolled back."""
    problem: str | None = None
    """Why no agent can download its bundle, if so."""
    is_stopping: bool = False
    rollback_info: Json | None = None
    cached: tuple[tuple[Schedule, int, Json | None, str], str] | None = field(default=None, metadata=NOT_KEPT)
    """What DeploymentInfo was serialised from, and the JSON."""

    @property
    def creator(self) -> Creator:
        creator: Creator = self.settings["creator"]
        return creator

    @property
    def revision(self) -> Json:
        revision: Json = self.settings["revision"]
        return revision

    def info(self, now: float) -> Json:
        """DeploymentInfo, before it is cut to shape."""
        schedule = self.schedule
        has_ended, has_started = now >= schedule.ended, now >= schedule.started
        error = schedule.error if has_ended else None
        return {
            **self.settings,
            "deploymentId": self.id,
            "applicationName": self.group.application,
            "deploymentGroupName": self.group.name,
            "status": schedule.status(now),
            "createTime": schedule.created,
            "startTime": schedule.started if has_started else None,
            "completeTime": schedule.ended if has_ended else None,
            "deploymentOverview": schedule.overview(now) if has_started else None,
            "errorInformation": {"code": error[0], "message": error[1]} if error else None,
            "rollbackInfo": self.rollback_info,
        }

    def to_data(self) -> Json:
        """All of it, for the ledger; its group by id."""
        return {**to_plain(self), "group": self.group.id}

    @classmethod
    def from_data(cls, data: Json, group: Group) -> Deployment:
        return from_plain(cls, data, group=group)

    def summary(self, now: float) -> Json:
        """LastDeploymentInfo."""
        return {
            "deploymentId": self.id,
            "status": self.schedule.status(now),
            "createTime": self.schedule.created,
            "endTime": self.schedule.ended if now >= self.schedule.ended else None,
        }

    def target(self, track: Track, now: float) -> Json:
        """DeploymentTarget of one instance."""
        group = self.group
        events = [_event(step, now) for step in track.steps]
        touched = [moment for moment in (track.start, track.end) if moment <= now]
        touched += [step.end for step in track.steps if step.end <= now]
        return {
            "deploymentTargetType": "InstanceTarget",
            "instanceTarget": {
                "deploymentId": self.id,
                "targetId": track.instance,
                "targetArn": f"arn:aws:ec2:{group.region}:{group.account}:instance/{track.instance}",
                "status": track.status(now),
                "lastUpdatedAt": max(touched, default=self.schedule.created),
                "lifecycleEvents": events,
            },
        }


@dataclass(slots=True, eq=False)
class Group:
    """A deployment group with its instances."""

    account: str
    region: str
    application: str
    name: str
    instances: tuple[str, ...]
    settings: Json
    """The members of DeploymentGroupInfo that only UpdateDeploymentGroup changes."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    deployments: list[Deployment] = field(default_factory=list, metadata=NOT_KEPT)
    active: Deployment | None = field(default=None, metadata=NOT_KEPT)
    """The last one, as long as its end hasn't been dealt with."""
    last_successful: Deployment | None = field(default=None, metadata=NOT_KEPT)
    installed: dict[str, str] = field(default_factory=dict)
    """Instance -> key of the revision on it."""
    unhealthy: set[str] = field(default_factory=set)
    """Instances whose last deployment failed."""

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

    def info(self, now: float) -> Json:
        """DeploymentGroupInfo, before it is cut to shape."""
        last, good = self.last_attempted, self.last_successful
        return {
            **self.settings,
            "applicationName": self.application,
            "deploymentGroupName": self.name,
            "deploymentGroupId": self.id,
            "computePlatform": "Server",
            "targetRevision": last.revision if last else None,
            "lastAttemptedDeployment": last.summary(now) if last else None,
            "lastSuccessfulDeployment": good.summary(now) if good else None,
        }


def instance_ids(account: str, region: str, target: str, count: int) -> tuple[str, ...]:
    """The same group has the same instances in every sandbox."""
    place = f"{account}/{region}/{target}"
    return tuple(f"i-0{hashlib.sha256(f'{place}/{n}'.encode()).hexdigest()[:16]}" for n in range(count))


def _event(step: Step, now: float) -> Json:
    has_ended, has_started = now >= step.end, now >= step.start
    found = step.diagnostics if has_ended else None
    return {
        "lifecycleEventName": step.name,
        "status": step.status(now),
        "startTime": step.start if has_started else None,
        "endTime": step.end if has_ended and has_started else None,
        "diagnostics": {
            "errorCode": found.error_code,
            "scriptName": found.script,
            "message": found.message,
            "logTail": found.log_tail,
        }
        if found
        else None,
    }
