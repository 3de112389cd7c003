"""CodeDeploy's operations on deployment groups."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.sandbox.context import Context, Handler, check_batch, page
from orchestrator.sandbox.deployments import Group, instance_ids
from orchestrator.sandbox.errors import Json, ServiceError
from orchestrator.sandbox.group_settings import defaults, settings_of
from orchestrator.sandbox.holdings import Application
from orchestrator.sandbox.region import Region
from orchestrator.sandbox.tags import tags_of

_LIMIT = 1000
"""Groups of one application."""


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
        settings={**defaults(application.platform), **settings},
        platform=application.platform,
        is_tagged=is_tagged,
    )
    region.adopt(group)
    region.shelf.keep_group(group)
    return group


def create_deployment_group(context: Context, parameters: Json) -> Json:
    region = context.region
    application = region.application(parameters["applicationName"])
    name = parameters["deploymentGroupName"]
    if name in application.groups:
        raise ServiceError("DeploymentGroupAlreadyExistsException", f"Deployment group already exists: {name}")
    if len(application.groups) >= _LIMIT:
        raise ServiceError("DeploymentGroupLimitExceededException", f"{application.name} has {_LIMIT} groups already")
    tags = tags_of(parameters.get("tags") or [], "InvalidTagsToAddException")
    settings = settings_of(region, application.platform, parameters, defaults(application.platform))
    _check_service(region, settings, None)
    count = context.options.instances if application.platform == "Server" else 0
    group = add_group(region, application, name, settings, count, is_tagged=True)
    group.tags = tags
    return {"deploymentGroupId": group.id}


def update_deployment_group(context: Context, parameters: Json) -> Json:
    region = context.region
    old_name: str = parameters["currentDeploymentGroupName"]
    group = region.group(parameters["applicationName"], old_name)
    new_name: str = parameters.get("newDeploymentGroupName", old_name)
    groups = region.application(group.application).groups
    if new_name != old_name and new_name in groups:
        raise ServiceError("DeploymentGroupAlreadyExistsException", f"Deployment group already exists: {new_name}")
    platform = region.application(group.application).platform
    settings = {**group.settings, **settings_of(region, platform, parameters, group.settings)}
    _check_service(region, settings, group)
    group.settings = settings
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


def _check_service(region: Region, settings: Json, group: Group | None) -> None:
    """An ECS service may be in one group only."""
    services = settings.get("ecsServices") or []
    for application in region.applications.values() if services else ():
        for other in application.groups.values():
            if other is not group and other.settings.get("ecsServices") == services:
                raise ServiceError(
                    "ECSServiceMappingLimitExceededException", f"{services[0]} is in the group {other.target} already"
                )


HANDLERS: Mapping[str, Handler] = {
    "CreateDeploymentGroup": create_deployment_group,
    "UpdateDeploymentGroup": update_deployment_group,
    "GetDeploymentGroup": get_deployment_group,
    "BatchGetDeploymentGroups": batch_get_deployment_groups,
    "ListDeploymentGroups": list_deployment_groups,
    "DeleteDeploymentGroup": delete_deployment_group,
}
