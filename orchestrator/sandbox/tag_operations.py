"""CodeDeploy's operations on the tags of applications and deployment groups."""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.sandbox.context import Context, Handler, page
from orchestrator.sandbox.deployments import Group
from orchestrator.sandbox.errors import Json, ServiceError
from orchestrator.sandbox.holdings import Application
from orchestrator.sandbox.tags import TAG_LIMIT, tag_list, tags_of

_ARN = re.compile(
    r"arn:(?:aws|aws-cn|aws-us-gov):(?P<service>[a-z0-9-]+):(?P<region>[a-z0-9-]*):(?P<account>\d*):(?P<rest>.+)"
)


def tag_resource(context: Context, parameters: Json) -> Json:
    resource = _resource(context, parameters["ResourceArn"])
    new = {**resource.tags, **tags_of(parameters["Tags"], "InvalidTagsToAddException")}
    if len(new) > TAG_LIMIT:
        raise ServiceError("InvalidTagsToAddException", f"{len(new)} tags; the limit is {TAG_LIMIT}")
    _set(context, resource, new)
    return {}


def untag_resource(context: Context, parameters: Json) -> Json:
    """Keys that aren't there are no error."""
    resource = _resource(context, parameters["ResourceArn"])
    _set(context, resource, {key: value for key, value in resource.tags.items() if key not in parameters["TagKeys"]})
    return {}


def list_tags_for_resource(context: Context, parameters: Json) -> Json:
    tags = _resource(context, parameters["ResourceArn"]).tags
    keys, token = page(sorted(tags), parameters.get("NextToken"), context.options.page_size)
    return {"Tags": tag_list({key: tags[key] for key in keys}), "NextToken": token}


def _set(context: Context, resource: Application | Group, tags: dict[str, str]) -> None:
    resource.tags = tags
    if isinstance(resource, Group):
        context.region.shelf.keep_group(resource)
    else:
        context.region.shelf.keep_application(resource)


def _resource(context: Context, arn: str) -> Application | Group:
    """`arn:aws:codedeploy:<region>:<account>:application:<name>` or `…:deploymentgroup:<application>/<group>`."""
    region = context.region
    match = _ARN.fullmatch(arn)
    if match is None or match["service"] != "codedeploy":
        raise ServiceError("InvalidArnException", f"{arn!r} is no ARN of CodeDeploy's")
    if (match["region"], match["account"]) != (region.name, region.account):
        raise ServiceError(
            "InvalidArnException", f"{arn} isn't of the account {region.account} in {region.name}, which you call"
        )
    kind, _, name = match["rest"].partition(":")
    if kind == "application":
        return region.application(name)
    if kind == "deploymentgroup":
        application, _, group = name.partition("/")
        return region.group(application, group)
    raise ServiceError("ArnNotSupportedException", f"{arn}: only applications and deployment groups have tags")


HANDLERS: Mapping[str, Handler] = {
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "ListTagsForResource": list_tags_for_resource,
}
