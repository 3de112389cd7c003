"""Revisions as CodeDeploy knows them: checked, compared, and registered with an application."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from orchestrator.sandbox.errors import Json, ServiceError

_MEMBERS = {"S3": "s3Location", "GitHub": "gitHubLocation", "String": "string", "AppSpecContent": "appSpecContent"}
_ARCHIVES = ("tar", "tgz", "zip")


@dataclass(slots=True)
class RevisionRecord:
    """A revision of an application."""

    location: Json
    registered: float
    description: str | None = None
    first_used: float | None = None
    last_used: float | None = None
    groups: list[str] = field(default_factory=list)
    """The groups whose target it is now."""

    def info(self) -> Json:
        return {
            "description": self.description,
            "deploymentGroups": list(self.groups),
            "firstUsedTime": self.first_used,
            "lastUsedTime": self.last_used,
            "registerTime": self.registered,
        }


def normal_location(location: Json) -> Json:
    """The revision as it is kept: eTag without quotes. Raises InvalidRevisionException."""
    kind = location.get("revisionType")
    if kind not in _MEMBERS:
        raise _invalid("revisionType is missing")
    body = location.get(_MEMBERS[kind])
    if not body:
        raise _invalid(f"revisionType is {kind}, but {_MEMBERS[kind]} is missing")
    body = {name: value for name, value in body.items() if value is not None}
    if kind == "S3":
        return {"revisionType": kind, "s3Location": _s3(body)}
    if kind == "GitHub":
        return {"revisionType": kind, "gitHubLocation": _github(body)}
    raise _invalid(f"a revision of type {kind} is for Lambda and ECS; this application's compute platform is Server")


def revision_key(location: Json) -> str:
    """The same for the same revision."""
    return json.dumps(location, sort_keys=True)


def revision_name(location: Json) -> str:
    """The S3 key or the GitHub commit; what people tell revisions apart by."""
    if s3 := location.get("s3Location"):
        return str(s3["key"])
    return str(location["gitHubLocation"]["commitId"])


def _s3(body: Json) -> Json:
    for name in ("bucket", "key", "bundleType"):
        if not body.get(name):
            raise _invalid(f"s3Location.{name} is missing")
    if body["bundleType"] not in _ARCHIVES:
        raise _invalid(
            f"s3Location.bundleType {body['bundleType']} is for Lambda and ECS; Server takes tar, tgz and zip"
        )
    if etag := body.get("eTag"):
        body = {**body, "eTag": etag.strip('"')}
    return body


def _github(body: Json) -> Json:
    repository, commit = body.get("repository", ""), body.get("commitId", "")
    owner, _, name = repository.partition("/")
    if not owner or not name or "/" in name:
        raise _invalid(f"gitHubLocation.repository {repository!r} isn't owner/name")
    if not commit:
        raise _invalid("gitHubLocation.commitId is missing")
    return body


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidRevisionException", f"The revision is invalid: {message}")
