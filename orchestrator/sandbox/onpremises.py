"""CodeDeploy's operations on on-premises instances."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Mapping

from orchestrator.sandbox.context import Context, Handler, check_batch, page
from orchestrator.sandbox.errors import Json, ServiceError
from orchestrator.sandbox.holdings import OnPremisesInstance
from orchestrator.sandbox.tags import TAG_LIMIT, check_filters, matches, tags_of

_BATCH, _AT_ONCE = 25, 100
"""Instances in one call: those that are asked for, those that get or lose tags."""
_TAG_FILTER = "InvalidTagFilterException"
_USER = re.compile(r"arn:(?:aws|aws-cn|aws-us-gov):iam::\d{12}:user/[\w+=,.@/-]{1,512}")
_SESSION = re.compile(r"arn:(?:aws|aws-cn|aws-us-gov):sts::\d{12}:assumed-role/[\w+=,.@-]{1,64}/[\w+=,.@-]{1,64}")
_KEPT_FOR = 24 * 3600.0
"""Seconds for which a deregistered instance is still told of."""
_LETTERS = string.ascii_letters + string.digits


def register(context: Context, parameters: Json) -> Json:
    name = parameters["instanceName"]
    user, session = parameters.get("iamUserArn"), parameters.get("iamSessionArn")
    known = _known(context)
    _check_arns(user, session)
    if name in known and known[name].deregistered is None:
        raise ServiceError("InstanceNameAlreadyRegisteredException", f"An instance is registered already: {name}")
    for other in known.values():
        if other.deregistered is None and user is not None and other.user_arn == user:
            raise ServiceError("IamUserArnAlreadyRegisteredException", f"{user} is registered for {other.name}")
        if other.deregistered is None and session is not None and other.session_arn == session:
            raise ServiceError("IamSessionArnAlreadyRegisteredException", f"{session} is registered for {other.name}")
    region = context.region
    ending = "".join(secrets.choice(_LETTERS) for _ in range(10))
    instance = OnPremisesInstance(
        name=name,
        arn=f"arn:aws:codedeploy:{region.name}:{region.account}:instance/{name}_{ending}",
        registered=context.now,
        user_arn=user,
        session_arn=session,
    )
    region.onpremises[name] = instance
    region.inventory.add_on_premises(name, instance.tags)
    region.shelf.keep_onpremises(instance)
    return {}


def deregister(context: Context, parameters: Json) -> Json:
    """As at AWS, one that isn't there is no error."""
    instance = _known(context).get(parameters["instanceName"])
    if instance is not None and instance.deregistered is None:
        instance.deregistered = context.now
        context.region.inventory.remove(instance.name)
        context.region.shelf.keep_onpremises(instance)
    return {}


def get(context: Context, parameters: Json) -> Json:
    return {"instanceInfo": _find(context, parameters["instanceName"]).info()}


def batch_get(context: Context, parameters: Json) -> Json:
    """Those that aren't there are left out."""
    check_batch(parameters["instanceNames"], _BATCH, "instances")
    known = _known(context)
    return {"instanceInfos": [known[name].info() for name in parameters["instanceNames"] if name in known]}


def list_instances(context: Context, parameters: Json) -> Json:
    """`tagFilters`: any of them has to fit."""
    filters, status = parameters.get("tagFilters") or [], parameters.get("registrationStatus")
    check_filters(filters, _TAG_FILTER)
    names = [
        name
        for name, instance in sorted(_known(context).items())
        if status in (None, instance.status) and (not filters or matches(instance.tags, filters))
    ]
    names, token = page(names, parameters.get("nextToken"), context.options.page_size)
    return {"instanceNames": names, "nextToken": token}


def add_tags(context: Context, parameters: Json) -> Json:
    tags = tags_of(parameters["tags"], "InvalidTagException")
    instances = _named(context, parameters)
    for instance in instances:
        if len({**instance.tags, **tags}) > TAG_LIMIT:
            raise ServiceError("TagLimitExceededException", f"{instance.name}: more than {TAG_LIMIT} tags")
    for instance in instances:
        _retag(context, instance, {**instance.tags, **tags})
    return {}


def remove_tags(context: Context, parameters: Json) -> Json:
    """A tag is removed when key and value fit; others are no error."""
    tags = tags_of(parameters["tags"], "InvalidTagException")
    for instance in _named(context, parameters):
        _retag(context, instance, {key: value for key, value in instance.tags.items() if tags.get(key) != value})
    return {}


def _retag(context: Context, instance: OnPremisesInstance, tags: dict[str, str]) -> None:
    instance.tags = tags
    if instance.deregistered is None:
        context.region.inventory.add_on_premises(instance.name, tags)
    context.region.shelf.keep_onpremises(instance)


def _named(context: Context, parameters: Json) -> list[OnPremisesInstance]:
    names = parameters["instanceNames"]
    if len(names) > _AT_ONCE:
        raise ServiceError("InstanceLimitExceededException", f"{len(names)} instances; the limit is {_AT_ONCE}")
    return [_find(context, name) for name in dict.fromkeys(names)]


def _known(context: Context) -> dict[str, OnPremisesInstance]:
    """Without those that were deregistered a day ago."""
    region = context.region
    gone = [
        one
        for one in region.onpremises.values()
        if one.deregistered is not None and one.deregistered + _KEPT_FOR <= context.now
    ]
    for instance in gone:
        del region.onpremises[instance.name]
        region.shelf.drop_onpremises(instance.name)
    return region.onpremises


def _find(context: Context, name: str) -> OnPremisesInstance:
    instance = _known(context).get(name)
    if instance is None:
        raise ServiceError("InstanceNotRegisteredException", f"No on-premises instance is registered as {name}")
    return instance


def _check_arns(user: str | None, session: str | None) -> None:
    if user is None and session is None:
        raise ServiceError("IamArnRequiredException", "iamUserArn or iamSessionArn is required")
    if user is not None and session is not None:
        raise ServiceError("MultipleIamArnsProvidedException", "either iamUserArn or iamSessionArn, not both")
    if user is not None and not _USER.fullmatch(user):
        raise ServiceError("InvalidIamUserArnException", f"{user!r} isn't arn:aws:iam::<12 digits>:user/<name>")
    if session is not None and not _SESSION.fullmatch(session):
        raise ServiceError(
            "InvalidIamSessionArnException",
            f"{session!r} isn't arn:aws:sts::<12 digits>:assumed-role/<role>/<session>",
        )


HANDLERS: Mapping[str, Handler] = {
    "RegisterOnPremisesInstance": register,
    "DeregisterOnPremisesInstance": deregister,
    "GetOnPremisesInstance": get,
    "BatchGetOnPremisesInstances": batch_get,
    "ListOnPremisesInstances": list_instances,
    "AddTagsToOnPremisesInstances": add_tags,
    "RemoveTagsFromOnPremisesInstances": remove_tags,
}
