"""What happened, as frozen values; and how they stand in a journal.

Those of gates and hooks are in `core.gate_events`. A `type` is the class's name in snake case. A reader ignores what it
doesn't know, so fields and types may be added; `FORMAT_VERSION` rises only when an old reader would be misled.
Times inside events are epoch seconds (UTC); durations are seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from orchestrator.core.event_classes import event_classes, field_names
from orchestrator.core.model import Outcome, TargetState
from orchestrator.core.times import format_time, parse_time

FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened in a run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetEvent(Event):
    """Something that happened to one target (`application/deployment_group`)."""

    target: str


# --- the run ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStarted(Event):
    """The first event: all that a later process needs to go on with the run."""

    release: str
    environment: str
    manifest: str
    """The manifest's path as the user gave it."""
    manifest_digest: str
    rollback_of: str | None = None
    """The run that this one rolls back."""
    targets: tuple[Mapping[str, Any], ...]
    """Each target as `core.plan.target_to_dict` writes it, in the plan's order."""
    policy: Mapping[str, Any]
    concurrency: Mapping[str, Any]
    version: str
    """The orchestrator's."""
    host: str
    pid: int
    controls: Mapping[str, Any] | None = None
    """The run's own gates and hooks, as `core.controls.controls_to_dict` writes them."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What was selected of the manifest, and with which variables, so that a resume can read it again."""
    freeze: tuple[Mapping[str, Any], ...] = ()
    """`core.freezing.FreezeWindow` each, of its environment."""
    committed_at: float | None = None
    """Epoch seconds: when the commit was made that was checked out around the manifest; None: not known."""
    notifications: tuple[Mapping[str, Any], ...] = ()
    """`core.notifications.NotificationSpec` each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResumed(Event):
    version: str
    host: str
    pid: int
    targets: tuple[str, ...] | None = None
    """Those that it is about, where a part of the run was resumed by itself; None: all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DurationsExpected(Event):
    """How long deployments took in earlier runs: what estimates are made from."""

    seconds: Mapping[str, float]
    """By target; those that were never deployed are missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TraceStarted(Event):
    """This process' spans of the run belong to this one."""

    traceparent: str
    """As W3C's Trace Context writes it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelRequested(Event):
    """Nothing new starts from here on."""

    mode: str
    """wait, stop, rollback or detach."""
    reason: str
    signal: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureLimitReached(Event):
    """`on_failure: stop` or `max_failures`: nothing new starts from here on."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FreezeBegan(Event):
    """A freeze has reached the run: nothing new starts from here on, and what runs is watched to its end."""

    window: str
    until: float
    """Epoch seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FreezeOverridden(Event):
    """Somebody wants this process to go on in spite of freezes."""

    reason: str
    """Theirs."""
    window: str | None = None
    """The freeze that held then, if any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseRollbackRequested(Event):
    """What this run changed is to go back to what stood before it, once nothing of it runs any more."""

    reason: str
    scope: str = "release"
    """release: all that the run changed; target: what failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseRollbackStarted(Event):
    """The rollback is a run of its own, with a journal of its own; how its targets fare is told here, too."""

    rollback_run: str
    """The rollback's id."""
    targets: tuple[str, ...]
    """Those that it deploys to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseRollbackFinished(Event):
    rollback_run: str
    """The rollback's id."""
    resumable: bool = False
    """A fault of ours or of AWS's has ended it for some targets: a resume goes on with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunDetached(Event):
    """We leave while deployments run on."""

    reason: str
    running: tuple[str, ...]
    """Ids of the deployments that were left running."""
    blocked: bool = False
    """Nothing of ours runs: the run waits for something that only time or people can bring, and then for a resume."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFinished(Event):
    outcome: Outcome
    exit_code: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WarningRaised(Event):
    """Worth a line for people; changes no state."""

    message: str
    target: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiThrottled(Event):
    """CodeDeploy asked us to slow down; the budget was cut to `rate` calls a second."""

    service: str
    operation: str
    region: str
    rate: float


# --- a target --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetBlocked(TargetEvent):
    """Waits for something outside the run."""

    reason: str
    deployment_id: str | None = None
    """The foreign deployment that it waits for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetReady(TargetEvent):
    """Its needs are met and it has its slots; `waited` is the time since its needs were met."""

    waited: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DeploymentIntended(TargetEvent):
    """CreateDeployment is about to be sent. Durable before the call; without an answer it has to be looked up."""

    token: str
    attempt: int
    application_name: str
    deployment_group_name: str
    region: str
    role_arn: str | None
    revision: Mapping[str, Any]
    previous_deployment_id: str | None = None
    """The group's last successful deployment as it stood before."""
    previous_revision: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeploymentRefused(TargetEvent):
    """CreateDeployment was answered with a definite no: the intent is closed, nothing was started."""

    token: str
    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DeploymentStarted(TargetEvent):
    token: str
    deployment_id: str
    adopted: bool = False
    """The answer was lost, and the deployment was found by its token."""
    timeout: float | None = None
    """Seconds that it has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeploymentProgressed(TargetEvent):
    deployment_id: str
    status: str
    overview: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class InstancesSeen(TargetEvent):
    """Where the instances of a deployment that takes its time have got to."""

    deployment_id: str
    instances: tuple[Mapping[str, Any], ...]
    """`InstanceProgress` each: instance, status, lifecycle_event, since; those that aren't done first."""
    total: int
    """How many there are in all; `instances` may hold only the first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StopRequested(TargetEvent):
    """StopDeployment was called."""

    deployment_id: str
    reason: str
    accepted: bool
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeploymentEnded(TargetEvent):
    deployment_id: str
    status: str
    error_code: str | None = None
    error_message: str | None = None
    completed_at: float | None = None
    """By CodeDeploy's clock."""
    lag: float | None = None
    """Seconds from then until we saw it; None where the service gave no time."""
    seconds: float | None = None
    """From its creation to its end, by CodeDeploy's clock."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeploymentDiagnosed(TargetEvent):
    """Which script on which instance failed."""

    deployment_id: str
    instances: tuple[Mapping[str, Any], ...]
    """`InstanceFailure` each: instance, status, lifecycle_event, script, error_code, message, log_tail."""
    failed: int
    """How many failed in all; `instances` may hold only the first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackStarted(TargetEvent):
    """CodeDeploy rolls the deployment back by one of its own; or the rollback of the release does."""

    deployment_id: str
    """What is rolled back; empty where it never got an id that we know."""
    rollback_deployment_id: str
    message: str = ""
    of_release: bool = False
    """It belongs to the rollback of the release."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackEnded(TargetEvent):
    rollback_deployment_id: str
    status: str
    error_message: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetRetried(TargetEvent):
    """Its deployment has failed for a reason that another one may mend: there is going to be another one."""

    deployment_id: str
    """The one that has failed."""
    retry: int
    """From 1."""
    reason: str
    wait: float
    """Seconds until then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetFinished(TargetEvent):
    state: TargetState
    reason: str | None = None
    blocked_by: tuple[str, ...] = ()


# --- records ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class UnknownEvent(Event):
    """An event of a newer version; kept, so that `seq` has no gaps, and otherwise ignored."""

    type: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """An event with its place in the run."""

    seq: int
    """From 1, no gaps."""
    ts: float
    """Epoch seconds."""
    run: str
    event: Event

    def to_json(self) -> str:
        """One line, without the line feed."""
        return json.dumps(self.to_dict(), separators=(",", ":"), ensure_ascii=True, default=_jsonable)

    def to_dict(self) -> dict[str, Any]:
        return {
            "v": FORMAT_VERSION,
            "seq": self.seq,
            "ts": format_time(self.ts),
            "run": self.run,
            "type": event_type(type(self.event)),
            **_fields(self.event),
        }


def record_from_dict(data: Mapping[str, Any]) -> Record:
    """Reads what `Record.to_dict` wrote. Raises ValueError when it is no record, or one of a newer format."""
    try:
        version, seq, ts, run, kind = (data[name] for name in ("v", "seq", "ts", "run", "type"))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a journal record: {error} is missing") from None
    if version != FORMAT_VERSION:
        raise ValueError(f"format version {version!r}; this orchestrator reads version {FORMAT_VERSION}")
    fields = {name: value for name, value in data.items() if name not in {"v", "seq", "ts", "run", "type"}}
    try:
        return Record(seq=int(seq), ts=parse_time(ts), run=str(run), event=_event_from(str(kind), fields))
    except TypeError as error:
        raise ValueError(f"not a journal record: {error}") from None


def event_type(cls: type[Event]) -> str:
    """`BundleUploaded` -> `bundle_uploaded`."""
    return _snake(str(cls.__name__))


@cache
def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _fields(event: Event) -> dict[str, Any]:
    if isinstance(event, UnknownEvent):
        return dict(event.fields)
    return {name: getattr(event, name) for name in field_names()[type(event)]}


def _event_from(kind: str, fields: Mapping[str, Any]) -> Event:
    cls = event_classes().get(kind)
    if cls is None:
        return UnknownEvent(type=kind, fields=dict(fields) | {"type": kind})
    known = {name: _read(cls, name, fields[name]) for name in field_names()[cls] if name in fields}
    try:
        return cls(**known)
    except TypeError as error:
        raise ValueError(f"a {kind} event is incomplete: {error}") from None


def _read(cls: type[Event], name: str, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if cls is TargetFinished and name == "state":
        return TargetState(value)
    if cls is RunFinished and name == "outcome":
        return Outcome(value)
    return value


def _jsonable(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no place in an event")
