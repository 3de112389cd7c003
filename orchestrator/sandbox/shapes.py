"""CodeDeploy's parameters checked, and its answers cut to shape, after botocore's service model.

botocore itself checks types and minimum lengths only; the service checks the rest, and so does this module.
Each shape is turned into a closure once, because checking runs for every call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.sandbox.errors import Json, ServiceError

Checker = Callable[[Any, str], None]
"""Takes a value and the path to it; raises `ServiceError`."""
Serializer = Callable[[Any], Any]

_NAME = re.compile(r"[A-Za-z0-9._+=,@-]{1,100}")
_INSTANCE = re.compile(r"(?!i-)[A-Za-z0-9._+=,@-]{1,100}")
_DEPLOYMENT_ID = re.compile(r"d-[A-Z0-9]{9}")
_DESCRIPTION_LIMIT = 256

_NAME_SHAPES = ("ApplicationName", "DeploymentGroupName", "DeploymentConfigName")

_ENUM_CODES: Mapping[str, tuple[str, ...]] = {
    "ApplicationRevisionSortBy": ("InvalidSortByException",),
    "AutoRollbackEvent": ("InvalidAutoRollbackConfigException",),
    "BundleType": ("InvalidRevisionException",),
    "ComputePlatform": ("InvalidComputePlatformException",),
    "DeploymentOption": ("InvalidDeploymentStyleException",),
    "DeploymentReadyAction": ("InvalidBlueGreenDeploymentConfigurationException",),
    "DeploymentStatus": ("InvalidDeploymentStatusException",),
    "DeploymentType": ("InvalidDeploymentStyleException",),
    "DeploymentWaitType": ("InvalidDeploymentWaitTypeException",),
    "EC2TagFilterType": ("InvalidEC2TagException",),
    "FileExistsBehavior": ("InvalidFileExistsBehaviorException",),
    "GreenFleetProvisioningAction": ("InvalidBlueGreenDeploymentConfigurationException",),
    "InstanceAction": ("InvalidBlueGreenDeploymentConfigurationException",),
    "InstanceStatus": ("InvalidInstanceStatusException",),
    "InstanceType": ("InvalidInstanceTypeException",),
    "LifecycleEventStatus": ("InvalidLifecycleEventHookExecutionStatusException",),
    "ListStateFilterAction": ("InvalidDeployedStateFilterException",),
    "MinimumHealthyHostsPerZoneType": ("InvalidZonalDeploymentConfigurationException",),
    "MinimumHealthyHostsType": ("InvalidMinimumHealthyHostValueException",),
    "OutdatedInstancesStrategy": ("InvalidInputException",),
    "RegistrationStatus": ("InvalidRegistrationStatusException",),
    "RevisionLocationType": ("InvalidRevisionException",),
    "SortOrder": ("InvalidSortOrderException",),
    "TagFilterType": ("InvalidTagException", "InvalidTagFilterException"),
    "TargetFilterName": ("InvalidTargetFilterNameException",),
    "TrafficRoutingType": ("InvalidTrafficRoutingConfigurationException",),
    "TriggerEventType": ("InvalidTriggerConfigException",),
}
"""The first of them that the operation knows is its error."""

_REQUIRED_CODES = {
    "currentDeploymentGroupName": "DeploymentGroupNameRequiredException",
    "deploymentGroupNames": "DeploymentGroupNameRequiredException",
    "applicationNames": "ApplicationNameRequiredException",
    "deploymentIds": "DeploymentIdRequiredException",
    "instanceIds": "InstanceIdRequiredException",
    "instanceNames": "InstanceNameRequiredException",
    "revisions": "RevisionRequiredException",
    "serviceRoleArn": "RoleRequiredException",
    "tags": "TagRequiredException",
    "Tags": "TagRequiredException",
    "TagKeys": "TagRequiredException",
    "targetId": "DeploymentTargetIdRequiredException",
    "targetIds": "DeploymentTargetIdRequiredException",
}


class Operation:
    """One operation of the service model: its checks and its answer's shape."""

    def __init__(self, model: Any) -> None:
        self.name: str = model.name
        self._errors = frozenset(shape.name for shape in model.error_shapes)
        self._check: Checker | None = self._checker(model.input_shape) if model.input_shape else None
        self.serialize: Serializer = serializer(model.output_shape) if model.output_shape else lambda _: {}

    def check(self, parameters: object) -> Json:
        """The parameters, known to fit the model; those that are null are left out. Raises `ServiceError`."""
        if not isinstance(parameters, dict):
            raise ServiceError("SerializationException", "the body isn't a JSON object")
        if self._check is not None:
            self._check(parameters, "")
        found: Json = _without_nulls(parameters)
        return found

    def _error(self, codes: str | tuple[str, ...], message: str) -> ServiceError:
        """The error as the operation models it, or the one that stands for all the rest."""
        wanted = (codes,) if isinstance(codes, str) else codes
        return ServiceError(next((code for code in wanted if code in self._errors), "ValidationException"), message)

    def _checker(self, shape: Any) -> Checker:
        makers: dict[str, Callable[[Any], Checker]] = {
            "structure": self._structure,
            "list": self._list,
            "map": self._map,
            "string": self._string,
            "integer": lambda _: _typed("a whole number", int),
            "long": lambda _: _typed("a whole number", int),
            "boolean": lambda _: _typed("true or false", bool),
            "double": lambda _: _typed("a number", int, float),
            "timestamp": lambda _: _typed("a number", int, float),
        }
        return makers[shape.type_name](shape)

    def _structure(self, shape: Any) -> Checker:
        members: dict[str, Checker] = {name: self._checker(member) for name, member in shape.members.items()}
        required = tuple(shape.required_members)

        def check(value: Any, path: str) -> None:
            if not isinstance(value, dict):
                raise _wrong_type(path, "an object", value)
            for name in required:
                if value.get(name) in (None, []):
                    code = _REQUIRED_CODES.get(name, f"{name[0].upper()}{name[1:]}RequiredException")
                    raise self._error(code, f"{path}{name} is required")
            for name, member in value.items():
                checker = members.get(name)
                if checker is None:
                    raise ServiceError(
                        "ValidationException",
                        f"{path}{name}: {self.name} has no such parameter (AWS would ignore it; the sandbox doesn't)",
                    )
                if member is not None:
                    checker(member, f"{path}{name}")

        def nested(value: Any, path: str) -> None:
            check(value, f"{path}." if path else "")

        return nested

    def _list(self, shape: Any) -> Checker:
        member = self._checker(shape.member)

        def check(value: Any, path: str) -> None:
            if not isinstance(value, list):
                raise _wrong_type(path, "a list", value)
            for item in value:
                member(item, path)

        return check

    def _map(self, shape: Any) -> Checker:
        key, member = self._checker(shape.key), self._checker(shape.value)

        def check(value: Any, path: str) -> None:
            if not isinstance(value, dict):
                raise _wrong_type(path, "an object", value)
            for name, item in value.items():
                key(name, path)
                member(item, f"{path}.{name}")

        return check

    def _string(self, shape: Any) -> Checker:
        is_string = _typed("a string", str)
        if shape.enum:
            return self._enum(shape)
        if shape.name in _NAME_SHAPES:
            return self._pattern(_NAME, f"Invalid{shape.name}Exception", "1–100 of letters, digits and . _ + = , @ -")
        if shape.name == "InstanceName":
            return self._pattern(
                _INSTANCE, "InvalidInstanceNameException", "1–100 of letters, digits and . _ + = , @ -, not from i- on"
            )
        if shape.name == "DeploymentId":
            return self._pattern(_DEPLOYMENT_ID, "InvalidDeploymentIdException", "d- and nine of A–Z and 0–9")
        if shape.name == "Description":
            return self._short
        return is_string

    def _enum(self, shape: Any) -> Checker:
        choices = frozenset(shape.enum)
        code = _ENUM_CODES.get(shape.name, ())

        def check(value: Any, path: str) -> None:
            if not isinstance(value, str):
                raise _wrong_type(path, "a string", value)
            if value not in choices:
                raise self._error(code, f"{path}: {value!r} is none of {', '.join(sorted(choices))}")

        return check

    def _pattern(self, pattern: re.Pattern[str], code: str, description: str) -> Checker:
        matches = pattern.fullmatch

        def check(value: Any, path: str) -> None:
            if not isinstance(value, str):
                raise _wrong_type(path, "a string", value)
            if matches(value) is None:
                raise self._error(code, f"{path}: {value!r} isn't {description}")

        return check

    def _short(self, value: Any, path: str) -> None:
        if not isinstance(value, str):
            raise _wrong_type(path, "a string", value)
        if len(value) > _DESCRIPTION_LIMIT:
            raise self._error(
                "DescriptionTooLongException", f"{path} has {len(value)} characters, {_DESCRIPTION_LIMIT} are allowed"
            )


def _without_nulls(value: Any) -> Any:
    """A member that is null is as good as none."""
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _typed(description: str, *types: type) -> Checker:
    boolean = bool in types

    def check(value: Any, path: str) -> None:
        # Python's True is an int; JSON's true is no number.
        if not isinstance(value, types) or (isinstance(value, bool) and not boolean):
            raise _wrong_type(path, description, value)

    return check


def _wrong_type(path: str, wanted: str, value: object) -> ServiceError:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    found = names.get(type(value), "a number")
    return ServiceError("SerializationException", f"{path.strip('.') or 'the body'}: expected {wanted}, got {found}")


def serializer(shape: Any) -> Serializer:
    """Keeps the members of the shape that have a value; makes timestamps numbers."""
    match shape.type_name:
        case "structure":
            members: dict[str, Serializer] = {name: serializer(member) for name, member in shape.members.items()}

            def structure(value: Mapping[str, Any]) -> Json:
                return {
                    name: serialize(value[name])
                    for name, serialize in members.items()
                    if name in value and value[name] is not None
                }

            return structure
        case "list":
            item = serializer(shape.member)
            return lambda value: [item(one) for one in value]
        case "map":
            entry = serializer(shape.value)
            return lambda value: {key: entry(one) for key, one in value.items()}
        case "timestamp":
            return lambda value: round(float(value), 3)
        case _:
            return lambda value: value


class ServiceModel:
    """All operations of CodeDeploy that botocore knows. Loading it takes some 50 ms."""

    def __init__(self) -> None:
        # Imported here: naming a sandbox in a type must not cost botocore's import.
        from botocore.loaders import Loader  # noqa: PLC0415 - see above
        from botocore.model import ServiceModel as BotocoreModel  # noqa: PLC0415 - see above

        self._model: Any = BotocoreModel(Loader().load_service_model("codedeploy", "service-2"), "codedeploy")
        self.names: frozenset[str] = frozenset(self._model.operation_names)
        self._operations: dict[str, Operation] = {}
        self.deployment_info: Serializer = serializer(self._model.shape_for("DeploymentInfo"))

    def operation(self, name: str) -> Operation:
        """Raises `ServiceError` for a name that isn't in the model."""
        operation = self._operations.get(name)
        if operation is None:
            if name not in self.names:
                raise ServiceError("UnknownOperationException", f"CodeDeploy has no operation {name!r}")
            operation = self._operations[name] = Operation(self._model.operation_model(name))
        return operation
