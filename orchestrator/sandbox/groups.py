"""CodeDeploy's operations on deployment groups and deployment configurations."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.sandbox.configs import Config, default_config, routing_of, zonal_of
from orchestrator.sandbox.context import Context, Handler, check_batch, page
from orchestrator.sandbox.deployments import Group, instance_ids
from orchestrator.sandbox.errors import Json, ServiceError
from orchestrator.sandbox.holdings import Application
from orchestrator.sandbox.region import Region

_SHIFTED = {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"}
"""The one style that ECS and Lambda have."""
_STYLE = {"deploymentType": "IN_PLACE", "deploymentOption": "WITHOUT_TRAFFIC_CONTROL"}
_KEPT = (
    "deploymentConfigName",
    "ec2TagFilters",
    "onPremisesInstanceTagFilters",
    "serviceRoleArn",
    "triggerConfigurations",
    "alarmConfiguration",
    "autoRollbackConfiguration",
    "outdatedInstancesStrategy",
    "deploymentStyle",
    "loadBalancerInfo",
    "ec2TagSet",
    "ecsServices",
    "blueGreenDeploymentConfiguration",
    "onPremisesTagSet",
    "terminationHookEnabled",
)
_EMPTY = {
    "ec2TagFilters": [],
    "onPremisesInstanceTagFilters": [],
    "autoScalingGroups": [],
    "triggerConfigurations": [],
    "outdatedInstancesStrategy": "UPDATE",
    "terminationHookEnabled": False,
}


def add_group(
    region: Region, application: Application, name: str, settings: Json, instances: int, *, is_tagged: bool = False
) -> Group:
    """`settings`: members of DeploymentGroupInfo; what they leave out gets AWS's defaults.

    `is_tagged`: where the fleet has instances with tags, they choose.
    """
    group = application.groups[name] = Group(
        account=region.account,
        region=region.name,
        application=application.name,
        name=name,
        instances=instance_ids(region.account, region.name, f"{application.name}/{name}", instances),
        settings={**_defaults(application.platform), **settings},
        platform=application.platform,
        is_tagged=is_tagged,
    )
    region.shelf.keep_group(group)
    return group


def create_deployment_group(context: Context, parameters: Json) -> Json:
    region = context.region
    application = region.application(parameters["applicationName"])
    name = parameters["deploymentGroupName"]
    if name in application.groups:
        raise ServiceError("DeploymentGroupAlreadyExistsException", f"Deployment group already exists: {name}")
    settings = _settings(region, parameters)
    return {"deploymentGroupId": _add_tagged(context, application, name, settings).id}


def _add_tagged(context: Context, application: Application, name: str, settings: Json) -> Group:
    count = context.options.instances if application.platform == "Server" else 0
    return add_group(context.region, application, name, settings, count, is_tagged=True)


def _defaults(platform: str) -> Json:
    style = dict(_STYLE) if platform == "Server" else dict(_SHIFTED)
    return {**_EMPTY, "deploymentConfigName": default_config(platform), "deploymentStyle": style}


def update_deployment_group(context: Context, parameters: Json) -> Json:
    region = context.region
    old_name: str = parameters["currentDeploymentGroupName"]
    group = region.group(parameters["applicationName"], old_name)
    new_name: str = parameters.get("newDeploymentGroupName", old_name)
    groups = region.application(group.application).groups
    if new_name != old_name and new_name in groups:
        raise ServiceError("DeploymentGroupAlreadyExistsException", f"Deployment group already exists: {new_name}")
    group.settings = {**group.settings, **_settings(region, parameters)}
    if new_name != old_name:
        group.name = new_name
        groups[new_name] = groups.pop(old_name)
        for record in region.application(group.application).revisions.values():
            record.groups = [new_name if name == old_name else name for name in record.groups]
            region.shelf.keep_revision(group.application, record)
    region.shelf.keep_group(group)
    return {"hooksNotCleanedUp": []}


def get_deployment_group(context: Context, parameters: Json) -> Json:
    group = context.region.group(parameters["applicationName"], parameters["deploymentGroupName"])
    context.region.settle(group, context.now)
    return {"deploymentGroupInfo": group.info()}


def batch_get_deployment_groups(context: Context, parameters: Json) -> Json:
    """Groups that aren't there are left out, and named in `errorMessage`."""
    names = parameters["deploymentGroupNames"]
    check_batch(names, 100, "deployment groups")
    groups = context.region.application(parameters["applicationName"]).groups
    missing = [name for name in names if name not in groups]
    found = [groups[name] for name in names if name in groups]
    for group in found:
        context.region.settle(group, context.now)
    return {
        "deploymentGroupsInfo": [group.info() for group in found],
        "errorMessage": f"No Deployment Group found for names: {', '.join(missing)}" if missing else None,
    }


def list_deployment_groups(context: Context, parameters: Json) -> Json:
    application = context.region.application(parameters["applicationName"])
    names, token = page(sorted(application.groups), parameters.get("nextToken"), context.options.page_size)
    return {"applicationName": application.name, "deploymentGroups": names, "nextToken": token}


def delete_deployment_group(context: Context, parameters: Json) -> Json:
    """As at AWS, one that isn't there is no error."""
    region = context.region
    application = region.applications.get(parameters["applicationName"])
    group = application.groups.get(parameters["deploymentGroupName"]) if application else None
    if application is not None and group is not None:
        region.abandon(group, context.now, "DEPLOYMENT_GROUP_MISSING", "The deployment group was deleted.")
        region.shelf.drop_group(group)
        del application.groups[group.name]
    return {"hooksNotCleanedUp": []}


def create_deployment_config(context: Context, parameters: Json) -> Json:
    region, name = context.region, parameters["deploymentConfigName"]
    if name.startswith("CodeDeployDefault."):
        raise ServiceError(
            "InvalidDeploymentConfigNameException", f"{name}: names that start with CodeDeployDefault. are AWS's own"
        )
    if name in region.configs:
        raise ServiceError("DeploymentConfigAlreadyExistsException", f"Deployment configuration already exists: {name}")
    config = region.configs[name] = _config(context, parameters)
    region.shelf.keep_config(config)
    return {"deploymentConfigId": config.id}


def get_deployment_config(context: Context, parameters: Json) -> Json:
    return {"deploymentConfigInfo": context.region.config(parameters["deploymentConfigName"]).info()}


def list_deployment_configs(context: Context, parameters: Json) -> Json:
    names, token = page(sorted(context.region.configs), parameters.get("nextToken"), context.options.page_size)
    return {"deploymentConfigsList": names, "nextToken": token}


def delete_deployment_config(context: Context, parameters: Json) -> Json:
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
    region.configs.pop(name, None)
    region.shelf.drop_config(name)
    return {}


def _config(context: Context, parameters: Json) -> Config:
    name, platform = parameters["deploymentConfigName"], parameters.get("computePlatform", "Server")
    routing, zonal = parameters.get("trafficRoutingConfig"), parameters.get("zonalConfig")
    if platform != "Server":
        return Config(
            name=name,
            kind="FLEET_PERCENT",
            value=0,
            created=context.now,
            platform=platform,
            routing=routing_of(routing or {}),
        )
    kind, value = _minimum(parameters.get("minimumHealthyHosts") or {})
    return Config(name=name, kind=kind, value=value, created=context.now, zonal=zonal_of(zonal) if zonal else None)


def _settings(region: Region, parameters: Json) -> Json:
    settings = {name: parameters[name] for name in _KEPT if name in parameters}
    if config := settings.get("deploymentConfigName"):
        region.config(config)
    if (groups := parameters.get("autoScalingGroups")) is not None:
        settings["autoScalingGroups"] = [{"name": name} for name in groups]
    if style := settings.get("deploymentStyle"):
        settings["deploymentStyle"] = {**_STYLE, **style}
    check_rollback(settings.get("autoRollbackConfiguration"))
    check_alarms(settings.get("alarmConfiguration"))
    return settings


def check_rollback(config: Json | None) -> None:
    if config and config.get("enabled") and not config.get("events"):
        raise ServiceError(
            "InvalidAutoRollbackConfigException", "autoRollbackConfiguration is enabled, but names no events"
        )


def check_alarms(config: Json | None) -> None:
    alarms = (config or {}).get("alarms") or []
    if len(alarms) > 10:
        raise ServiceError("AlarmsLimitExceededException", f"{len(alarms)} alarms; the limit is 10")
    if config and config.get("enabled") and not alarms:
        raise ServiceError("InvalidAlarmConfigException", "the alarm configuration is enabled, but names no alarms")


def _minimum(hosts: Json) -> tuple[str, int]:
    kind, value = hosts.get("type"), hosts.get("value")
    if kind is None or value is None:
        raise ServiceError(
            "InvalidMinimumHealthyHostValueException", "minimumHealthyHosts needs a type and a value on Server"
        )
    if value < 0 or (kind == "FLEET_PERCENT" and value > 99):
        raise ServiceError(
            "InvalidMinimumHealthyHostValueException",
            f"{value} is out of range (HOST_COUNT: from 0; FLEET_PERCENT: 0 to 99)",
        )
    return kind, value


HANDLERS: Mapping[str, Handler] = {
    "CreateDeploymentGroup": create_deployment_group,
    "UpdateDeploymentGroup": update_deployment_group,
    "GetDeploymentGroup": get_deployment_group,
    "BatchGetDeploymentGroups": batch_get_deployment_groups,
    "ListDeploymentGroups": list_deployment_groups,
    "DeleteDeploymentGroup": delete_deployment_group,
    "CreateDeploymentConfig": create_deployment_config,
    "GetDeploymentConfig": get_deployment_config,
    "ListDeploymentConfigs": list_deployment_configs,
    "DeleteDeploymentConfig": delete_deployment_config,
}
