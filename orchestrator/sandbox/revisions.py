"""Revisions as CodeDeploy knows them: checked, compared, and registered with an application."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from orchestrator.sandbox.errors import Json, ServiceError

_MEMBERS = {"S3": "s3Location", "GitHub": "gitHubLocation", "String": "string", "AppSpecContent": "appSpecContent"}
_ARCHIVES = ("tar", "tgz", "zip")
_TEXTS = ("YAML", "JSON")


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


def normal_location(location: Json, platform: str) -> Json:
    """The revision as it is kept: eTag without quotes. Raises InvalidRevisionException."""
    kind = location.get("revisionType")
    if kind not in _MEMBERS:
        raise _invalid("revisionType is missing")
    body = location.get(_MEMBERS[kind])
    if not body:
        raise _invalid(f"revisionType is {kind}, but {_MEMBERS[kind]} is missing")
    body = {name: value for name, value in body.items() if value is not None}
    if kind == "S3":
        return {"revisionType": kind, "s3Location": _s3(body, platform)}
    if (kind == "GitHub") != (platform == "Server"):
        raise _invalid(f"a revision of type {kind} isn't for the compute platform {platform}")
    if kind == "GitHub":
        return {"revisionType": kind, "gitHubLocation": _github(body)}
    return {"revisionType": kind, _MEMBERS[kind]: _content(body)}


def revision_key(location: Json) -> str:
    """The same for the same revision: an AppSpec is known by its hash."""
    text = location.get("appSpecContent") or location.get("string")
    return json.dumps({"sha256": text["sha256"]} if text else location, sort_keys=True)


def shown_location(location: Json) -> Json:
    """As GetDeployment shows it: without an AppSpec's content, which GetApplicationRevision has."""
    if "appSpecContent" not in location:
        return location
    return {**location, "appSpecContent": {"sha256": location["appSpecContent"]["sha256"]}}


def revision_name(location: Json) -> str:
    """The S3 key or the GitHub commit; what people tell revisions apart by."""
    if s3 := location.get("s3Location"):
        return str(s3["key"])
    if github := location.get("gitHubLocation"):
        return str(github["commitId"])
    return str((location.get("appSpecContent") or location["string"])["sha256"])


def _s3(body: Json, platform: str) -> Json:
    for name in ("bucket", "key", "bundleType"):
        if not body.get(name):
            raise _invalid(f"s3Location.{name} is missing")
    wanted = _ARCHIVES if platform == "Server" else _TEXTS
    if body["bundleType"] not in wanted:
        raise _invalid(f"s3Location.bundleType is {body['bundleType']}; {platform} takes {', '.join(wanted)}")
    if etag := body.get("eTag"):
        body = {**body, "eTag": etag.strip('"')}
    return body


def _content(body: Json) -> Json:
    """The AppSpec itself, with its hash."""
    content, sha256 = body.get("content"), body.get("sha256")
    if content:
        return {"content": content, "sha256": sha256 or hashlib.sha256(content.encode()).hexdigest()}
    if not sha256:
        raise _invalid("the content of the AppSpec is missing")
    return {"sha256": sha256}


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
