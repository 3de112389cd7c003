"""A fleet file brought together with what a manifest names, and with what the command's options say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.sandbox.configs import Zonal
from orchestrator.sandbox.fleet import DEFAULT_ACCOUNT, BlueGreenSpec, ConfigSpec, FleetSpec, GroupSpec, InstanceSpec
from orchestrator.sandbox.fleetfaults import Found
from orchestrator.sandbox.fleetfile import FleetFile, GroupEntry
from orchestrator.sandbox.fleetnodes import Notes, similar
from orchestrator.sandbox.health import HealthRule
from orchestrator.sandbox.options import AlarmFault, Failure, Faults, Lost, SandboxOptions, Slow

MINUTE = 60.0

T = TypeVar("T", Failure, Slow, Lost, AlarmFault)
N = TypeVar("N", int, float)


def merged_fleet(file: FleetFile, fleet: FleetSpec) -> FleetSpec:
    """The manifest's groups as the file describes them; without a manifest, the file's own.

    Raises `FleetFileError` where the file names what the manifest hasn't, and `FleetError`.
    """
    region, account = _place(file, fleet)
    own = fleet.groups or tuple(_new_groups(file, region, account))
    targets = [f"{group.application}/{group.deployment_group}" for group in own]
    if fleet.groups:
        _check_targets(file, targets)
    groups = tuple(_patched(group, target, file.groups) for group, target in zip(own, targets, strict=True))
    return FleetSpec(
        groups=groups,
        buckets=fleet.buckets,
        configs=(*_without(fleet.configs, file), *_configs(file, groups, region, account)),
        instances=tuple(_loose(file, region, account)),
    )


def merged_options(
    file: FleetFile | None,
    *,
    faults: Faults,
    time_scale: float | None,
    instances: int | None = None,
    seed: int | None = None,
    **others: Any,
) -> SandboxOptions:
    """What is given wins over what the file says. Raises ValueError."""
    if file is None:
        file = FleetFile(notes=Notes(Path()))
    return SandboxOptions(
        time_scale=_first(time_scale, file.time_scale, 10.0),
        instances=_first(instances, file.instances_per_group, 3),
        seed=_first(seed, file.seed, 0),
        faults=merged_faults(file, faults),
        speeds=file.speeds,
        functions=file.functions,
        alarms=file.alarms,
        repositories=file.repositories,
        **others,
    )


def _first(*values: N | None) -> N:
    """The first that is given."""
    return next(value for value in values if value is not None)


def merged_faults(file: FleetFile, given: Faults) -> Faults:
    """`given`: by options; they win, and their failures come first."""
    calls = dict(file.calls)
    if "expired_for" in calls:
        calls |= {"expired": True, "expired_until": calls.pop("expired_for")}
    if "services" in calls:
        calls["services"] = frozenset(calls["services"])
    if given.throttle is not None:
        calls["throttle"] = given.throttle
    for name in ("error_rate", "reset_before", "reset_after"):
        if value := getattr(given, name):
            calls[name] = value
    return Faults(
        failures=(*given.failures, *_of(file.faults, Failure)),
        slow=_of(file.faults, Slow),
        lost=_of(file.faults, Lost),
        alarms=_of(file.faults, AlarmFault),
        **calls,
    )


def _place(file: FleetFile, fleet: FleetSpec) -> tuple[str, str]:
    """The region and account of what says nothing else."""
    first = next(iter(fleet.groups), None)
    region = file.region or (first.region if first else "us-east-1")
    return region, file.account or (first.account if first else DEFAULT_ACCOUNT)


def _of(faults: Iterable[Found], kind: type[T]) -> tuple[T, ...]:
    return tuple(fault for fault in faults if isinstance(fault, kind))


def _check_targets(file: FleetFile, targets: list[str]) -> None:
    for entry in file.groups:
        if not any(fnmatchcase(target, entry.pattern) for target in targets):
            hint = similar(entry.pattern, targets)
            file.notes.add(entry.node, "groups", f"the manifest has no group {entry.pattern}{hint}")
    file.notes.check()


def _new_groups(file: FleetFile, region: str, account: str) -> Iterator[GroupSpec]:
    for entry in file.groups:
        if not entry.is_pattern:
            application, _, group = entry.pattern.partition("/")
            count = 3 if file.instances_per_group is None else file.instances_per_group
            yield GroupSpec(
                application=application,
                deployment_group=group,
                region=entry.given.get("region", region),
                account=entry.given.get("account", account),
                instances=count,
            )


def _patched(group: GroupSpec, target: str, entries: Iterable[GroupEntry]) -> GroupSpec:
    """Each entry that fits says something; where two say the same, the later one counts."""
    for entry in entries:
        given = entry.given
        is_here = given.get("region", group.region) == group.region and (
            given.get("account", group.account) == group.account
        )
        if fnmatchcase(target, entry.pattern) and is_here:
            group = replace(group, **_changes(given))
    return group


def _changes(given: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        "deployment_config": "deployment_config",
        "auto_rollback": "auto_rollback",
        "load_balancer": "load_balancer",
        "alarms": "alarms",
        "ignore_unreadable_alarms": "ignores_unreadable_alarms",
        "compute_platform": "platform",
        "ecs_service": "ecs_service",
    }
    changes = {field: given[key] for key, field in names.items() if key in given}
    if "ecs_service" in given:
        changes["platform"] = "ECS"
    match given.get("instances"):
        case int() as count:
            changes |= {"instances": count, "machines": ()}
        case tuple() as machines:
            changes["machines"] = tuple(one for machine in machines for one in _instances(machine))
            changes["instances"] = len(changes["machines"])
        case _:
            pass
    if "blue_green" in given:
        changes["blue_green"] = _blue_green(given["blue_green"])
    return changes


def _blue_green(given: Mapping[str, Any]) -> BlueGreenSpec:
    return BlueGreenSpec(
        ready_wait=_minutes(given.get("ready_wait")),
        termination_wait=_minutes(given.get("termination_wait")),
        is_copied=given.get("replacements", "copied") == "copied",
    )


def _minutes(seconds: float | None) -> int | None:
    """AWS knows whole minutes; at least one."""
    return None if seconds is None else max(1, round(seconds / MINUTE))


def _instances(given: Mapping[str, Any], **others: Any) -> Iterator[InstanceSpec]:
    count, name = given.get("count", 1), given.get("name", "")
    for number in range(1, count + 1):
        yield InstanceSpec(
            name=f"{name}-{number}" if name and count > 1 else name,
            tags=tuple(given.get("tags", {}).items()),
            zone=given.get("zone", ""),
            platform=given.get("platform", "linux"),
            is_running=not given.get("stopped", False),
            speed=given.get("speed", 1.0),
            **others,
        )


def _loose(file: FleetFile, region: str, account: str) -> Iterator[InstanceSpec]:
    for given in file.instances:
        yield from _instances(
            given,
            is_on_premises=given.get("on_premises", False),
            region=given.get("region", region),
            account=given.get("account", account),
        )


def _without(configs: Iterable[ConfigSpec], file: FleetFile) -> Iterator[ConfigSpec]:
    """What the manifest only names, and the file describes, is taken from the file."""
    return (config for config in configs if config.name not in file.deployment_configs)


def _configs(file: FleetFile, groups: Iterable[GroupSpec], own_region: str, own_account: str) -> Iterator[ConfigSpec]:
    """In every account and region that has a group, unless the file says where."""
    places = {(group.account, group.region) for group in groups} or {(own_account, own_region)}
    for name, given in file.deployment_configs.items():
        for account, region in sorted(places):
            if given.get("account", account) == account and given.get("region", region) == region:
                yield _config(name, given, account, region)


def _config(name: str, given: Mapping[str, Any], account: str, region: str) -> ConfigSpec:
    rule = _rule(given["minimum_healthy"])
    zonal = None
    if {"monitor", "first_monitor", "minimum_healthy_per_zone"} & given.keys():
        monitor = given.get("monitor", 0.0)
        zonal = Zonal(
            monitor=monitor,
            first_monitor=given.get("first_monitor", monitor),
            per_zone=_rule(given.get("minimum_healthy_per_zone", "0%")),
        )
    return ConfigSpec(
        name=name,
        region=region,
        account=account,
        kind="FLEET_PERCENT" if rule.kind == "FLEET_PERCENT" else "HOST_COUNT",
        value=rule.value,
        zonal=zonal,
    )


def _rule(written: str) -> HealthRule:
    """`2` hosts, or `50%` of them."""
    if written.endswith("%"):
        return HealthRule(kind="FLEET_PERCENT", value=int(written[:-1]))
    return HealthRule(kind="HOST_COUNT", value=int(written))
