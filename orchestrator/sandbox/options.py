"""How a sandbox behaves: its clock, its address, and everything that is to go wrong in it.

Plain frozen values; `orchestrator.sandbox.injector` rolls the dice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from orchestrator.sandbox.schedule import EVENTS_WITH_LOAD_BALANCER

Service = Literal["codedeploy", "s3", "sts"]

_LOG = "Starting\nConnecting to the database\nError: connection refused\nGiving up after 3 attempts"


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A lifecycle event that fails, as a script that ends with a code other than 0 does."""

    target: str
    """`application/deployment_group`; `*` and `?` match as in file names."""
    event: str = "ApplicationStart"
    instances: tuple[int, ...] | None = None
    """Which instances of the group, counted from 0; None: all."""
    deployments: int | None = None
    """Only the first so many deployments of the group; None: every one. A rollback counts, too."""
    revision: str | None = None
    """Only deployments whose S3 key or GitHub commit holds this text; None: every one."""
    error_code: Literal["ScriptMissing", "ScriptNotExecutable", "ScriptTimedOut", "ScriptFailed", "UnknownError"] = (
        "ScriptFailed"
    )
    script: str = "scripts/start.sh"
    message: str = "Script at specified location: scripts/start.sh failed with exit code 1"
    log_tail: str = _LOG

    def matches(self, target: str, *, number: int, instance: int, revision: str) -> bool:
        """`number` counts the group's deployments from 1."""
        return (
            fnmatchcase(target, self.target)
            and (self.instances is None or instance in self.instances)
            and (self.deployments is None or number <= self.deployments)
            and (self.revision is None or self.revision in revision)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Slow:
    """A group whose events take `factor` times as long. `inf`: its first event never ends until it is stopped."""

    target: str
    """`application/deployment_group`; `*` and `?` match as in file names."""
    factor: float


def stuck(target: str) -> Slow:
    """A group whose deployments never end by themselves."""
    return Slow(target=target, factor=float("inf"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """All that goes wrong. Probabilities are from 0 to 1, all drawn from the one seeded generator of the sandbox."""

    failures: tuple[Failure, ...] = ()
    slow: tuple[Slow, ...] = ()
    throttle: float | None = None
    """CodeDeploy calls a second, for each account and region; a burst of max(1, rate). None: no limit."""
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
    expired_until: float = float("inf")
    """Seconds since the start of the sandbox."""
    unknown_status: float = 0.0
    """A deployment in GetDeployment or BatchGetDeployments shows a status that no model knows."""
    omit: float = 0.0
    """BatchGetDeployments leaves an id out."""

    def problems(self) -> Iterator[str]:
        for name in ("error_rate", "reset_before", "reset_after", "unknown_status", "omit"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                yield f"{name} is {value}; a probability is from 0 to 1"
        if self.throttle is not None and self.throttle <= 0:
            yield f"throttle is {self.throttle}; calls a second, more than 0"
        for failure in self.failures:
            if failure.event not in EVENTS_WITH_LOAD_BALANCER:
                yield f"failure of {failure.target}: unknown event {failure.event!r}"
        if self.latency < 0:
            yield f"latency is {self.latency}; seconds, from 0"
        for slow in self.slow:
            if not slow.factor > 0:
                yield f"slow {slow.target}: factor is {slow.factor}; more than 0"


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

    def __post_init__(self) -> None:
        problems = list(self.faults.problems())
        if not _is_loopback(self.host):
            problems.append(f"host is {self.host!r}; a loopback address such as 127.0.0.1")
        if not 0 <= self.port <= 65535:
            problems.append(f"port is {self.port}; from 0 to 65535")
        if not 0 <= self.time_scale < float("inf"):
            problems.append(f"time_scale is {self.time_scale}; from 0 (at once), 1 is life")
        if not 0 <= self.instances <= 1000:
            problems.append(f"instances is {self.instances}; CodeDeploy takes 0 to 1000")
        if self.page_size < 1:
            problems.append(f"page_size is {self.page_size}; at least 1")
        if problems:
            raise ValueError("\n".join(problems))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
