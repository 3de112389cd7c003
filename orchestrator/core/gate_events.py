"""What happens at gates, in approvals, hooks and bakes, and to the traffic of blue/green deployments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestrator.core.events import Event, TargetEvent

# --- gates -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class GateEvent(Event):
    """Of one gate where it stands: the same gate may stand before several targets."""

    gate: str
    target: str | None
    """None: the gate is the run's own."""
    phase: str
    """before, after, ready or traffic_shifted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateWaiting(GateEvent):
    """It is asked from here on; its time counts from here, whichever process goes on with it."""

    kind: str
    """cloudwatch_alarm, prometheus, http, command or approval."""
    timeout: float | None = None
    """Seconds that it has to pass; None: for ever."""
    held: float = 0.0
    """Seconds of a bake in which it can fail and not pass; `timeout` counts from their end."""
    message: str | None = None
    """What is asked of the person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateMeasured(GateEvent):
    """A measurement that differs from the one before it; those that say the same are not told."""

    verdict: Literal["good", "bad", "unknown"]
    """unknown: it couldn't be asked, which neither passes nor fails it."""
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GatePaused(GateEvent):
    """The process goes while the gate is being measured; the next one goes on with the row, if it comes in time."""

    good: int
    """Good measurements in a row."""
    bad: int
    """Bad ones."""
    next_at: float
    """Epoch seconds of the next measurement."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GatePassed(GateEvent):
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateFailed(GateEvent):
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalDecided(Event):
    """Somebody has approved or rejected; one decision holds for the gate wherever it stands in the run."""

    gate: str
    approved: bool
    by: str
    """The AWS caller identity, or user@host where there is none."""
    reason: str | None = None
    given_at: float
    """Epoch seconds, by the clock of whoever decided."""
    nonce: str = ""
    """Of the request: who asked knows by it that it was taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunBlocked(Event):
    """All that is left waits for people, so the process goes; a resume goes on."""

    reason: str
    gates: tuple[str, ...]
    """The approvals that it waits for."""
    running: tuple[str, ...] = ()
    """Ids of the deployments that wait, too: blue/green ones that are ready."""


# --- after success, and blue/green -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class BakeStarted(TargetEvent):
    """The deployment has succeeded; the target is held, and its after-gates and alarms are watched."""

    seconds: float
    """0: only its after-gates have to pass."""
    alarms: tuple[str, ...] = ()
    """The group's own alarms, which are watched, too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MilestoneReached(TargetEvent):
    """A blue/green deployment is ready for its traffic, or has it; its gates there, if any, have passed."""

    milestone: str
    """ready or traffic_shifted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrafficContinued(TargetEvent):
    """ContinueDeployment was called."""

    deployment_id: str
    accepted: bool
    message: str = ""


# --- hooks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class HookEvent(Event):
    target: str | None
    """None: the hook is the run's own."""
    when: str
    """before, after or on_failure."""
    number: int
    """Its place in the list, from 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HookStarted(HookEvent):
    """Without a `hook_finished` its outcome is unknown, and a resume runs it again."""

    command: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class HookFinished(HookEvent):
    ok: bool
    reason: str
    """How it ended, in words."""
    exit_code: int | None = None
    """None: it didn't start, or was killed."""
    output: str = ""
    """The end of what it wrote, both streams together."""
    seconds: float = 0.0
