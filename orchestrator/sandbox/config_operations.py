"""CodeDeploy's operations on deployment configurations."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.sandbox.configs import Config, routing_of, zonal_of
from orchestrator.sandbox.context import Context, Handler, page
from orchestrator.sandbox.errors import Json, ServiceError

_LIMIT = 50
"""Custom configurations of one account and region."""
_LONGEST_SHIFT = 2880
"""Minutes from the first part of the traffic to the last."""
_LONGEST_MONITOR = 86_400 * 2
"""Seconds after a zone."""


def create_deployment_config(context: Context, parameters: Json) -> Json:
    region, name = context.region, parameters["deploymentConfigName"]
    platform = parameters.get("computePlatform", "Server")
    if name.startswith("CodeDeployDefault."):
        raise ServiceError(
            "InvalidDeploymentConfigNameException", f"{name}: names that start with CodeDeployDefault. are AWS's own"
        )
    if name in region.configs:
        raise ServiceError("DeploymentConfigAlreadyExistsException", f"Deployment configuration already exists: {name}")
    if sum(not config.built_in for config in region.configs.values()) >= _LIMIT:
        raise ServiceError("DeploymentConfigLimitExceededException", f"there are {_LIMIT} configurations already")
    hosts, routing = parameters.get("minimumHealthyHosts"), parameters.get("trafficRoutingConfig")
    zonal = parameters.get("zonalConfig")
    if platform == "Server":
        if routing:
            raise ServiceError("InvalidTrafficRoutingConfigurationException", "Server has no trafficRoutingConfig")
        kind, value = _minimum(hosts or {}, "InvalidMinimumHealthyHostValueException")
        config = Config(name=name, kind=kind, value=value, created=context.now)
        if zonal:
            _check_zonal(zonal)
            config.zonal = zonal_of(zonal)
    else:
        if hosts:
            raise ServiceError("InvalidMinimumHealthyHostValueException", f"{platform} has no minimumHealthyHosts")
        if zonal:
            raise ServiceError("InvalidZonalDeploymentConfigurationException", f"{platform} has no zonalConfig")
        _check_routing(routing or {})
        config = Config(
            name=name,
            kind="FLEET_PERCENT",
            value=0,
            created=context.now,
            platform=platform,
            routing=routing_of(routing or {}),
        )
    region.configs[name] = config
    region.shelf.keep_config(config)
    return {"deploymentConfigId": config.id}


def get_deployment_config(context: Context, parameters: Json) -> Json:
    return {"deploymentConfigInfo": context.region.config(parameters["deploymentConfigName"]).info()}


def list_deployment_configs(context: Context, parameters: Json) -> Json:
    names, token = page(sorted(context.region.configs), parameters.get("nextToken"), context.options.page_size)
    return {"deploymentConfigsList": names, "nextToken": token}


def delete_deployment_config(context: Context, parameters: Json) -> Json:
    """As at AWS, one that isn't there is no error."""
    region, name = context.region, parameters["deploymentConfigName"]
    if name in region.configs and region.configs[name].built_in:
        raise ServiceError("InvalidOperationException", f"{name} is AWS's own and can't be deleted")
    users = [
        group.target
        for application in region.applications.values()
        for group in application.groups.values()
        if group.settings["deploymentConfigName"] == name
    ]
    if users:
        raise ServiceError("DeploymentConfigInUseException", f"{name} is used by {', '.join(users)}")
    if region.configs.pop(name, None) is not None:
        region.shelf.drop_config(name)
    return {}


def _minimum(hosts: Json, code: str) -> tuple[str, int]:
    kind, value = hosts.get("type"), hosts.get("value")
    if kind is None or value is None:
        raise ServiceError(code, "the minimum of healthy hosts needs a type and a value")
    if value < 0 or (kind == "FLEET_PERCENT" and value > 99):
        raise ServiceError(code, f"{value} is out of range (HOST_COUNT: from 0; FLEET_PERCENT: 0 to 99)")
    return kind, value


def _check_zonal(given: Json) -> None:
    code = "InvalidZonalDeploymentConfigurationException"
    for name in ("firstZoneMonitorDurationInSeconds", "monitorDurationInSeconds"):
        seconds = given.get(name) or 0
        if not 0 <= seconds <= _LONGEST_MONITOR:
            raise ServiceError(code, f"{name} {seconds} isn't from 0 to {_LONGEST_MONITOR}")
    if hosts := given.get("minimumHealthyHostsPerZone"):
        _minimum(hosts, code)


def _check_routing(given: Json) -> None:
    """A step of at most 99 %, and the whole shift within two days."""
    kind = given.get("type")
    if kind is None:
        raise _routing("type is required: AllAtOnce, TimeBasedCanary or TimeBasedLinear")
    members = {"TimeBasedCanary": "timeBasedCanary", "TimeBasedLinear": "timeBasedLinear"}
    for other, member in members.items():
        if given.get(member) and other != kind:
            raise _routing(f"{member} doesn't go with the type {kind}")
    if kind not in members:
        return
    body = given.get(members[kind]) or {}
    name = "canary" if kind == "TimeBasedCanary" else "linear"
    percent, minutes = body.get(f"{name}Percentage"), body.get(f"{name}Interval")
    if percent is None or minutes is None:
        raise _routing(f"{members[kind]} needs {name}Percentage and {name}Interval")
    steps = 1 if name == "canary" else -(-100 // max(1, percent)) - 1
    if not 1 <= percent <= 99 or minutes < 1 or minutes * steps > _LONGEST_SHIFT:
        raise _routing(f"{percent} % each {minutes} minutes: 1–99 %, and at most {_LONGEST_SHIFT} minutes in all")


def _routing(what: str) -> ServiceError:
    return ServiceError("InvalidTrafficRoutingConfigurationException", f"trafficRoutingConfig: {what}")


HANDLERS: Mapping[str, Handler] = {
    "CreateDeploymentConfig": create_deployment_config,
    "GetDeploymentConfig": get_deployment_config,
    "ListDeploymentConfigs": list_deployment_configs,
    "DeleteDeploymentConfig": delete_deployment_config,
}
