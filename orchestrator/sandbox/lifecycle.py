"""Lifecycle events in their order, by compute platform and deployment type, and what they end with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NEVER = float("inf")
"""A moment that never comes."""

EVENTS = (
    "ApplicationStop",
    "DownloadBundle",
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
)
BLOCK = ("BeforeBlockTraffic", "BlockTraffic", "AfterBlockTraffic")
ALLOW = ("BeforeAllowTraffic", "AllowTraffic", "AfterAllowTraffic")
EVENTS_WITH_LOAD_BALANCER = (*BLOCK, *EVENTS, *ALLOW)
GREEN_EVENTS = (*EVENTS, *ALLOW)
"""Of a replacement instance; the originals run `BLOCK`."""
ECS_EVENTS = ("BeforeInstall", "Install", "AfterInstall", "AllowTestTraffic", "AfterAllowTestTraffic", *ALLOW)
LAMBDA_EVENTS = ALLOW
ALL_EVENTS = frozenset((*EVENTS_WITH_LOAD_BALANCER, *ECS_EVENTS))

FORGIVEN = frozenset(("ApplicationStop", "BeforeBlockTraffic", "AfterBlockTraffic"))
"""The events that run scripts of the previous revision: `ignoreApplicationStopFailures` lets their failures pass."""
TRAFFIC = frozenset(("BlockTraffic", "AllowTraffic", "AllowTestTraffic"))
"""The service's own work: nothing runs on an instance."""

Label = Literal["", "Blue", "Green"]
TrackStatus = Literal["Pending", "InProgress", "Ready", "Succeeded", "Failed", "Skipped"]
StepStatus = Literal["Pending", "InProgress", "Succeeded", "Failed", "Skipped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnostics:
    """What an event ended with, as GetDeploymentTarget shows it."""

    error_code: str
    script: str
    message: str
    log_tail: str


SUCCESS = Diagnostics(error_code="Success", script="", message="Succeeded", log_tail="")


def broken(message: str, error_code: str = "UnknownError") -> Diagnostics:
    """A failure that is no script's."""
    return Diagnostics(error_code=error_code, script="", message=message, log_tail="")


@dataclass(slots=True)
class Step:
    """One lifecycle event on one instance (or function, or service). Times are epoch seconds."""

    name: str
    status: StepStatus = "Pending"
    start: float | None = None
    end: float | None = None
    diagnostics: Diagnostics | None = None


@dataclass(slots=True)
class Track:
    """One deployment target's part of a deployment: plain data, with the moment when its running event ends."""

    id: str
    steps: list[Step]
    index: int = 0
    """Its place among the group's instances."""
    label: Label = ""
    zone: str = ""
    is_healthy: bool = True
    """Whether it counts among the healthy ones until its deployment fails."""
    status: TrackStatus = "Pending"
    at: int = 0
    """The index of the event that runs, or comes next."""
    until: int = 0
    """The index of the first event that is left to a later stage of the deployment."""
    due: float = NEVER
    outcome: Diagnostics | None = None
    """What the running event will fail with; None: it will succeed."""
    is_external: bool = False
    """Whether an executor runs the event and says how it ended."""
    earliest: float = 0.0
    """Before this moment an event that an executor runs hasn't ended."""
    hook: str = ""
    """The execution id of the Lambda function that the running event waits for."""
    updated: float | None = None

    def skip_rest(self) -> None:
        for step in self.steps[self.at :]:
            if step.status == "Pending":
                step.status = "Skipped"


def new_track(
    name: str, events: tuple[str, ...], *, index: int = 0, label: Label = "", zone: str = "", is_healthy: bool = True
) -> Track:
    steps = [Step(event) for event in events]
    return Track(id=name, steps=steps, index=index, label=label, zone=zone, is_healthy=is_healthy)
