"""What a sandbox is filled with when it starts: deployment groups, deployment configurations and buckets.

Plain frozen values; neither botocore nor aiohttp is needed to make them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from orchestrator.sandbox.configs import Platform, Zonal, built_in

DEFAULT_ACCOUNT = "000000000000"
"""The account of the throw-away keys that `Endpoint.environment` hands out."""

BUILT_IN_CONFIGS = tuple(built_in(0.0))

NAME = re.compile(r"[A-Za-z0-9._+=,@-]{1,100}")
_ACCOUNT = re.compile(r"\d{12}")
_REGION = re.compile(r"[a-z0-9-]{1,32}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ROLLBACK_EVENTS = ("DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST")


class FleetError(ValueError):
    """A fleet that can't be built; the message names every mistake, one a line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceSpec:
    """One instance."""

    name: str = ""
    """What people call it; an on-premises instance's name at AWS."""
    tags: tuple[tuple[str, str], ...] = ()
    zone: str = ""
    platform: Literal["linux", "windows"] = "linux"
    is_on_premises: bool = False
    is_running: bool = True
    speed: float = 1.0
    region: str = ""
    account: str = DEFAULT_ACCOUNT
    """Region and account are for those that no group holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BlueGreenSpec:
    """A blueGreenDeploymentConfiguration. Minutes."""

    ready_wait: int | None = None
    """None: traffic is rerouted at once; else it waits so long for ContinueDeployment, and stops."""
    termination_wait: int | None = None
    """None: the originals are kept."""
    is_copied: bool = True
    """Whether replacements are made; else they are there already, and `targetInstances` chooses them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupSpec:
    """One deployment group (and its application, which is made on the way). Names are AWS's own."""

    application: str
    deployment_group: str
    region: str
    account: str = DEFAULT_ACCOUNT
    instances: int = 3
    deployment_config: str = "CodeDeployDefault.OneAtATime"
    auto_rollback: tuple[str, ...] = ()
    """Names of `AutoRollbackEvent`."""
    machines: tuple[InstanceSpec, ...] = ()
    """What its instances are like, in place of the number of them."""
    platform: Platform = "Server"
    ecs_service: str = ""
    """`cluster/service`"""
    load_balancer: str = ""
    """A target group: traffic is taken from an instance before, and given to it afterwards."""
    blue_green: BlueGreenSpec | None = None
    alarms: tuple[str, ...] = ()
    ignores_unreadable_alarms: bool = False

    def problems(self) -> Iterator[str]:
        place = f"group {self.application}/{self.deployment_group}"
        for what, name in (
            ("application name", self.application),
            ("deployment group name", self.deployment_group),
            ("deployment configuration name", self.deployment_config),
        ):
            if not NAME.fullmatch(name):
                yield f"{place}: the {what} {name!r} isn't 1–100 letters, digits or . _ + = , @ -"
        yield from _place_problems(place, self.account, self.region)
        if not 0 <= self.instances <= 1000:
            yield f"{place}: {self.instances} instances; CodeDeploy takes 0 to 1000"
        for event in self.auto_rollback:
            if event not in _ROLLBACK_EVENTS:
                yield f"{place}: unknown rollback event {event!r}; there are {', '.join(_ROLLBACK_EVENTS)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigSpec:
    """A custom deployment configuration."""

    name: str
    region: str
    account: str = DEFAULT_ACCOUNT
    kind: Literal["HOST_COUNT", "FLEET_PERCENT"] = "HOST_COUNT"
    value: int = 0
    """The fewest healthy instances, as a count or as a percentage of the fleet (0–99)."""
    zonal: Zonal | None = None

    def problems(self) -> Iterator[str]:
        place = f"deployment configuration {self.name}"
        if not NAME.fullmatch(self.name):
            yield f"{place}: the name isn't 1–100 letters, digits or . _ + = , @ -"
        if self.name.startswith("CodeDeployDefault."):
            yield f"{place}: names that start with CodeDeployDefault. are AWS's own"
        yield from _place_problems(place, self.account, self.region)
        if self.value < 0 or (self.kind == "FLEET_PERCENT" and self.value > 99):
            yield f"{place}: {self.value} is out of range (HOST_COUNT: from 0; FLEET_PERCENT: 0 to 99)"


@dataclass(frozen=True, kw_only=True, slots=True)
class BucketSpec:
    """A bucket. As at AWS its name is one for all accounts and regions."""

    name: str
    region: str
    account: str = DEFAULT_ACCOUNT
    """Its owner, who alone finds it in a listing; the others may use it."""
    versioned: bool = True

    def problems(self) -> Iterator[str]:
        if not is_bucket_name(self.name):
            yield f"bucket {self.name!r}: a bucket's name is 3–63 lower-case letters, digits, dots and dashes"
        if not _REGION.fullmatch(self.region):
            yield f"bucket {self.name}: {self.region!r} is no region"


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetSpec:
    """Everything there is when the sandbox starts. Raises `FleetError` when it contradicts itself."""

    groups: tuple[GroupSpec, ...] = ()
    buckets: tuple[BucketSpec, ...] = ()
    configs: tuple[ConfigSpec, ...] = ()
    instances: tuple[InstanceSpec, ...] = ()
    """Those that groups find by their tags."""

    def __post_init__(self) -> None:
        specs: tuple[GroupSpec | BucketSpec | ConfigSpec, ...] = (*self.groups, *self.buckets, *self.configs)
        problems = [problem for spec in specs for problem in spec.problems()]
        problems += _duplicates(
            "group", (f"{g.account} {g.region} {g.application}/{g.deployment_group}" for g in self.groups)
        )
        problems += _duplicates("bucket", (bucket.name for bucket in self.buckets))
        problems += _duplicates("deployment configuration", (f"{c.account} {c.region} {c.name}" for c in self.configs))
        problems += self._unknown_configs()
        if problems:
            raise FleetError("\n".join(problems))

    def _unknown_configs(self) -> Iterator[str]:
        custom = {(config.account, config.region, config.name) for config in self.configs}
        for group in self.groups:
            known = (group.account, group.region, group.deployment_config) in custom
            if not known and group.deployment_config not in BUILT_IN_CONFIGS:
                yield (
                    f"group {group.application}/{group.deployment_group}: there is no deployment configuration "
                    f"{group.deployment_config!r} in {group.region}; add a ConfigSpec, or use one of "
                    f"{', '.join(BUILT_IN_CONFIGS)}"
                )


def is_bucket_name(name: str) -> bool:
    return _BUCKET.fullmatch(name) is not None and ".." not in name


def _place_problems(place: str, account: str, region: str) -> Iterator[str]:
    if not _ACCOUNT.fullmatch(account):
        yield f"{place}: {account!r} is no account id (12 digits)"
    if not _REGION.fullmatch(region):
        yield f"{place}: {region!r} is no region"


def _duplicates(what: str, names: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield f"{what} {name} is there twice"
        seen.add(name)
