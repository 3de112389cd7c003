"""The plan of a release: what each target runs now, what it shall run, and so what there is to do.

Only reads. What can be found wrong before anything is touched is found here, all of it at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from orchestrator.app.bundles import pin
from orchestrator.app.uploads import DIGEST_METADATA, Opened, Stores
from orchestrator.aws import ObjectStore
from orchestrator.bundle.source import object_key
from orchestrator.core.chunks import chunks
from orchestrator.core.codedeploy import BATCH, CodeDeploy, same_revision
from orchestrator.core.concurrent import map_limited
from orchestrator.core.errors import Finding, InvalidInputError, RefusedError
from orchestrator.core.limiter import Priority
from orchestrator.core.model import (
    BundleSource,
    Deployment,
    DeploymentStatus,
    Group,
    Location,
    Revision,
    S3Revision,
    Target,
    describe_revision,
)
from orchestrator.core.plan import Plan, Step, order
from orchestrator.manifest import Release

USUAL_TIMEOUT = 3600.0
"""Seconds that a target without `timeout` has, beside the group's own wait times."""

READS_AT_ONCE = 16
"""Applications that are asked about side by side; the budget paces the calls."""

Key = tuple[Location, str, str]
"""Location, application name, deployment group name."""
Groups = dict[Key, Group]


async def build_plan(
    release: Release,
    targets: Sequence[Target],
    *,
    opened: Mapping[BundleSource, Opened],
    codedeploys: Mapping[Location, CodeDeploy],
    stores: Stores,
    force: bool,
) -> Plan:
    """`targets`: those selected. Raises `InvalidInputError` for groups that don't exist, and `CallError`."""
    groups = await _groups(release, targets, codedeploys)
    standing = await _standing_deployments(targets, groups, codedeploys)
    pinned = await _pinned(targets, stores)
    steps: list[Step] = []
    for target in order(targets):
        group = groups[group_key(target)]
        wanted = _wanted(target, opened, pinned)
        current = _current_revision(group, standing)
        changed = "forced" if force else await _reason_to_deploy(target, group, current, wanted, opened, stores)
        steps.append(
            Step(
                target=target,
                action="deploy" if changed else "unchanged",
                current=current,
                current_deployment_id=group.last_successful_id,
                wanted=describe_revision(wanted),
                digest=_digest(target, opened),
                timeout=target.timeout if target.timeout is not None else USUAL_TIMEOUT + group.wait_seconds,
                reason=changed or f"{group.last_attempted_id} succeeded with the same revision",
                revision=wanted,
                seen=group,
            )
        )
    return Plan(
        release=release.release,
        environment=release.environment.name,
        manifest=str(release.manifest),
        manifest_digest="sha256:" + hashlib.sha256(release.manifest.read_bytes()).hexdigest(),
        steps=tuple(steps),
        freeze=release.environment.freeze,
    )


def group_key(target: Target) -> Key:
    return (target.location, target.application_name, target.deployment_group_name)


# --- what stands there now -------------------------------------------------------------------------------------------


async def _groups(release: Release, targets: Sequence[Target], codedeploys: Mapping[Location, CodeDeploy]) -> Groups:
    """Raises `InvalidInputError` for those that don't exist."""
    found = await read_groups(targets, codedeploys)
    there = {(location, application) for location, application, _ in found}
    missing = [
        _missing(release, target, application_exists=(target.location, target.application_name) in there)
        for target in targets
        if group_key(target) not in found
    ]
    if missing:
        raise InvalidInputError(sorted(missing, key=lambda finding: (finding.file, finding.line, finding.column)))
    return found


async def read_groups(targets: Sequence[Target], codedeploys: Mapping[Location, CodeDeploy]) -> Groups:
    """The targets' groups, those that exist: one batched call for each application in each location."""
    names: dict[tuple[Location, str], list[Target]] = {}
    for target in targets:
        names.setdefault((target.location, target.application_name), []).append(target)

    async def ask(item: tuple[tuple[Location, str], list[Target]]) -> dict[str, Group]:
        (location, application), asked = item
        return await _groups_of(codedeploys[location], application, [each.deployment_group_name for each in asked])

    answers = await map_limited(ask, names.items(), limit=READS_AT_ONCE)
    return {
        (location, application, name): group
        for (location, application), groups in zip(names, answers, strict=True)
        for name, group in groups.items()
    }


async def _groups_of(codedeploy: CodeDeploy, application: str, names: Sequence[str]) -> dict[str, Group]:
    try:
        return await codedeploy.groups(application, names)
    except RefusedError as error:
        if error.code.startswith("ApplicationDoesNotExist"):
            return {}
        raise


def _missing(release: Release, target: Target, *, application_exists: bool) -> Finding:
    at = release.position(target.id)
    what = (
        f"there is no deployment group {target.deployment_group_name!r} in the application {target.application_name!r}"
        if application_exists
        else f"there is no application {target.application_name!r} with a group {target.deployment_group_name!r}"
    )
    return Finding(
        file=at.file,
        line=at.line,
        column=at.column,
        place=target.id,
        message=f"{what} in {target.location}",
        hint="create it, or check application_name, deployment_group_name, region and account",
    )


async def _standing_deployments(
    targets: Sequence[Target], groups: Groups, codedeploys: Mapping[Location, CodeDeploy]
) -> dict[str, Deployment]:
    """The last successful deployments of those groups whose last attempt was another one: batched, by location."""
    wanted: dict[Location, list[str]] = {}
    for target in targets:
        group = groups[group_key(target)]
        if group.last_successful_id is not None and group.last_successful_id != group.last_attempted_id:
            wanted.setdefault(target.location, []).append(group.last_successful_id)
    found: dict[str, Deployment] = {}
    for location, ids in wanted.items():
        for batch in chunks(ids, BATCH):
            found |= await codedeploys[location].deployments(batch, priority=Priority.LIST)
    return found


def _current_revision(group: Group, standing: Mapping[str, Deployment]) -> Revision | None:
    if group.last_successful_id is None:
        return None
    if group.last_successful_id == group.last_attempted_id:
        return group.revision
    deployment = standing.get(group.last_successful_id)
    return None if deployment is None else deployment.revision


# --- what shall stand there ------------------------------------------------------------------------------------------


Pinned = Mapping[tuple[Location, S3Revision], S3Revision]


async def _pinned(targets: Sequence[Target], stores: Stores) -> Pinned:
    """Given S3 revisions with the version and eTag that they have now."""
    wanted = list(dict.fromkeys((t.location, t.source) for t in targets if isinstance(t.source, S3Revision)))

    async def look(item: tuple[Location, S3Revision]) -> S3Revision:
        location, revision = item
        return await pin(stores[location], revision)

    return dict(zip(wanted, await map_limited(look, wanted, limit=READS_AT_ONCE), strict=True))


def _wanted(target: Target, opened: Mapping[BundleSource, Opened], pinned: Pinned) -> Revision:
    source = target.source
    if isinstance(source, BundleSource):
        bundle = opened[source]
        key = object_key(source, target.application, bundle.digest.value, bundle.bundle.format)
        return S3Revision(bucket=source.bucket, key=key, bundle_type=bundle.bundle.format)
    return pinned[target.location, source] if isinstance(source, S3Revision) else source


def _digest(target: Target, opened: Mapping[BundleSource, Opened]) -> str | None:
    return opened[target.source].digest.value if isinstance(target.source, BundleSource) else None


async def _reason_to_deploy(
    target: Target,
    group: Group,
    current: Revision | None,
    wanted: Revision,
    opened: Mapping[BundleSource, Opened],
    stores: Stores,
) -> str | None:
    """None when the group's last deployment succeeded with the same content."""
    if not target.skip_if_current:
        return "skip_if_current is off"
    if group.last_attempted_status is not DeploymentStatus.SUCCEEDED:
        return (
            "never deployed" if group.last_attempted_id is None else f"last deployment: {group.last_attempted_status}"
        )
    if not same_revision(current, wanted):
        return "another revision"
    if isinstance(target.source, BundleSource) and isinstance(current, S3Revision):
        return await _other_content(target.source, opened[target.source], current, stores[target.location])
    return None


async def _other_content(source: BundleSource, opened: Opened, current: S3Revision, store: ObjectStore) -> str | None:
    """A key that doesn't hold the digest says nothing: then the object that was deployed says what is in it."""
    if source.key is None or "${digest}" in source.key:
        return None
    info = await store.head(current.bucket, current.key, current.version, settings=source.stored)
    if info is None or (current.etag is not None and info.etag != current.etag):
        return "what was deployed is no longer in the bucket"
    return None if info.metadata.get(DIGEST_METADATA) == opened.digest.value else "other content under the same key"
