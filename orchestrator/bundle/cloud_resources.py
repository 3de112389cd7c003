"""Properties of the one resource of an AppSpec for ECS or Lambda."""

from __future__ import annotations

from orchestrator.bundle.appspec_findings import Findings, did_you_mean
from orchestrator.bundle.cloud_keys import field_of, required_text, warn_of_other_keys
from orchestrator.bundle.ruby_yaml import Value

_ECS = ("TaskDefinition", "LoadBalancerInfo", "PlatformVersion", "NetworkConfiguration", "CapacityProviderStrategy")
_AWSVPC = ("Subnets", "SecurityGroups", "AssignPublicIp")
_LAMBDA = ("Name", "Alias", "CurrentVersion", "TargetVersion")
_MOST_PORTS = 65535


def check_ecs(properties: Value, findings: Findings) -> None:
    warn_of_other_keys(properties, _ECS, findings)
    required_text(properties, "TaskDefinition", findings)
    balancer = field_of(properties, "LoadBalancerInfo", findings)
    if balancer is None or not balancer.is_mapping:
        message = "LoadBalancerInfo must be a mapping with ContainerName and ContainerPort"
        findings.error(balancer or properties, "property_missing", message)
    else:
        _check_balancer(balancer, findings)
    _check_text(properties, "PlatformVersion", findings)
    network = field_of(properties, "NetworkConfiguration", findings)
    if network is not None:
        _check_network(network, findings)
    strategy = field_of(properties, "CapacityProviderStrategy", findings)
    if strategy is not None:
        _check_strategy(strategy, findings)


def _check_balancer(balancer: Value, findings: Findings) -> None:
    warn_of_other_keys(balancer, ("ContainerName", "ContainerPort"), findings)
    required_text(balancer, "ContainerName", findings)
    port = field_of(balancer, "ContainerPort", findings)
    if port is None:
        findings.error(balancer, "property_missing", "ContainerPort is missing")
    elif port.is_string and str(port.scalar).isdigit():
        findings.warning(
            port, "property_type", "ContainerPort is a text here, and a number in the guide", "take the quotes off"
        )
    elif isinstance(port.scalar, bool) or not isinstance(port.scalar, int) or not 1 <= port.scalar <= _MOST_PORTS:
        message = f"ContainerPort must be a number from 1 to {_MOST_PORTS}, not {port.shown()!r}"
        findings.error(port, "property_type", message)


def _check_text(mapping: Value, name: str, findings: Findings) -> None:
    value = field_of(mapping, name, findings)
    if value is not None and not value.is_string:
        findings.error(value, "property_type", f"{name} must be text, not {value.shown()!r}", "put it in quotes")


def _check_network(network: Value, findings: Findings) -> None:
    vpc = field_of(network, "AwsvpcConfiguration", findings) if network.is_mapping else None
    if vpc is None or not vpc.is_mapping:
        message = "NetworkConfiguration must hold AwsvpcConfiguration"
        findings.error(vpc or network, "property_missing", message)
        return
    warn_of_other_keys(network, ("AwsvpcConfiguration",), findings)
    warn_of_other_keys(vpc, _AWSVPC, findings)
    found = {name: field_of(vpc, name, findings) for name in _AWSVPC}
    missing = [name for name, value in found.items() if value is None]
    if missing:
        message = f"AwsvpcConfiguration lacks {' and '.join(missing)}: its three keys come together or not at all"
        findings.error(vpc, "property_missing", message)
    for name in ("Subnets", "SecurityGroups"):
        value = found[name]
        if value is not None and (not value.items or any(not item.is_string for item in value.items)):
            findings.error(value, "property_type", f"{name} must be a list of ids", "such as `[subnet-1, subnet-2]`")
    public = found["AssignPublicIp"]
    if public is not None and public.scalar not in {"ENABLED", "DISABLED"}:
        message = f"AssignPublicIp must be ENABLED or DISABLED, not {public.shown()!r}"
        findings.error(public, "property_type", message, did_you_mean(public.written, ("ENABLED", "DISABLED")))


def _check_strategy(strategy: Value, findings: Findings) -> None:
    if not strategy.is_list:
        findings.error(strategy, "property_type", "CapacityProviderStrategy must be a list")
        return
    for entry in strategy.items:
        if not entry.is_mapping:
            findings.error(entry, "property_type", "must be a mapping with CapacityProvider")
            continue
        warn_of_other_keys(entry, ("CapacityProvider", "Base", "Weight"), findings)
        required_text(entry, "CapacityProvider", findings)
        for name in ("Base", "Weight"):
            number = field_of(entry, name, findings)
            if number is not None and (isinstance(number.scalar, bool) or not isinstance(number.scalar, int)):
                findings.error(number, "property_type", f"{name} must be a whole number, not {number.shown()!r}")


def check_lambda(properties: Value, findings: Findings) -> None:
    warn_of_other_keys(properties, _LAMBDA, findings)
    required_text(properties, "Name", findings)
    required_text(properties, "Alias", findings)
    versions = [_version(properties, name, findings) for name in ("CurrentVersion", "TargetVersion")]
    if None not in versions and versions[0] == versions[1]:
        message = f"CurrentVersion and TargetVersion are both {versions[0]}: no traffic will shift"
        findings.warning(properties, "lambda_same_version", message)


def _version(properties: Value, name: str, findings: Findings) -> int | None:
    value = field_of(properties, name, findings)
    if value is None:
        findings.error(properties, "property_missing", f"{name} is missing")
        return None
    text = value.to_s() if value.kind == "scalar" and not isinstance(value.scalar, bool | float) else ""
    if text.startswith("<") and text.endswith(">"):
        findings.warning(value, "template_left", f"{name} is the placeholder {text}, which nobody fills in")
        return None
    if not (text.isascii() and text.isdigit() and int(text[:20]) > 0):
        message = f"{name} must be a published version, a positive whole number, not {value.shown()!r}"
        findings.error(value, "property_type", message, "aliases and $LATEST don't work here")
        return None
    return int(text[:20])
