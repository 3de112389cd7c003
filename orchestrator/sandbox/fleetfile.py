"""The fleet file: what a rehearsal plays, in YAML. `docs/sandbox.md` shows all of it.

Every mistake is reported at once with its place; `fleetmerge` brings what was read together with the manifest's fleet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from orchestrator.sandbox.fleet import NAME
from orchestrator.sandbox.fleetfaults import FAULT, Found, fault_of
from orchestrator.sandbox.fleetnodes import (
    Notes,
    Reader,
    between,
    compose,
    flag,
    listed,
    mapped,
    matching,
    number,
    one_of,
    pairs,
    record,
    seconds,
    share,
    text,
    whole,
)
from orchestrator.sandbox.lifecycle import ALL_EVENTS
from orchestrator.sandbox.options import AlarmState, Function, Report, Speeds

_GROUP = matching(r"[A-Za-z0-9._+=,@*?\[\]-]+/[A-Za-z0-9._+=,@*?\[\]-]+", "application/deployment_group")
_ROLLBACKS = ("DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST")
_REGION = matching(r"[a-z0-9-]{1,32}", "a region")
_ACCOUNT = matching(r"\d{12}", "an account id (12 digits)")
_OPERATIONS = matching(r"[A-Z][A-Za-z0-9]+", "the name of an operation")
_GLOB = re.compile(r"[*?\[]")

_INSTANCE: Mapping[str, Reader] = {
    "name": matching(NAME.pattern, "a name"),
    "count": whole(1, 1000),
    "tags": mapped(text),
    "zone": text,
    "platform": one_of(("linux", "windows"), "platform"),
    "speed": number(0, above=True),
    "stopped": flag,
}
_LOOSE: Mapping[str, Reader] = {**_INSTANCE, "on_premises": flag, "region": _REGION, "account": _ACCOUNT}


def _instances(node: yaml.Node, place: str, notes: Notes) -> Any:
    """So many, or one by one."""
    if isinstance(node, yaml.ScalarNode):
        return whole(0, 1000)(node, place, notes)
    return listed(record(_INSTANCE))(node, place, notes)


def _blue_green(node: yaml.Node, place: str, notes: Notes) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return {} if flag(node, place, notes) else None
    known: Mapping[str, Reader] = {
        "ready_wait": seconds,
        "termination_wait": seconds,
        "replacements": one_of(("copied", "existing"), "replacements"),
    }
    return record(known)(node, place, notes)


_GROUP_KEYS: Mapping[str, Reader] = {
    "instances": _instances,
    "region": _REGION,
    "account": _ACCOUNT,
    "deployment_config": matching(NAME.pattern, "the name of a deployment configuration"),
    "auto_rollback": listed(one_of(_ROLLBACKS, "rollback event")),
    "load_balancer": text,
    "blue_green": _blue_green,
    "compute_platform": one_of(("Server", "ECS", "Lambda"), "compute platform"),
    "ecs_service": text,
    "alarms": listed(text),
    "ignore_unreadable_alarms": flag,
}
_CONFIG: Mapping[str, Reader] = {
    "minimum_healthy": matching(r"\d{1,6}|[0-9]{1,2}%", "a number of hosts, or a percentage from 0% to 99%"),
    "monitor": seconds,
    "first_monitor": seconds,
    "minimum_healthy_per_zone": matching(r"\d{1,6}|[0-9]{1,2}%", "a number of hosts, or a percentage"),
    "region": _REGION,
    "account": _ACCOUNT,
}
_SPEEDS: Mapping[str, Reader] = {
    "lead": seconds,
    "drain": seconds,
    "event": between,
    "events": mapped(between, one_of(ALL_EVENTS, "lifecycle event")),
    "provision": seconds,
    "task_set": between,
}
_CALLS: Mapping[str, Reader] = {
    "throttle": number(0, above=True),
    "throttled": mapped(number(0, above=True), _OPERATIONS),
    "error_rate": share,
    "reset_before": share,
    "reset_after": share,
    "operations": listed(_OPERATIONS),
    "times": whole(0),
    "latency": seconds,
    "services": listed(one_of(("codedeploy", "s3", "sts"), "service")),
    "expired": flag,
    "expired_for": seconds,
    "unknown_status": share,
    "omit": share,
}
_FUNCTION: Mapping[str, Reader] = {
    "reports": one_of(("succeeded", "failed", "nothing"), "report"),
    "seconds": seconds,
}
_REPORTS: Mapping[str, Report] = {"succeeded": "Succeeded", "failed": "Failed", "nothing": "nothing"}


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupEntry:
    """What the file says of a group, or of all that a pattern fits."""

    pattern: str
    given: Mapping[str, Any]
    node: yaml.Node
    """Where it stands."""

    @property
    def is_pattern(self) -> bool:
        return _GLOB.search(self.pattern) is not None


@dataclass(kw_only=True, slots=True)
class FleetFile:
    """A file that was read without a mistake, before it is compared with a manifest."""

    notes: Notes
    seed: int | None = None
    time_scale: float | None = None
    instances_per_group: int | None = None
    region: str | None = None
    account: str | None = None
    """Of what says nothing else; None: those of the first group, or the sandbox's own."""
    speeds: Speeds = field(default_factory=Speeds)
    deployment_configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    groups: tuple[GroupEntry, ...] = ()
    instances: tuple[Mapping[str, Any], ...] = ()
    faults: tuple[Found, ...] = ()
    calls: Mapping[str, Any] = field(default_factory=dict)
    functions: tuple[Function, ...] = ()
    alarms: Mapping[str, AlarmState] = field(default_factory=dict)
    repositories: Mapping[str, Path] = field(default_factory=dict)


def read_fleet(path: Path) -> FleetFile:
    """Raises `FleetFileError`."""
    notes = Notes(path)
    node = compose(path)
    found = record(_TOP)(node, "", notes) if node is not None else {}
    notes.check()
    found["speeds"] = Speeds(**found.get("speeds", {}))
    found["functions"] = tuple(
        Function(name=name, reports=_REPORTS[given.get("reports", "succeeded")], seconds=given.get("seconds", 2.0))
        for name, given in found.get("functions", {}).items()
    )
    found["repositories"] = {name: path.parent / one for name, one in found.get("repositories", {}).items()}
    return FleetFile(notes=notes, **found)


def _groups(node: yaml.Node, place: str, notes: Notes) -> tuple[GroupEntry, ...]:
    entries = []
    for name, key, value in pairs(node, place, notes):
        inside = f"{place}.{name}"
        if _GROUP(key, place, notes) is None:
            continue
        given = record(_GROUP_KEYS)(value, inside, notes)
        _check_platform(given, value, inside, notes)
        entries.append(GroupEntry(pattern=name, given=given, node=key))
    return tuple(entries)


def _check_platform(given: Mapping[str, Any], node: yaml.Node, place: str, notes: Notes) -> None:
    platform = given.get("compute_platform", "ECS" if "ecs_service" in given else "Server")
    if platform == "ECS" and "ecs_service" not in given:
        notes.add(node, place, "compute_platform ECS needs an ecs_service: cluster/service")
    if platform != "ECS" and "ecs_service" in given:
        notes.add(node, place, f"ecs_service is for the compute platform ECS, not for {platform}")
    if platform != "Server" and ("instances" in given or "load_balancer" in given):
        notes.add(node, place, f"instances and load_balancer are for Server; {platform} has none")


def _loose(node: yaml.Node, place: str, notes: Notes) -> Mapping[str, Any]:
    given: Mapping[str, Any] = record(_LOOSE)(node, place, notes)
    if given.get("on_premises") and "name" not in given:
        notes.add(node, place, "an on-premises instance needs a name")
    if "tags" not in given and isinstance(node, yaml.MappingNode):
        notes.add(node, place, "tags are missing: no group would find it")
    return given


def _fault(node: yaml.Node, place: str, notes: Notes) -> Found | None:
    given = record(FAULT, required=("target",))(node, place, notes)
    return fault_of(given, node, place, notes)


_TOP: Mapping[str, Reader] = {
    "seed": whole(-(2**62)),
    "time_scale": number(0),
    "instances_per_group": whole(0, 1000),
    "region": _REGION,
    "account": _ACCOUNT,
    "speeds": record(_SPEEDS),
    "deployment_configs": mapped(record(_CONFIG, required=("minimum_healthy",)), matching(NAME.pattern, "a name")),
    "groups": _groups,
    "instances": listed(_loose),
    "faults": listed(_fault),
    "calls": record(_CALLS),
    "functions": mapped(record(_FUNCTION)),
    "alarms": mapped(one_of(("on", "off", "unreadable"), "state")),
    "repositories": mapped(text, matching(r"[^/\s]+/[^/\s]+", "owner/name")),
}
