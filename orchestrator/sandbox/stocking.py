"""Puts what a fleet describes into the regions, when the sandbox starts. What is there already stays as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from orchestrator.sandbox import groups
from orchestrator.sandbox.configs import Config, default_config
from orchestrator.sandbox.errors import Json
from orchestrator.sandbox.fleet import BlueGreenSpec, FleetSpec, GroupSpec, InstanceSpec
from orchestrator.sandbox.holdings import Application, OnPremisesInstance
from orchestrator.sandbox.inventory import Instance
from orchestrator.sandbox.region import Region

RegionOf = Callable[[str, str], Region]


def stock(fleet: FleetSpec, region_of: RegionOf, now: float) -> None:
    """`region_of`: by account and name."""
    for config in fleet.configs:
        region = region_of(config.account, config.region)
        if config.name not in region.configs:
            region.configs[config.name] = Config(
                name=config.name, kind=config.kind, value=config.value, created=now, zonal=config.zonal
            )
            region.shelf.keep_config(region.configs[config.name])
    for number, instance in enumerate(fleet.instances):
        _add_instance(region_of(instance.account, instance.region), instance, number, now)
    for group in fleet.groups:
        _add_group(region_of(group.account, group.region), group, now)


def _add_instance(region: Region, spec: InstanceSpec, number: int, now: float) -> None:
    if spec.is_on_premises:
        region.inventory.add(_instance(spec, spec.name))
        if spec.name not in region.onpremises:
            place = f"{region.name}:{region.account}"
            registered = region.onpremises[spec.name] = OnPremisesInstance(
                name=spec.name,
                arn=f"arn:aws:codedeploy:{place}:instance/{spec.name}_sandbox",
                registered=now,
                user_arn=f"arn:aws:iam::{region.account}:user/{spec.name}",
                session_arn=None,
                tags=dict(spec.tags),
            )
            region.shelf.keep_onpremises(registered)
        return
    place = f"{region.account}/{region.name}/{spec.name or number}"
    name = f"i-0{hashlib.sha256(place.encode()).hexdigest()[:16]}"
    region.inventory.add(_instance(spec, name, is_of_fleet=True))


def _instance(spec: InstanceSpec, name: str, *, is_of_fleet: bool = False) -> Instance:
    return Instance(
        id=name,
        name=spec.name,
        tags=dict(spec.tags),
        zone=spec.zone,
        platform=spec.platform,
        is_on_premises=spec.is_on_premises,
        is_running=spec.is_running,
        speed=spec.speed,
        is_of_fleet=is_of_fleet,
    )


def _add_group(region: Region, spec: GroupSpec, now: float) -> None:
    application = region.applications.get(spec.application)
    if application is None:
        application = Application(name=spec.application, created=now, platform=spec.platform)
        region.applications[spec.application] = application
        region.shelf.keep_application(application)
    if (group := application.groups.get(spec.deployment_group)) is None:
        count = (len(spec.machines) or spec.instances) if spec.platform == "Server" else 0
        group = groups.add_group(region, application, spec.deployment_group, _settings(spec), count)
    if group.deployments and group.deployments[-1].is_blue_green:
        return  # its instances are others by now
    for machine, name in zip(spec.machines, group.instances, strict=False):
        region.inventory.describe(_instance(machine, name))


def _tags(spec: GroupSpec) -> list[Json]:
    """As a group of servers has them at AWS; the fleet says which instances these are."""
    if spec.platform != "Server":
        return []
    return [
        {"Key": "deployment-group", "Value": f"{spec.application}/{spec.deployment_group}", "Type": "KEY_AND_VALUE"}
    ]


def _settings(spec: GroupSpec) -> Json:
    """Members of DeploymentGroupInfo."""
    config = spec.deployment_config
    if spec.platform != "Server" and config == default_config("Server"):
        config = default_config(spec.platform)
    settings: Json = {
        "deploymentConfigName": config,
        "serviceRoleArn": f"arn:aws:iam::{spec.account}:role/CodeDeployServiceRole",
        "ec2TagFilters": _tags(spec),
        "autoRollbackConfiguration": {"enabled": bool(spec.auto_rollback), "events": list(spec.auto_rollback)},
    }
    if spec.alarms:
        settings["alarmConfiguration"] = {
            "enabled": True,
            "ignorePollAlarmFailure": spec.ignores_unreadable_alarms,
            "alarms": [{"name": name} for name in spec.alarms],
        }
    if spec.platform == "Server":
        settings["ec2TagFilters"] = [{"Key": "Name", "Value": spec.deployment_group, "Type": "KEY_AND_VALUE"}]
        settings["deploymentStyle"] = {
            "deploymentType": "BLUE_GREEN" if spec.blue_green else "IN_PLACE",
            "deploymentOption": f"WITH{'' if spec.blue_green or spec.load_balancer else 'OUT'}_TRAFFIC_CONTROL",
        }
        if spec.blue_green or spec.load_balancer:
            name = spec.load_balancer or spec.deployment_group
            settings["loadBalancerInfo"] = {"targetGroupInfoList": [{"name": name}]}
    if spec.platform == "ECS":
        settings |= _ecs(spec)
    if spec.blue_green:
        settings["blueGreenDeploymentConfiguration"] = _blue_green(spec.blue_green, spec.platform)
    return settings


def _ecs(spec: GroupSpec) -> Json:
    cluster, _, service = spec.ecs_service.rpartition("/")
    listener = f"arn:aws:elasticloadbalancing:{spec.region}:{spec.account}:listener/app/sandbox"
    pair = {
        "targetGroups": [{"name": f"{service}-blue"}, {"name": f"{service}-green"}],
        "prodTrafficRoute": {"listenerArns": [listener]},
    }
    return {
        "ecsServices": [{"clusterName": cluster or "default", "serviceName": service}],
        "loadBalancerInfo": {"targetGroupPairInfoList": [pair]},
    }


def _blue_green(spec: BlueGreenSpec, platform: str) -> Json:
    ready: Json = {"actionOnTimeout": "CONTINUE_DEPLOYMENT"}
    if spec.ready_wait is not None:
        ready = {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": spec.ready_wait}
    ending: Json = {"action": "KEEP_ALIVE"}
    if spec.termination_wait is not None or platform == "ECS":
        ending = {"action": "TERMINATE", "terminationWaitTimeInMinutes": spec.termination_wait or 0}
    configuration = {"deploymentReadyOption": ready, "terminateBlueInstancesOnDeploymentSuccess": ending}
    if platform == "Server":
        action = "COPY_AUTO_SCALING_GROUP" if spec.is_copied else "DISCOVER_EXISTING"
        configuration["greenFleetProvisioningOption"] = {"action": action}
    return configuration
