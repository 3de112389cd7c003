"""The plan of a release: what each target runs now, what it shall run, and so what there is to do.

Only reads. What can be found wrong before anything is touched is found here, all of it at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import anyio.to_thread

from orchestrator.app.bundles import pin
from orchestrator.app.fitting import in_order, misfits
from orchestrator.app.standing import (
    READS_AT_ONCE,
    CodeDeploys,
    Groups,
    group_key,
    read_current,
    read_groups,
    read_platforms,
)
from orchestrator.app.uploads import DIGEST_METADATA, Opened, Stores
from orchestrator.aws import ObjectStore
from orchestrator.bundle.source import object_key
from orchestrator.core.codedeploy import same_revision
from orchestrator.core.concurrent import map_limited
from orchestrator.core.errors import Finding, InvalidInputError, UsageError
from orchestrator.core.model import (
    BundleSource,
    DeploymentStatus,
    Group,
    Location,
    PromotedBundle,
    Revision,
    S3Revision,
    Target,
    describe_revision,
)
from orchestrator.core.plan import Plan, Step, order
from orchestrator.manifest import Release, Repository

USUAL_TIMEOUT = 3600.0
"""Seconds that a target without `timeout` has, beside the group's own wait times."""

Check = Callable[[Groups], Awaitable[Sequence[Finding]]]
"""Looks further into what the plan needs; gives the errors."""


async def build_plan(
    release: Release,
    targets: Sequence[Target],
    *,
    opened: Mapping[BundleSource, Opened],
    codedeploys: CodeDeploys,
    stores: Stores,
    force: bool,
    known: Sequence[Finding] = (),
    check: Check | None = None,
) -> Plan:
    """`targets`: those selected; `known`: mistakes that were found before.

    Raises `InvalidInputError` with all that doesn't fit what is there, or `CallError`.
    """
    platforms = await read_platforms(targets, codedeploys)
    groups = await read_groups(targets, codedeploys)
    findings = in_order([*known, *misfits(targets, groups, platforms, release.position)])
    if check is not None:
        findings = in_order([*findings, *await check(groups)])
    if findings:
        raise InvalidInputError(findings)
    standing = await read_current((group_key(target) for target in targets), groups, codedeploys)
    pinned = await _pinned(targets, stores)
    steps: list[Step] = []
    for target in order(targets):
        group = groups[group_key(target)]
        wanted = _wanted(target, opened, pinned)
        current = standing[group_key(target)]
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
        controls=release.controls,
        committed_at=await anyio.to_thread.run_sync(_committed_at, release.manifest),
        notifications=release.notifications,
    )


def _committed_at(manifest: Path) -> float | None:
    """Of interest for the time from a commit to its release, and for nothing else: without an answer it isn't known."""
    try:
        return Repository(manifest.absolute().parent).committed_at()
    except UsageError:
        return None


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
    if isinstance(source, PromotedBundle):
        return S3Revision(bucket=source.bucket, key=source.key, bundle_type=source.bundle_type)
    return pinned[target.location, source] if isinstance(source, S3Revision) else source


def _digest(target: Target, opened: Mapping[BundleSource, Opened]) -> str | None:
    if isinstance(target.source, PromotedBundle):
        return target.source.digest
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
    if isinstance(target.source, PromotedBundle) and target.source.digest[7:] not in target.source.key:
        return "its key doesn't tell what is in it"
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
