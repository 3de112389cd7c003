"""CodeDeploy's operations on applications and their revisions."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.sandbox.context import Context, Handler, check_batch, page
from orchestrator.sandbox.errors import Json, ServiceError
from orchestrator.sandbox.holdings import Application
from orchestrator.sandbox.revisions import RevisionRecord, normal_location, revision_key
from orchestrator.sandbox.tags import tags_of

_LIMIT = 1000
"""Applications of one account and region."""
_SORT_KEYS = {"registerTime": "registered", "firstUsedTime": "first_used", "lastUsedTime": "last_used"}


def create_application(context: Context, parameters: Json) -> Json:
    region, name = context.region, parameters["applicationName"]
    if name in region.applications:
        raise ServiceError("ApplicationAlreadyExistsException", f"Application already exists: {name}")
    if len(region.applications) >= _LIMIT:
        raise ServiceError("ApplicationLimitExceededException", f"there are {_LIMIT} applications already")
    application = Application(
        name=name,
        created=context.now,
        platform=parameters.get("computePlatform", "Server"),
        tags=tags_of(parameters.get("tags") or [], "InvalidTagsToAddException"),
    )
    region.applications[name] = application
    region.shelf.keep_application(application)
    return {"applicationId": application.id}


def update_application(context: Context, parameters: Json) -> Json:
    """Another name; everything of the application goes with it."""
    region = context.region
    if "applicationName" not in parameters:
        raise ServiceError("ApplicationNameRequiredException", "applicationName is required")
    application = region.application(parameters["applicationName"])
    name = parameters.get("newApplicationName", application.name)
    if name == application.name:
        return {}
    if name in region.applications:
        raise ServiceError("ApplicationAlreadyExistsException", f"Application already exists: {name}")
    region.shelf.drop_application(application)
    region.applications[name] = region.applications.pop(application.name)
    application.name = name
    region.shelf.keep_application(application)
    for record in application.revisions.values():
        region.shelf.keep_revision(name, record)
    for group in application.groups.values():
        group.application = name
        region.shelf.keep_group(group)
    return {}


def get_application(context: Context, parameters: Json) -> Json:
    return {"application": context.region.application(parameters["applicationName"]).info()}


def batch_get_applications(context: Context, parameters: Json) -> Json:
    names = parameters["applicationNames"]
    check_batch(names, 100, "applications")
    return {"applicationsInfo": [context.region.application(name).info() for name in names]}


def list_applications(context: Context, parameters: Json) -> Json:
    names, token = page(sorted(context.region.applications), parameters.get("nextToken"), context.options.page_size)
    return {"applications": names, "nextToken": token}


def delete_application(context: Context, parameters: Json) -> Json:
    """As at AWS, one that isn't there is no error."""
    region = context.region
    application = region.applications.get(parameters["applicationName"])
    if application is not None:
        for group in application.groups.values():
            region.abandon(group, context.now, "APPLICATION_MISSING", "The application was deleted.")
            region.shelf.drop_group(group)
        region.shelf.drop_application(application)
        del region.applications[application.name]
    return {}


def register_application_revision(context: Context, parameters: Json) -> Json:
    application = context.region.application(parameters["applicationName"])
    record = application.register(
        normal_location(parameters["revision"], application.platform), context.now, parameters.get("description")
    )
    context.region.shelf.keep_revision(application.name, record)
    return {}


def get_application_revision(context: Context, parameters: Json) -> Json:
    application = context.region.application(parameters["applicationName"])
    location = normal_location(parameters["revision"], application.platform)
    record = application.revisions.get(revision_key(location))
    if record is None:
        raise ServiceError("RevisionDoesNotExistException", f"{application.name} has no such revision")
    return {"applicationName": application.name, "revision": record.location, "revisionInfo": record.info()}


def batch_get_application_revisions(context: Context, parameters: Json) -> Json:
    application = context.region.application(parameters["applicationName"])
    check_batch(parameters["revisions"], 25, "revisions")
    locations = [normal_location(location, application.platform) for location in parameters["revisions"]]
    records = [application.revisions.get(revision_key(location)) for location in locations]
    found = [{"revisionLocation": one.location, "genericRevisionInfo": one.info()} for one in records if one]
    missing = None if len(found) == len(records) else "Some of the revisions do not exist"
    return {"applicationName": application.name, "revisions": found, "errorMessage": missing}


def list_application_revisions(context: Context, parameters: Json) -> Json:
    application = context.region.application(parameters["applicationName"])
    bucket, prefix = parameters.get("s3Bucket"), parameters.get("s3KeyPrefix", "")
    if prefix and not bucket:
        raise ServiceError("BucketNameFilterRequiredException", "s3KeyPrefix needs s3Bucket")
    deployed = parameters.get("deployed", "ignore")
    found = [
        record
        for record in application.revisions.values()
        if _is_in_bucket(record.location, bucket, prefix) and deployed in ("ignore", _deployed(record))
    ]
    sort_key = _SORT_KEYS[parameters.get("sortBy", "registerTime")]
    found.sort(key=lambda record: getattr(record, sort_key) or 0.0, reverse=parameters.get("sortOrder") == "descending")
    keys, token = page(
        [revision_key(record.location) for record in found], parameters.get("nextToken"), context.options.page_size
    )
    return {"revisions": [application.revisions[key].location for key in keys], "nextToken": token}


def _is_in_bucket(location: Json, bucket: str | None, prefix: str) -> bool:
    s3 = location.get("s3Location", {})
    return bucket is None or (s3.get("bucket") == bucket and s3["key"].startswith(prefix))


def _deployed(record: RevisionRecord) -> str:
    return "include" if record.groups else "exclude"


HANDLERS: Mapping[str, Handler] = {
    "CreateApplication": create_application,
    "UpdateApplication": update_application,
    "GetApplication": get_application,
    "BatchGetApplications": batch_get_applications,
    "ListApplications": list_applications,
    "DeleteApplication": delete_application,
    "RegisterApplicationRevision": register_application_revision,
    "GetApplicationRevision": get_application_revision,
    "BatchGetApplicationRevisions": batch_get_application_revisions,
    "ListApplicationRevisions": list_application_revisions,
}
