"""Whether targets fit what stands at CodeDeploy: groups that exist, revisions and settings of the right kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from orchestrator.app.standing import Groups, Platforms, group_key
from orchestrator.core.errors import Finding
from orchestrator.core.model import AppSpecRevision, Group, S3Revision, Target
from orchestrator.manifest.release import Position

SERVER = "Server"
ARCHIVES = frozenset({"tgz", "tar", "zip"})
KINDS: Mapping[str, str] = {"AWS::ECS::Service": "ECS", "AWS::Lambda::Function": "Lambda"}
"""The platforms, by the type of the resource that an AppSpec names."""

SERVERS_ONLY = (
    "ignore_application_stop_failures",
    "update_outdated_instances_only",
    "file_exists_behavior",
    "target_instances",
)
"""Settings that mean nothing on ECS and Lambda; CodeDeploy refuses the first two there when they are true."""

PositionOf = Callable[[str, str], Position]
"""Of a target's setting; an empty one is the target itself."""

CHECK_NAMES = "create it, or check application_name, deployment_group_name, region and account"


def misfits(targets: Sequence[Target], groups: Groups, platforms: Platforms, at: PositionOf) -> list[Finding]:
    """All of them, in the order of the file."""
    there = {(location, application) for location, application, _ in groups} | set(platforms)
    found: list[Finding] = []
    for target in targets:
        group = groups.get(group_key(target))
        if group is None:
            exists = (target.location, target.application_name) in there
            found.append(finding(at, target, "", _missing(target, application_exists=exists), CHECK_NAMES))
            continue
        platform = platforms.get((target.location, target.application_name)) or group.compute_platform
        found += [finding(at, target, *problem) for problem in _of_kind(target, group, platform)]
    return in_order(found)


def in_order(findings: Sequence[Finding]) -> list[Finding]:
    return sorted(dict.fromkeys(findings), key=lambda each: (each.file, each.line, each.column))


def finding(at: PositionOf, target: Target, setting: str, message: str, hint: str | None) -> Finding:
    where = at(target.id, setting)
    place = f"{target.id}: {setting}" if setting else target.id
    return Finding(file=where.file, line=where.line, column=where.column, place=place, message=message, hint=hint)


def _missing(target: Target, *, application_exists: bool) -> str:
    application, group = target.application_name, target.deployment_group_name
    what = (
        f"there is no deployment group {group!r} in the application {application!r}"
        if application_exists
        else f"there is no application {application!r} with a group {group!r}"
    )
    return f"{what} in {target.location}"


Problem = tuple[str, str, str | None]
"""Setting, message, hint."""


def _of_kind(target: Target, group: Group, platform: str) -> Iterator[Problem]:
    takes = "an AppSpec by `appspec:`, or a YAML or JSON file in S3" if platform != SERVER else "a bundle or a commit"
    hint = f"an application of the compute platform {platform} takes {takes}"
    kind = _kind_of(target)
    if isinstance(kind, str) and kind != platform:
        what = "a revision for servers" if kind == SERVER else f"an AppSpec for {kind}"
        yield "revision", f"{what}, but {target.application_name} is an application of {platform}", hint
    if isinstance(kind, frozenset) and platform not in kind:
        yield "revision", f"an AppSpec, but {target.application_name} is an application of {platform}", hint
    if platform != SERVER:
        for setting in SERVERS_ONLY:
            if getattr(target.settings, setting):
                where = f"{target.application_name} is an application of {platform}"
                yield setting, f"is for servers only, and {where}", "take it out, or set it to false there"
    elif target.settings.target_instances is not None and not group.is_blue_green:
        message = "names the replacement instances of a blue/green deployment, and the group deploys in place"
        yield "target_instances", message, "take it out, or make the group blue/green"


def _kind_of(target: Target) -> str | frozenset[str]:
    """The platform that the revision is for; of an AppSpec that doesn't say it, those that it may be for."""
    source = target.source
    if isinstance(source, AppSpecRevision):
        named = [platform for kind, platform in KINDS.items() if kind in source.content]
        return named[0] if len(named) == 1 else frozenset({"ECS", "Lambda"})
    if isinstance(source, S3Revision) and source.bundle_type not in ARCHIVES:
        return frozenset({"ECS", "Lambda"})
    return SERVER
