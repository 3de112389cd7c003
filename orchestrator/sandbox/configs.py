"""Deployment configurations: minimum healthy hosts, zones, and how traffic moves to the new version."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestrator.sandbox.errors import Json
from orchestrator.sandbox.health import HealthRule

Platform = Literal["Server", "Lambda", "ECS"]

MINUTE = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Zonal:
    """One Availability Zone at a time. Seconds."""

    monitor: float = 0.0
    first_monitor: float = 0.0
    per_zone: HealthRule = field(default_factory=lambda: HealthRule(kind="FLEET_PERCENT", value=0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Routing:
    """How traffic moves. `percent` of it at first and, if linear, again after each `interval` seconds."""

    kind: Literal["AllAtOnce", "TimeBasedCanary", "TimeBasedLinear"] = "AllAtOnce"
    percent: int = 100
    interval: float = 0.0

    @property
    def seconds(self) -> float:
        """From the first shift to the last."""
        match self.kind:
            case "AllAtOnce":
                return 0.0
            case "TimeBasedCanary":
                return self.interval
            case "TimeBasedLinear":
                return self.interval * (-(-100 // self.percent) - 1)

    def weight(self, elapsed: float) -> float:
        """Percent of the traffic on the new version, so many seconds after the first shift."""
        if elapsed >= self.seconds:
            return 100.0
        if self.kind == "TimeBasedLinear":
            return float(min(100, self.percent * (1 + int(elapsed // self.interval))))
        return float(self.percent)


@dataclass(slots=True)
class Config:
    """A deployment configuration. Healthy hosts and zones are for Server, traffic routing for ECS and Lambda."""

    name: str
    kind: str
    value: int
    created: float
    built_in: bool = False
    platform: Platform = "Server"
    routing: Routing | None = None
    zonal: Zonal | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def health(self) -> HealthRule:
        return HealthRule(kind=self.kind, value=self.value, built_in=self.built_in)

    def info(self) -> Json:
        """DeploymentConfigInfo, before it is cut to shape."""
        return {
            "deploymentConfigId": self.id,
            "deploymentConfigName": self.name,
            "minimumHealthyHosts": {"type": self.kind, "value": self.value} if self.platform == "Server" else None,
            "createTime": self.created,
            "computePlatform": self.platform,
            "trafficRoutingConfig": _shown_routing(self.routing) if self.routing else None,
            "zonalConfig": _shown_zonal(self.zonal) if self.zonal else None,
        }


def routing_of(given: Mapping[str, Any]) -> Routing:
    """From a TrafficRoutingConfig that has been checked."""
    match given.get("type"):
        case "TimeBasedCanary":
            canary = given["timeBasedCanary"]
            return Routing(
                kind="TimeBasedCanary",
                percent=canary["canaryPercentage"],
                interval=canary["canaryInterval"] * MINUTE,
            )
        case "TimeBasedLinear":
            linear = given["timeBasedLinear"]
            return Routing(
                kind="TimeBasedLinear",
                percent=linear["linearPercentage"],
                interval=linear["linearInterval"] * MINUTE,
            )
        case _:
            return Routing()


def zonal_of(given: Mapping[str, Any]) -> Zonal:
    """From a ZonalConfig that has been checked."""
    monitor = float(given.get("monitorDurationInSeconds") or 0)
    first = given.get("firstZoneMonitorDurationInSeconds")
    per_zone = given.get("minimumHealthyHostsPerZone") or {}
    return Zonal(
        monitor=monitor,
        first_monitor=monitor if first is None else float(first),
        per_zone=HealthRule(kind=per_zone.get("type", "FLEET_PERCENT"), value=per_zone.get("value", 0)),
    )


def built_in(created: float) -> dict[str, Config]:
    """AWS's own."""
    configs = [
        Config(name="CodeDeployDefault.AllAtOnce", kind="FLEET_PERCENT", value=0, created=created, built_in=True),
        Config(name="CodeDeployDefault.HalfAtATime", kind="FLEET_PERCENT", value=50, created=created, built_in=True),
        # AWS reports this type and value, though the API's own enum doesn't have it.
        Config(name="CodeDeployDefault.OneAtATime", kind="MOST_CONCURRENCY", value=1, created=created, built_in=True),
    ]
    for platform, name, routing in _SHIFTS:
        configs.append(
            Config(
                name=f"CodeDeployDefault.{name}",
                kind="FLEET_PERCENT",
                value=0,
                created=created,
                built_in=True,
                platform=platform,
                routing=routing,
            )
        )
    return {config.name: config for config in configs}


def default_config(platform: str) -> str:
    """What a group without a configuration of its own has."""
    return {
        "Lambda": "CodeDeployDefault.LambdaAllAtOnce",
        "ECS": "CodeDeployDefault.ECSAllAtOnce",
    }.get(platform, "CodeDeployDefault.OneAtATime")


def _canary(minutes: int) -> Routing:
    return Routing(kind="TimeBasedCanary", percent=10, interval=minutes * MINUTE)


def _linear(minutes: int) -> Routing:
    return Routing(kind="TimeBasedLinear", percent=10, interval=minutes * MINUTE)


_SHIFTS: tuple[tuple[Platform, str, Routing], ...] = (
    ("ECS", "ECSAllAtOnce", Routing()),
    ("ECS", "ECSCanary10Percent5Minutes", _canary(5)),
    ("ECS", "ECSCanary10Percent15Minutes", _canary(15)),
    ("ECS", "ECSLinear10PercentEvery1Minutes", _linear(1)),
    ("ECS", "ECSLinear10PercentEvery3Minutes", _linear(3)),
    ("Lambda", "LambdaAllAtOnce", Routing()),
    ("Lambda", "LambdaCanary10Percent5Minutes", _canary(5)),
    ("Lambda", "LambdaCanary10Percent10Minutes", _canary(10)),
    ("Lambda", "LambdaCanary10Percent15Minutes", _canary(15)),
    ("Lambda", "LambdaCanary10Percent30Minutes", _canary(30)),
    ("Lambda", "LambdaLinear10PercentEvery1Minute", _linear(1)),
    ("Lambda", "LambdaLinear10PercentEvery2Minutes", _linear(2)),
    ("Lambda", "LambdaLinear10PercentEvery3Minutes", _linear(3)),
    ("Lambda", "LambdaLinear10PercentEvery10Minutes", _linear(10)),
)


def _shown_routing(routing: Routing) -> Json:
    minutes = int(routing.interval // MINUTE)
    shown: Json = {"type": routing.kind}
    if routing.kind == "TimeBasedCanary":
        shown["timeBasedCanary"] = {"canaryPercentage": routing.percent, "canaryInterval": minutes}
    elif routing.kind == "TimeBasedLinear":
        shown["timeBasedLinear"] = {"linearPercentage": routing.percent, "linearInterval": minutes}
    return shown


def _shown_zonal(zonal: Zonal) -> Json:
    return {
        "firstZoneMonitorDurationInSeconds": int(zonal.first_monitor),
        "monitorDurationInSeconds": int(zonal.monitor),
        "minimumHealthyHostsPerZone": {"type": zonal.per_zone.kind, "value": zonal.per_zone.value},
    }
