"""How a sandbox behaves: its clock, its address, and everything that is to go wrong in it.

Plain frozen values; `orchestrator.sandbox.injector` rolls the dice for calls, `orchestrator.sandbox.course` for events.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from orchestrator.sandbox.lifecycle import ALL_EVENTS, NEVER

Service = Literal["codedeploy", "monitoring", "s3", "sts"]
ErrorCode = Literal["ScriptMissing", "ScriptNotExecutable", "ScriptTimedOut", "ScriptFailed", "UnknownError"]
AlarmState = Literal["on", "off", "unreadable"]
Report = Literal["Succeeded", "Failed", "nothing"]

_LOG = "Starting\nConnecting to the database\nError: connection refused\nGiving up after 3 attempts"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What a fault is compared with: one instance in one deployment."""

    seed: int
    target: str
    """`application/deployment_group`"""
    number: int
    """Counts the group's deployments from 1."""
    revision: str
    index: int
    """Of the instance, among those of the group."""
    names: tuple[str, ...]
    """What the instance is called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Where something goes wrong: all that is given has to fit."""

    target: str
    """`application/deployment_group`; `*` and `?` match as in file names."""
    instances: tuple[int | str, ...] | None = None
    """Which instances of the group: counted from 0, or by id or name, with `*` and `?`; None: all."""
    deployments: int | None = None
    """Only the first so many deployments of the group; None: every one. A rollback counts, too."""
    revision: str | None = None
    """Only deployments whose S3 key or GitHub commit holds this text; None: every one."""
    chance: float = 1.0
    """From 0 to 1; the seed decides which instances of which deployments it hits."""

    def matches(self, place: Place) -> bool:
        return (
            fnmatchcase(place.target, self.target)
            and (self.instances is None or any(_is_called(place, one) for one in self.instances))
            and (self.deployments is None or place.number <= self.deployments)
            and (self.revision is None or self.revision in place.revision)
            and (self.chance >= 1 or _dice(self, place) < self.chance)
        )

    def problems(self) -> Iterator[str]:
        if not 0 <= self.chance <= 1:
            yield f"fault of {self.target}: chance is {self.chance}; from 0 to 1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure(Fault):
    """A lifecycle event that fails, as a script that ends with a code other than 0 does."""

    event: str = "ApplicationStart"
    error_code: ErrorCode = "ScriptFailed"
    script: str = "scripts/start.sh"
    message: str = "Script at specified location: scripts/start.sh failed with exit code 1"
    log_tail: str = _LOG

    def problems(self) -> Iterator[str]:
        yield from Fault.problems(self)
        if self.event not in ALL_EVENTS:
            yield f"failure of {self.target}: unknown event {self.event!r}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Slow(Fault):
    """Events that take `factor` times as long. `inf`: the first one never ends until it is stopped."""

    factor: float
    event: str | None = None
    """None: all of them."""

    def problems(self) -> Iterator[str]:
        yield from Fault.problems(self)
        if not self.factor > 0:
            yield f"slow {self.target}: factor is {self.factor}; more than 0"
        if self.event is not None and self.event not in ALL_EVENTS:
            yield f"slow {self.target}: unknown event {self.event!r}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost(Fault):
    """Instances whose agent doesn't hear of this event, which fails after 5 minutes."""

    event: str = "ApplicationStop"
    is_midway: bool = False
    """It begins the event, and is never heard of again: that fails after 70 minutes."""

    def problems(self) -> Iterator[str]:
        yield from Fault.problems(self)
        if self.event not in ALL_EVENTS:
            yield f"lost {self.target}: unknown event {self.event!r}"


@dataclass(frozen=True, kw_only=True, slots=True)
class AlarmFault(Fault):
    """An alarm that goes off in the middle of a deployment whose alarm configuration names it."""

    alarm: str = "*"
    """A name; `*` and `?` match as in file names."""
    after: float = 10.0
    """Seconds from the deployment's start, at time scale 1."""

    def problems(self) -> Iterator[str]:
        yield from Fault.problems(self)
        if self.after < 0:
            yield f"alarm {self.alarm} of {self.target}: after is {self.after}; seconds, from 0"


def stuck(target: str) -> Slow:
    """A group whose deployments never end by themselves."""
    return Slow(target=target, factor=NEVER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """All that goes wrong. Probabilities are from 0 to 1, all drawn from the one seeded generator of the sandbox."""

    failures: tuple[Failure, ...] = ()
    slow: tuple[Slow, ...] = ()
    lost: tuple[Lost, ...] = ()
    alarms: tuple[AlarmFault, ...] = ()
    throttle: float | None = None
    """CodeDeploy calls a second, for each account and region; a burst of max(1, rate). None: no limit."""
    throttled: Mapping[str, float] = field(default_factory=dict)
    """The same for single operations, on top."""
    error_rate: float = 0.0
    """HTTP 500 before the call is carried out."""
    reset_before: float = 0.0
    """The connection is reset before the call is carried out."""
    reset_after: float = 0.0
    """The connection is reset after it was carried out: the answer is lost."""
    operations: tuple[str, ...] = ()
    """The three above only hit these operations; empty: all of them."""
    times: int | None = None
    """How often the three above may happen, all together; None: without end."""
    latency: float = 0.0
    """Seconds that every answer takes."""
    services: frozenset[Service] = frozenset({"codedeploy"})
    """Which services the probabilities, the latency and the expiry above and below apply to."""
    expired: bool = False
    """Every call is refused with ExpiredTokenException. `expired_until` ends it by itself."""
    expired_until: float = NEVER
    """Seconds since the start of the sandbox."""
    unknown_status: float = 0.0
    """A deployment in GetDeployment or BatchGetDeployments shows a status that no model knows."""
    omit: float = 0.0
    """BatchGetDeployments leaves an id out."""

    @property
    def touch_instances(self) -> bool:
        """Whether anything is to happen to events: looked at for each of them."""
        return bool(self.failures or self.slow or self.lost)

    def slowness(self, event: str, place: Place) -> float:
        """All that slow this event down, multiplied."""
        factor = 1.0
        for slow in self.slow:
            if slow.event in (None, event) and slow.matches(place):
                factor *= slow.factor
        return factor

    def problems(self) -> Iterator[str]:
        for name in ("error_rate", "reset_before", "reset_after", "unknown_status", "omit"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                yield f"{name} is {value}; a probability is from 0 to 1"
        for what, rate in (("throttle", self.throttle), *self.throttled.items()):
            if rate is not None and rate <= 0:
                yield f"{what} is {rate}; calls a second, more than 0"
        if self.latency < 0:
            yield f"latency is {self.latency}; seconds, from 0"
        if self.times is not None and self.times < 0:
            yield f"times is {self.times}; from 0"
        for fault in (*self.failures, *self.slow, *self.lost, *self.alarms):
            yield from fault.problems()


@dataclass(frozen=True, kw_only=True, slots=True)
class Speeds:
    """How long things take at time scale 1, in seconds; of a pair, something between the two."""

    lead: float = 0.5
    """In Created and in Queued, each."""
    drain: float = 0.5
    """That running events take to end after a stop."""
    event: tuple[float, float] = (1.0, 3.0)
    events: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Of single lifecycle events."""
    provision: float = 60.0
    """Of the replacement instances that a blue/green deployment copies an Auto Scaling group for."""
    task_set: tuple[float, float] = (90.0, 110.0)
    """ECS: until the replacement task set is there."""

    def of(self, event: str) -> tuple[float, float]:
        return self.events.get(event, self.event)


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """What a Lambda function says that is a hook of a deployment to ECS or Lambda."""

    name: str
    """Or the end of its ARN; `*` and `?` match as in file names."""
    reports: Report = "Succeeded"
    """`nothing`: it waits for PutLifecycleEventHookExecutionStatus, and fails after an hour."""
    seconds: float = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxOptions:
    """Raises ValueError, naming every mistake."""

    host: str = "127.0.0.1"
    """A loopback address, and no other: the sandbox has no TLS, and its first key is known to all."""
    port: int = 0
    """0: any that is free."""
    time_scale: float = 1.0
    """How much faster than life deployments go; 0: they have ended as soon as anyone asks."""
    instances: int = 3
    """Instances of a group that is made with CreateDeploymentGroup."""
    seed: int = 0
    """Of all dice: the durations of events are the same for the same seed, group and number of deployment."""
    page_size: int = 100
    """Of the List operations of CodeDeploy."""
    storage_limit: int = 4 * 1024**3
    """Bytes that all objects together may take on disk."""
    data: Path | None = None
    """The folder in which everything lasts; None: all is gone when it ends."""
    faults: Faults = field(default_factory=Faults)
    speeds: Speeds = field(default_factory=Speeds)
    functions: tuple[Function, ...] = ()
    """The first whose name fits counts; any other function reports success."""
    alarms: Mapping[str, AlarmState] = field(default_factory=dict)
    """As they are from the start; any other is off."""
    repositories: Mapping[str, Path] = field(default_factory=dict)
    """GitHub's owner/name -> a local clone."""

    def __post_init__(self) -> None:
        problems = list(self.faults.problems())
        if not _is_loopback(self.host):
            problems.append(f"host is {self.host!r}; a loopback address such as 127.0.0.1")
        if not 0 <= self.port <= 65535:
            problems.append(f"port is {self.port}; from 0 to 65535")
        if not 0 <= self.time_scale < NEVER:
            problems.append(f"time_scale is {self.time_scale}; from 0 (at once), 1 is life")
        if not 0 <= self.instances <= 1000:
            problems.append(f"instances is {self.instances}; CodeDeploy takes 0 to 1000")
        if self.page_size < 1:
            problems.append(f"page_size is {self.page_size}; at least 1")
        if problems:
            raise ValueError("\n".join(problems))

    def function(self, name: str) -> Function:
        """By name or ARN."""
        for function in self.functions:
            if fnmatchcase(name, function.name) or fnmatchcase(name.rpartition(":")[2], function.name):
                return function
        return Function(name=name)


def _is_called(place: Place, wanted: int | str) -> bool:
    if isinstance(wanted, int):
        return place.index == wanted
    return any(fnmatchcase(name, wanted) for name in place.names if name)


def _dice(fault: Fault, place: Place) -> float:
    """From 0 to 1, the same for the same seed, fault, group, number of deployment and instance."""
    text = f"{place.seed}/{type(fault).__name__}/{fault.target}/{place.target}/{place.number}/{place.index}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) / 2**32


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
