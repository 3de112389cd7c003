"""CodeDeploy's operations on deployments and the instances they run on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from orchestrator.sandbox.configs import Config
from orchestrator.sandbox.context import Context, Handler, Rendered, check_batch, page
from orchestrator.sandbox.deployments import Deployment, Group
from orchestrator.sandbox.errors import Json, ServiceError
from orchestrator.sandbox.group_settings import check_alarms, check_rollback
from orchestrator.sandbox.lifecycle import Track
from orchestrator.sandbox.revisions import normal_location
from orchestrator.sandbox.targets import deployment_target

UNKNOWN_STATUS = "Pondering"
"""What `Faults.unknown_status` shows."""

BATCH = 25


async def create_deployment(context: Context, parameters: Json) -> Json:
    region = context.region
    application = region.application(parameters["applicationName"])
    if "deploymentGroupName" not in parameters:
        raise ServiceError("DeploymentGroupNameRequiredException", "deploymentGroupName is required")
    group = region.group(application.name, parameters["deploymentGroupName"])
    config: str = parameters.get("deploymentConfigName") or group.settings["deploymentConfigName"]
    _check_platform(group, region.config(config), parameters)
    if "revision" not in parameters:
        raise ServiceError("RevisionRequiredException", "revision is required")
    target_instances = _target_instances(group, parameters)
    rollback = parameters.get("autoRollbackConfiguration", group.settings.get("autoRollbackConfiguration")) or {}
    check_rollback(rollback)
    check_alarms(parameters.get("overrideAlarmConfiguration"))
    revision = application.known(normal_location(parameters["revision"], group.platform))
    spec = await context.bundles.spec(revision, group.platform)
    group = region.group(application.name, group.name)  # it may have gone while the bundle was read
    region.settle(group, context.now)
    good = group.last_successful
    settings = {
        "deploymentConfigName": config,
        "revision": revision,
        "previousRevision": good.revision if good else None,
        "description": parameters.get("description"),
        "creator": "user",
        "ignoreApplicationStopFailures": parameters.get("ignoreApplicationStopFailures", False),
        "autoRollbackConfiguration": rollback or {"enabled": False, "events": []},
        "updateOutdatedInstancesOnly": parameters.get("updateOutdatedInstancesOnly", False),
        "deploymentStyle": group.settings["deploymentStyle"],
        "blueGreenDeploymentConfiguration": group.settings.get("blueGreenDeploymentConfiguration"),
        "loadBalancerInfo": group.settings.get("loadBalancerInfo"),
        "targetInstances": target_instances,
        "fileExistsBehavior": parameters.get("fileExistsBehavior", "DISALLOW"),
        "overrideAlarmConfiguration": parameters.get("overrideAlarmConfiguration"),
        "computePlatform": group.platform,
    }
    events = frozenset(rollback.get("events") or ()) if rollback.get("enabled") else frozenset[str]()
    return {"deploymentId": region.start(group, settings, context.now, spec=spec, rollback_events=events).id}


def get_deployment(context: Context, parameters: Json) -> Rendered:
    deployment = context.region.deployment(parameters["deploymentId"], context.now)
    return Rendered('{"deploymentInfo": ' + _render(context, deployment) + "}")


def batch_get_deployments(context: Context, parameters: Json) -> Rendered:
    """Ids that aren't there are left out."""
    ids = parameters["deploymentIds"]
    check_batch(ids, BATCH, "deployments")
    region, now, found = context.region, context.now, []
    for deployment_id in ids:
        deployment = region.deployments.get(deployment_id)
        if deployment is not None and not context.injector.omits():
            region.settle(deployment.group, now)
            found.append(_render(context, deployment))
    return Rendered('{"deploymentsInfo": [' + ", ".join(found) + "]}")


def list_deployments(context: Context, parameters: Json) -> Json:
    """The newest first."""
    context.region.settle_all(context.now)
    wanted = set(parameters.get("includeOnlyStatuses") or ())
    start, end = _time_range(parameters.get("createTimeRange") or {})
    found = [
        deployment.id
        for deployment in reversed(_candidates(context, parameters))
        if start <= deployment.created <= end and (not wanted or deployment.status in wanted)
    ]
    ids, token = page(found, parameters.get("nextToken"), context.options.page_size)
    return {"deployments": ids, "nextToken": token}


def stop_deployment(context: Context, parameters: Json) -> Json:
    deployment = context.region.deployment(parameters["deploymentId"], context.now)
    _check_running(deployment)
    has_stopped = context.region.stop(deployment, context.now, rollback=parameters.get("autoRollbackEnabled"))
    if has_stopped:
        return {
            "status": "Succeeded",
            "statusMessage": "No more commands will be scheduled for execution in the deployment",
        }
    return {"status": "Pending", "statusMessage": "Commands that are running are given the time to end"}


def list_deployment_targets(context: Context, parameters: Json) -> Json:
    if "deploymentId" not in parameters:
        raise ServiceError("DeploymentIdRequiredException", "deploymentId is required")
    deployment = _started(context, parameters["deploymentId"])
    filters = parameters.get("targetFilters") or {}
    labels = filters.get("ServerInstanceLabel")
    if labels is not None and not deployment.is_blue_green:
        raise ServiceError(
            "InvalidDeploymentInstanceTypeException",
            f"{deployment.id} has no Blue or Green instances",
        )
    statuses = filters.get("TargetStatus")
    found = [
        track.id
        for track in deployment.tracks
        if (statuses is None or track.status in statuses) and (labels is None or track.label in labels)
    ]
    ids, token = page(found, parameters.get("nextToken"), context.options.page_size)
    return {"targetIds": ids, "nextToken": token}


def get_deployment_target(context: Context, parameters: Json) -> Json:
    deployment = _started(context, parameters["deploymentId"])
    (track,) = _tracks(deployment, [parameters["targetId"]])
    return {"deploymentTarget": _target(context, deployment, track)}


def batch_get_deployment_targets(context: Context, parameters: Json) -> Json:
    ids = parameters["targetIds"]
    if len(ids) > BATCH:
        raise ServiceError(
            "DeploymentTargetListSizeExceededException", f"{len(ids)} targets in one call; the limit is {BATCH}"
        )
    deployment = _started(context, parameters["deploymentId"])
    if not deployment.is_server and len(ids) != 1:
        raise ServiceError(
            "DeploymentTargetListSizeExceededException", f"{len(ids)} targets in one call; {deployment.id} has one"
        )
    return {"deploymentTargets": [_target(context, deployment, track) for track in _tracks(deployment, ids)]}


def _render(context: Context, deployment: Deployment) -> str:
    """DeploymentInfo as JSON, made anew only when something in it has changed."""
    if context.injector.shows_unknown_status():
        info = {**deployment.info(), "status": UNKNOWN_STATUS}
        return json.dumps(context.deployment_info(info))
    state = (deployment.version, deployment.group.target)
    cached = deployment.cached
    if cached is None or cached[0] != state:
        text = json.dumps(context.deployment_info(deployment.info()))
        deployment.cached = (state, text)
        return text
    return cached[1]


def _candidates(context: Context, parameters: Json) -> list[Deployment]:
    region = context.region
    application, group = parameters.get("applicationName"), parameters.get("deploymentGroupName")
    if "externalId" in parameters:
        raise ServiceError("InvalidExternalIdException", "the sandbox has no deployments with an external id")
    if application is None and group is None:
        return list(region.deployments.values())
    if application is None:
        raise ServiceError("ApplicationNameRequiredException", "deploymentGroupName needs applicationName")
    if group is None:
        raise ServiceError("DeploymentGroupNameRequiredException", "applicationName needs deploymentGroupName")
    return region.group(application, group).deployments


def _time_range(given: Json) -> tuple[float, float]:
    start, end = given.get("start"), given.get("end")
    if start is not None and end is not None and start > end:
        raise ServiceError("InvalidTimeRangeException", f"createTimeRange starts at {start}, after its end {end}")
    return start if start is not None else 0.0, end if end is not None else float("inf")


def _check_running(deployment: Deployment) -> None:
    if deployment.ended is not None:
        raise ServiceError(
            "DeploymentAlreadyCompletedException",
            f"The deployment {deployment.id} has ended: it is {deployment.status}",
        )


def _started(context: Context, deployment_id: str) -> Deployment:
    deployment = context.region.deployment(deployment_id, context.now)
    if deployment.started is None:
        raise ServiceError("DeploymentNotStartedException", f"The deployment {deployment_id} has not started yet")
    return deployment


def _check_platform(group: Group, config: Config, parameters: Json) -> None:
    """What the group's compute platform doesn't take."""
    if config.platform != group.platform:
        raise ServiceError(
            "InvalidDeploymentConfigNameException",
            f"{config.name} is for {config.platform}; the group's compute platform is {group.platform}",
        )
    for name in ("updateOutdatedInstancesOnly", "ignoreApplicationStopFailures"):
        if group.platform != "Server" and parameters.get(name):
            raise ServiceError(f"Invalid{name[0].upper()}{name[1:]}ValueException", f"{name} is for Server only")


def _target_instances(group: Group, parameters: Json) -> Json | None:
    """For blue/green onto instances that are there already; for nothing else."""
    given: Json | None = parameters.get("targetInstances")
    is_blue_green = group.settings["deploymentStyle"].get("deploymentType") == "BLUE_GREEN"
    option = (group.settings.get("blueGreenDeploymentConfiguration") or {}).get("greenFleetProvisioningOption") or {}
    is_existing = option.get("action", "DISCOVER_EXISTING") == "DISCOVER_EXISTING"
    if given and not (is_blue_green and is_existing and group.platform == "Server"):
        raise ServiceError(
            "InvalidTargetInstancesException",
            "targetInstances is for blue/green deployments to instances that are there already",
        )
    return given


def _target(context: Context, deployment: Deployment, track: Track) -> Json:
    return deployment_target(deployment, track, context.now, context.options.time_scale)


def _tracks(deployment: Deployment, ids: Iterable[str]) -> list[Track]:
    tracks = {track.id: track for track in deployment.tracks}
    missing = [one for one in ids if one not in tracks]
    if missing:
        raise ServiceError(
            "DeploymentTargetDoesNotExistException", f"{deployment.id} has no target {', '.join(missing)}"
        )
    return [tracks[one] for one in ids]


HANDLERS: Mapping[str, Handler] = {
    "CreateDeployment": create_deployment,
    "GetDeployment": get_deployment,
    "BatchGetDeployments": batch_get_deployments,
    "ListDeployments": list_deployments,
    "StopDeployment": stop_deployment,
    "ListDeploymentTargets": list_deployment_targets,
    "GetDeploymentTarget": get_deployment_target,
    "BatchGetDeploymentTargets": batch_get_deployment_targets,
}
