"""What a revision says that the service itself acts on: hooks and versions of an AppSpec for ECS or Lambda."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.sandbox.errors import Json
from orchestrator.sandbox.lifecycle import ECS_EVENTS, LAMBDA_EVENTS, TRAFFIC

_NOT_WELL_FORMED = "The AppSpec file is not well-formed YAML or JSON"
_UNHOOKED = TRAFFIC | {"Install"}


@dataclass(frozen=True, slots=True)
class Spec:
    """`problem`: why no agent can download the bundle, or why the AppSpec can't be used."""

    problem: str | None = None
    hooks: dict[str, str] = field(default_factory=dict)
    """Lifecycle event -> Lambda function."""
    function: Json = field(default_factory=dict)
    """LambdaFunctionInfo."""


class _BrokenError(ValueError):
    pass


def read_spec(content: str, platform: str, sha256: str | None = None) -> Spec:
    """Of an AppSpec for ECS or Lambda, YAML or JSON. `sha256`: what it has to hash to."""
    import yaml  # noqa: PLC0415 - only these platforms need it

    if sha256 is not None and hashlib.sha256(content.encode()).hexdigest() != sha256.lower():
        return Spec("The SHA-256 of the AppSpec content isn't the one that the revision names.")
    try:
        document = yaml.safe_load(content)
        return _spec(document, platform)
    except yaml.YAMLError as error:
        return Spec(f"{_NOT_WELL_FORMED}: {' '.join(str(error).split())}")
    except _BrokenError as error:
        return Spec(f"The AppSpec file is invalid: {error}")


def _spec(document: Any, platform: str) -> Spec:
    top = _lower(document, "the AppSpec")
    resources = top.get("resources")
    if not isinstance(resources, list) or len(resources) != 1 or not isinstance(resources[0], dict):
        raise _BrokenError("Resources must be a list of one resource")
    ((name, resource),) = _only(resources[0])
    members = _lower(resource, f"resource {name}")
    properties = _lower(members.get("properties"), f"properties of {name}")
    hooks = _hooks(top.get("hooks"), ECS_EVENTS if platform == "ECS" else LAMBDA_EVENTS)
    if platform == "ECS":
        _check_type(members, "AWS::ECS::Service")
        _check_service(properties)
        return Spec(hooks=hooks)
    _check_type(members, "AWS::Lambda::Function")
    return Spec(hooks=hooks, function=_function(properties))


def _function(properties: Mapping[str, Any]) -> Json:
    for key in ("name", "alias", "currentversion", "targetversion"):
        if properties.get(key) in (None, ""):
            raise _BrokenError(f"the function's {key} is missing")
    current, target = str(properties["currentversion"]), str(properties["targetversion"])
    for version in (current, target):
        if not version.isdecimal() or int(version) < 1:
            raise _BrokenError(f"the version {version!r} isn't a positive number")
    return {
        "functionName": str(properties["name"]),
        "functionAlias": str(properties["alias"]),
        "currentVersion": current,
        "targetVersion": target,
    }


def _check_service(properties: Mapping[str, Any]) -> None:
    if not properties.get("taskdefinition"):
        raise _BrokenError("TaskDefinition is missing")
    balancer = _lower(properties.get("loadbalancerinfo"), "LoadBalancerInfo")
    if not balancer.get("containername") or not isinstance(balancer.get("containerport"), int):
        raise _BrokenError("LoadBalancerInfo needs a ContainerName and a ContainerPort, which is a number")


def _check_type(members: Mapping[str, Any], wanted: str) -> None:
    if members.get("type") != wanted:
        raise _BrokenError(f"the resource's Type is {members.get('type')!r}, not {wanted}")


def _hooks(given: Any, events: tuple[str, ...]) -> dict[str, str]:
    """A list of maps of one event each."""
    if given is None:
        return {}
    if not isinstance(given, list):
        raise _BrokenError("Hooks must be a list")
    hooks: dict[str, str] = {}
    for entry in given:
        ((event, function),) = _only(entry)
        if event not in events or event in _UNHOOKED:
            raise _BrokenError(f"{event!r} is no lifecycle event that a hook can have")
        if not isinstance(function, str) or not function:
            raise _BrokenError(f"the hook of {event} names no function")
        hooks[event] = function
    return hooks


def _only(entry: Any) -> list[tuple[str, Any]]:
    if not isinstance(entry, dict) or len(entry) != 1:
        raise _BrokenError("each hook and each resource is a map with one key")
    return list(entry.items())


def _lower(value: Any, what: str) -> dict[str, Any]:
    """The guide writes keys with a capital in some places and without in others; both are taken."""
    if not isinstance(value, dict):
        raise _BrokenError(f"{what} must be a map")
    return {str(key).lower(): one for key, one in value.items()}
