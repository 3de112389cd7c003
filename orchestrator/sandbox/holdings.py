"""What a region of CodeDeploy holds besides groups, deployments and configurations: its applications."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from orchestrator.sandbox.deployments import Group
from orchestrator.sandbox.errors import Json
from orchestrator.sandbox.plain import NOT_KEPT
from orchestrator.sandbox.revisions import RevisionRecord, revision_key
from orchestrator.sandbox.tags import tag_list


@dataclass(slots=True)
class Application:
    name: str
    created: float
    platform: str = "Server"
    """Server, Lambda or ECS."""
    tags: dict[str, str] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict, metadata=NOT_KEPT)
    revisions: dict[str, RevisionRecord] = field(default_factory=dict, metadata=NOT_KEPT)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def info(self) -> Json:
        return {
            "applicationId": self.id,
            "applicationName": self.name,
            "createTime": self.created,
            "linkedToGitHub": False,
            "computePlatform": self.platform,
        }

    def known(self, location: Json) -> Json:
        """An AppSpec that is named by its hash, with its content if it has been registered; any other as it is."""
        record = self.revisions.get(revision_key(location))
        return record.location if record is not None else location

    def register(self, location: Json, now: float, description: str | None = None) -> RevisionRecord:
        record = self.revisions.setdefault(revision_key(location), RevisionRecord(location=location, registered=now))
        if description is not None:
            record.description = description
        return record


@dataclass(slots=True)
class OnPremisesInstance:
    name: str
    arn: str
    registered: float
    user_arn: str | None = None
    session_arn: str | None = None
    deregistered: float | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> str:
        return "Registered" if self.deregistered is None else "Deregistered"

    def info(self) -> Json:
        return {
            "instanceName": self.name,
            "iamUserArn": self.user_arn,
            "iamSessionArn": self.session_arn,
            "instanceArn": self.arn,
            "registerTime": self.registered,
            "deregisterTime": self.deregistered,
            "tags": tag_list(self.tags),
        }
