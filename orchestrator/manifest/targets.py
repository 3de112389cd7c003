"""From levels of settings to targets."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from orchestrator.core import storing
from orchestrator.core.model import (
    AppSpecRevision,
    BundleSource,
    DeploymentSettings,
    GitHubRevision,
    Location,
    ObjectSettings,
    Retry,
    RevisionSource,
    S3Revision,
)
from orchestrator.manifest.levels import Level
from orchestrator.manifest.models import Application
from orchestrator.manifest.nodes import Node, Scalar, child, descend
from orchestrator.manifest.target_models import Alarms, RetrySettings, Revision, TargetInstances
from orchestrator.manifest.templates import Context

T = TypeVar("T")

MAX_APPSPEC = 1024 * 1024
"""Bytes; what is larger is no AppSpec."""


def setting(levels: Sequence[Level], name: str, kind: type[T]) -> T | None:
    """A setting from the nearest level that has it. Levels go from the defaults to the group."""
    for level in reversed(levels):
        value = level.values.get(name)
        if isinstance(value, kind):
            return value
    return None


def is_written(levels: Sequence[Level], name: str) -> bool:
    """Whether a level has the setting at all, be it wrong."""
    return any(child(level.node, name) is not None for level in levels)


def location(levels: Sequence[Level], environment: Location, default_region: str | None) -> Location:
    """Where a target is: a group and an application override the environment, which overrides the defaults.

    The region is empty where nothing says it.
    """
    defaults, own = levels[:1], levels[1:]
    region = setting(own, "region", str) or environment.region or setting(defaults, "region", str) or default_region
    role = setting(own, "role_arn", str) or environment.role_arn or setting(defaults, "role_arn", str)
    account = setting(own, "account", str) or environment.account or setting(defaults, "account", str)
    return Location(region=region or "", role_arn=role, account=account)


def labels(levels: Sequence[Level]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for level in levels:
        value = level.values.get("labels")
        if isinstance(value, dict):
            found.update(value)
    return found


def deployment_settings(levels: Sequence[Level]) -> DeploymentSettings:
    auto_rollback = setting(levels, "auto_rollback", list)
    alarms = setting(levels, "alarms", Alarms)
    instances = setting(levels, "target_instances", TargetInstances)
    return DeploymentSettings(
        deployment_config=setting(levels, "deployment_config", str),
        description=setting(levels, "description", str) or "",
        auto_rollback=None if auto_rollback is None else tuple(auto_rollback),
        alarms=None if alarms is None else alarms.to_api(),
        file_exists_behavior=setting(levels, "file_exists_behavior", str),
        ignore_application_stop_failures=setting(levels, "ignore_application_stop_failures", bool),
        update_outdated_instances_only=setting(levels, "update_outdated_instances_only", bool),
        target_instances=None if instances is None else instances.to_api(),
    )


def object_settings(levels: Sequence[Level]) -> ObjectSettings:
    """How bundles are stored. Settings replace each other one by one; of tags the nearest mapping holds whole."""
    tags = setting(levels, "tagging", dict)
    return ObjectSettings(
        expected_bucket_owner=setting(levels, "expected_bucket_owner", str),
        server_side_encryption=setting(levels, "server_side_encryption", str),
        sse_kms_key_id=setting(levels, "sse_kms_key_id", str),
        bucket_key_enabled=setting(levels, "bucket_key_enabled", bool),
        acl=setting(levels, "acl", str),
        storage_class=setting(levels, "storage_class", str),
        tagging=tuple(sorted((tags or {}).items())),
    )


def retry(levels: Sequence[Level]) -> Retry:
    given = setting(levels, "retry", RetrySettings)
    return Retry() if given is None else Retry(times=given.times, wait=given.wait)


# --- revisions -------------------------------------------------------------------------------------------------------


class Revisions:
    """The revisions of one application's targets."""

    def __init__(
        self, application: Application, node: Node, name: str, context: Context, names: Mapping[str, str]
    ) -> None:
        """`names`: what templates may refer to beside variables, the environment and git."""
        self._revision: Revision = application.revision
        self._node = node
        self._name = name
        self._problems = context.problems
        self._context = context
        self._names = names
        self._ready: RevisionSource | None = None
        self._bundles: dict[tuple[str, str, ObjectSettings], BundleSource] = {}

    def of(self, levels: Sequence[Level]) -> RevisionSource:
        """The revision of one target; targets with the same settings share it."""
        if self._revision.source is not None:
            return self._bundle(self._revision.source, levels)
        if self._ready is None:
            self._ready = self._other()
        return self._ready

    def _bundle(self, source: str, levels: Sequence[Level]) -> BundleSource:
        bucket = setting(levels, "bucket", str) or ""
        prefix = (setting(levels, "prefix", str) or "").strip("/")
        if not is_written(levels, "bucket"):
            self._problems.add(
                self._written("source"),
                ("applications", self._name, "revision", "source"),
                "there is no bucket for its archive",
                "set bucket: in the defaults, the application or the group",
            )
        stored = self._stored(levels)
        if (bucket, prefix, stored) not in self._bundles:
            self._bundles[bucket, prefix, stored] = BundleSource(
                path=self._path("source", source),
                bucket=bucket,
                prefix=prefix,
                format=self._revision.format,
                ignore=tuple(self._revision.ignore),
                include_vcs=self._revision.include_vcs,
                ignore_hidden=self._revision.ignore_hidden,
                symlinks=self._revision.symlinks,
                compression=self._revision.compression,
                key=self._revision.key,
                stored=stored,
            )
        return self._bundles[bucket, prefix, stored]

    def _stored(self, levels: Sequence[Level]) -> ObjectSettings:
        given = object_settings(levels)
        misfit = storing.misfit_of(given)
        if misfit is not None:
            nearest = next(level for level in reversed(levels) if child(level.node, misfit.setting) is not None)
            node = child(nearest.node, misfit.setting) or self._node
            self._problems.add(node, (*nearest.place, misfit.setting), misfit.message, misfit.hint)
        return storing.completed(given)

    def _other(self) -> RevisionSource:
        revision = self._revision
        if (given := revision.s3) is not None:
            etag = None if given.etag is None else given.etag.strip('"')
            found = given.found_type() or "zip"
            return S3Revision(bucket=given.bucket, key=given.key, bundle_type=found, version=given.version, etag=etag)
        if (commit := revision.github) is not None:
            return GitHubRevision(repository=commit.repository, commit_id=commit.commit)
        return self._appspec(revision.appspec or "")

    def _appspec(self, name: str) -> AppSpecRevision:
        path = self._path("appspec", name)
        content = ""
        try:
            with path.open("rb") as file:
                data = file.read(MAX_APPSPEC + 1)
            if len(data) > MAX_APPSPEC:
                self._complain(f"{name} is larger than {MAX_APPSPEC // 1024} kB")
            content = data.decode()
        except UnicodeDecodeError:
            self._complain(f"{name} is not UTF-8")
        except (OSError, ValueError) as error:
            self._complain(f"{name} can't be read: {error.strerror if isinstance(error, OSError) else error}")
        content = self._expanded(content, str(Path(self._written("appspec").file).parent / name))
        return AppSpecRevision(content=content, sha256=hashlib.sha256(content.encode()).hexdigest())

    def _expanded(self, content: str, file: str) -> str:
        """The templates in an AppSpec, such as the task definition and the version to shift to. Line by line."""
        place = ("applications", self._name, "revision", "appspec")
        lines = content.splitlines(keepends=True)
        for number, line in enumerate(lines, start=1):
            at = line.find("${")
            if at >= 0:
                node = Scalar(file, number, at + 1, line, line)
                lines[number - 1] = self._context.expand(node, place, self._names) or line
        return "".join(lines)

    def _complain(self, message: str) -> None:
        place = ("applications", self._name, "revision", "appspec")
        self._problems.add(self._written("appspec"), place, message, "paths are relative to the file that holds them")

    def _path(self, kind: str, text: str) -> Path:
        """Absolute; relative to the file that the path stands in."""
        return absolute(text, self._written(kind).file)

    def _written(self, kind: str) -> Node:
        return descend(self._node, ("revision", kind)) or self._node


def absolute(text: str, file: str) -> Path:
    """A path that is written in a file. Symlinks in it stay: what they lead to may change until it is read."""
    return Path(os.path.abspath(Path(file).parent / text))  # noqa: PTH100 -- Path.resolve would follow symlinks
