"""The settings of a deployment group, checked as CreateDeploymentGroup and UpdateDeploymentGroup check them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestrator.sandbox.configs import default_config
from orchestrator.sandbox.errors import Json, ServiceError
from orchestrator.sandbox.region import Region
from orchestrator.sandbox.tags import FILTER_LIMIT, check_filters

IN_PLACE: Json = {"deploymentType": "IN_PLACE", "deploymentOption": "WITHOUT_TRAFFIC_CONTROL"}
SHIFTED: Json = {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"}
"""The only style of ECS and Lambda."""
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
    "blueGreenDeploymentConfiguration",
    "loadBalancerInfo",
    "ec2TagSet",
    "ecsServices",
    "onPremisesTagSet",
    "terminationHookEnabled",
)
_EMPTY: Json = {
    "ec2TagFilters": [],
    "onPremisesInstanceTagFilters": [],
    "autoScalingGroups": [],
    "triggerConfigurations": [],
    "outdatedInstancesStrategy": "UPDATE",
    "terminationHookEnabled": False,
}
_ROLE = re.compile(r"arn:(?:aws|aws-cn|aws-us-gov):iam::\d{12}:role/[\w+=,.@/-]{1,512}")
_TOPIC = re.compile(r"arn:(?:aws|aws-cn|aws-us-gov):sns:[a-z0-9-]+:\d{12}:[\w.-]{1,260}")
_TAG_SETS = 3
"""Lists in a tag set."""
_ALARMS = 10
_LONGEST_WAIT = 2880
"""Minutes."""


def defaults(platform: str) -> Json:
    """What a group has that says nothing."""
    style = IN_PLACE if platform == "Server" else SHIFTED
    return {**_EMPTY, "deploymentConfigName": default_config(platform), "deploymentStyle": dict(style)}


def settings_of(region: Region, platform: str, parameters: Json, now: Json) -> Json:
    """Members of DeploymentGroupInfo from those of the call. `now`: what the group has already.

    Raises `ServiceError`, the first mistake first.
    """
    given = {name: parameters[name] for name in _KEPT if name in parameters}
    if (names := parameters.get("autoScalingGroups")) is not None:
        given["autoScalingGroups"] = [{"name": name} for name in names]
    if "deploymentStyle" in given:
        given["deploymentStyle"] = {**now["deploymentStyle"], **given["deploymentStyle"]}
    _check_combinations(given)
    whole = {**now, **given}
    _check_role(whole.get("serviceRoleArn"))
    _check_config(region, platform, whole["deploymentConfigName"])
    _check_tags(whole)
    _check_scaling(whole["autoScalingGroups"])
    _check_triggers(whole["triggerConfigurations"])
    check_alarms(given.get("alarmConfiguration"))
    check_rollback(given.get("autoRollbackConfiguration"))
    _check_style(platform, whole)
    _check_blue_green(platform, whole)
    _check_load_balancer(platform, whole)
    _check_ecs(platform, whole)
    return given


def check_rollback(config: Json | None) -> None:
    if config and config.get("enabled") and not config.get("events"):
        raise ServiceError(
            "InvalidAutoRollbackConfigException", "autoRollbackConfiguration is enabled, but names no events"
        )


def check_alarms(config: Json | None) -> None:
    alarms = (config or {}).get("alarms") or []
    if len(alarms) > _ALARMS:
        raise ServiceError("AlarmsLimitExceededException", f"{len(alarms)} alarms; the limit is {_ALARMS}")
    names = [alarm.get("name") or "" for alarm in alarms]
    if not all(1 <= len(name) <= 255 for name in names) or len(set(names)) != len(names):
        raise ServiceError("InvalidAlarmConfigException", "each alarm needs a name of its own, of 1–255 characters")
    if config and config.get("enabled") and not alarms:
        raise ServiceError("InvalidAlarmConfigException", "the alarm configuration is enabled, but names no alarms")


def _check_role(arn: str | None) -> None:
    if arn is not None and not _ROLE.fullmatch(arn):
        raise ServiceError("InvalidRoleException", f"serviceRoleArn {arn!r} isn't arn:aws:iam::<12 digits>:role/<name>")


def _check_config(region: Region, platform: str, name: str) -> None:
    config = region.config(name)
    if config.platform != platform:
        raise ServiceError(
            "InvalidDeploymentConfigNameException",
            f"{name} is for {config.platform}; the application's compute platform is {platform}",
        )


def _check_combinations(given: Json) -> None:
    """Of filters and tag sets a call takes one; it replaces the other, which the group may have had."""
    for flat, nested, code in (
        ("ec2TagFilters", "ec2TagSet", "InvalidEC2TagCombinationException"),
        ("onPremisesInstanceTagFilters", "onPremisesTagSet", "InvalidOnPremisesTagCombinationException"),
    ):
        lists = (given.get(nested) or {}).get(f"{nested}List")
        if lists and given.get(flat):
            raise ServiceError(code, f"either {flat} or {nested}, not both")
        if lists:
            given[flat] = []
        elif given.get(flat):
            given[nested] = None


def _check_tags(whole: Json) -> None:
    for flat, nested, code in (
        ("ec2TagFilters", "ec2TagSet", "InvalidEC2TagException"),
        ("onPremisesInstanceTagFilters", "onPremisesTagSet", "InvalidTagException"),
    ):
        check_filters(whole.get(flat) or [], code)
        lists = (whole.get(nested) or {}).get(f"{nested}List") or []
        if len(lists) > _TAG_SETS:
            raise ServiceError(
                "TagSetListLimitExceededException", f"{nested} has {len(lists)} lists; the limit is {_TAG_SETS}"
            )
        for filters in lists:
            check_filters(filters, code)


def _check_scaling(groups: list[Json]) -> None:
    names = [group["name"] for group in groups]
    if len(names) > FILTER_LIMIT or len(set(names)) != len(names) or not all(1 <= len(name) <= 255 for name in names):
        raise ServiceError(
            "InvalidAutoScalingGroupException",
            f"autoScalingGroups: at most {FILTER_LIMIT} names, of 1–255 characters, each once",
        )


def _check_triggers(triggers: list[Json]) -> None:
    if len(triggers) > FILTER_LIMIT:
        raise ServiceError(
            "TriggerTargetsLimitExceededException", f"{len(triggers)} triggers; the limit is {FILTER_LIMIT}"
        )
    for trigger in triggers:
        if not trigger.get("triggerName") or not trigger.get("triggerEvents"):
            raise ServiceError("InvalidTriggerConfigException", "a trigger needs a triggerName and triggerEvents")
        if not _TOPIC.fullmatch(trigger.get("triggerTargetArn") or ""):
            raise ServiceError(
                "InvalidTriggerConfigException", f"trigger {trigger['triggerName']}: triggerTargetArn is no SNS topic"
            )


def _check_style(platform: str, whole: Json) -> None:
    style = whole["deploymentStyle"]
    if platform != "Server" and style != SHIFTED:
        raise ServiceError(
            "InvalidDeploymentStyleException", f"{platform} deploys BLUE_GREEN and WITH_TRAFFIC_CONTROL only"
        )


def _check_blue_green(platform: str, whole: Json) -> None:
    config = whole.get("blueGreenDeploymentConfiguration")
    if not config:
        return
    if whole["deploymentStyle"]["deploymentType"] != "BLUE_GREEN":
        raise _blue_green("it is for the deployment type BLUE_GREEN")
    ready = config.get("deploymentReadyOption") or {}
    wait, action = ready.get("waitTimeInMinutes") or 0, ready.get("actionOnTimeout", "CONTINUE_DEPLOYMENT")
    if action == "CONTINUE_DEPLOYMENT" and wait:
        raise _blue_green("deploymentReadyOption.waitTimeInMinutes goes with STOP_DEPLOYMENT")
    if action == "STOP_DEPLOYMENT" and not 1 <= wait <= _LONGEST_WAIT:
        raise _blue_green(f"deploymentReadyOption.waitTimeInMinutes {wait} isn't from 1 to {_LONGEST_WAIT}")
    ending = config.get("terminateBlueInstancesOnDeploymentSuccess") or {}
    minutes = ending.get("terminationWaitTimeInMinutes") or 0
    if not 0 <= minutes <= _LONGEST_WAIT:
        raise _blue_green(f"terminationWaitTimeInMinutes {minutes} isn't from 0 to {_LONGEST_WAIT}")
    if minutes and ending.get("action") == "KEEP_ALIVE":
        raise _blue_green("terminationWaitTimeInMinutes goes with TERMINATE")
    if platform != "Server" and config.get("greenFleetProvisioningOption"):
        raise _blue_green(f"greenFleetProvisioningOption is for Server, not for {platform}")


def _blue_green(what: str) -> ServiceError:
    return ServiceError("InvalidBlueGreenDeploymentConfigurationException", f"blueGreenDeploymentConfiguration: {what}")


def _check_load_balancer(platform: str, whole: Json) -> None:
    balancer = {name: value for name, value in (whole.get("loadBalancerInfo") or {}).items() if value}
    if platform == "ECS":
        _check_pairs(balancer)
    elif balancer.get("targetGroupPairInfoList"):
        raise ServiceError("InvalidTargetGroupPairException", "targetGroupPairInfoList is for ECS")
    elif platform == "Server":
        for name, number in _balancers(balancer):
            if number > FILTER_LIMIT:
                raise ServiceError(
                    "InvalidLoadBalancerInfoException", f"{name} has {number} members; the limit is {FILTER_LIMIT}"
                )
        if whole["deploymentStyle"]["deploymentOption"] == "WITH_TRAFFIC_CONTROL" and not balancer:
            raise ServiceError("InvalidLoadBalancerInfoException", "WITH_TRAFFIC_CONTROL needs a loadBalancerInfo")


def _balancers(balancer: Json) -> Iterator[tuple[str, int]]:
    for name, members in balancer.items():
        if not all(member.get("name") for member in members):
            raise ServiceError("InvalidLoadBalancerInfoException", f"each member of {name} needs a name")
        yield name, len(members)


def _check_pairs(balancer: Json) -> None:
    pairs = balancer.get("targetGroupPairInfoList") or []
    if set(balancer) - {"targetGroupPairInfoList"} or len(pairs) > 1:
        raise ServiceError("InvalidLoadBalancerInfoException", "ECS takes one targetGroupPairInfoList of one pair")
    for pair in pairs:
        groups = pair.get("targetGroups") or []
        listeners = (pair.get("prodTrafficRoute") or {}).get("listenerArns") or []
        if len(groups) != 2 or not all(group.get("name") for group in groups) or len(listeners) != 1:
            raise ServiceError(
                "InvalidTargetGroupPairException", "a pair needs two named target groups and one production listener"
            )


def _check_ecs(platform: str, whole: Json) -> None:
    services = whole.get("ecsServices") or []
    if platform != "ECS":
        if services:
            raise ServiceError("InvalidECSServiceException", f"ecsServices is for ECS, not for {platform}")
        return
    if len(services) != 1 or not services[0].get("serviceName") or not services[0].get("clusterName"):
        raise ServiceError("InvalidECSServiceException", "ECS needs one service, with serviceName and clusterName")
    if not whole.get("loadBalancerInfo"):
        raise ServiceError("InvalidLoadBalancerInfoException", "ECS needs a loadBalancerInfo.targetGroupPairInfoList")
