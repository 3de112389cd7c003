"""A rehearsal's stand-ins for `s3:` revisions: the bundles lie in the real S3, and the sandbox's is empty."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast, get_args

import anyio.to_thread

from orchestrator.app.uploads import Stores
from orchestrator.aws import Buffers, ObjectStore
from orchestrator.bundle.packing import materialise
from orchestrator.bundle.source import open_source
from orchestrator.core.errors import Finding
from orchestrator.core.model import BundleFormat, BundleSource, GitHubRevision, S3Revision, Target
from orchestrator.manifest import Release

_APPSPEC = "version: 0.0\nos: linux\nfiles: []\n"
_SERVICE = """version: 0.0
Resources:
  - TargetService:
      Type: AWS::ECS::Service
      Properties:
        TaskDefinition: arn:aws:ecs:eu-west-1:000000000000:task-definition/stand-in:1
        LoadBalancerInfo: {ContainerName: stand-in, ContainerPort: 80}
"""


def for_rehearsal(
    release: Release, targets: Sequence[Target], *, really_deploys: bool = False
) -> tuple[tuple[Target, ...], list[Finding]]:
    """The targets without the versions and eTags that no stand-in can have, and a warning if there are stand-ins.

    `really_deploys`: the instances need the bundles, so that GitHub's have stand-ins, too.
    """
    warnings = []
    if in_s3 := [target for target in targets if isinstance(target.source, S3Revision)]:
        what = "the bundle in S3 of {}; version and etag are not looked at"
        warnings.append(_warning(release, in_s3, "revision.s3", what))
    on_github = [target for target in targets if isinstance(target.source, GitHubRevision)]
    if on_github and really_deploys:
        what = "the commit on GitHub of {}; `orchestrator sandbox --fleet` can name a local clone"
        warnings.append(_warning(release, on_github, "revision.github", what))
    return tuple(_without_pins(target) for target in targets), warnings


def _warning(release: Release, targets: Sequence[Target], key: str, what: str) -> Finding:
    at = release.position(targets[0].id, key)
    names = ", ".join(dict.fromkeys(target.application for target in targets))
    return Finding(
        file=at.file,
        line=at.line,
        column=at.column,
        place="",
        message=f"warning: the rehearsal deploys an empty stand-in for {what.format(names)}",
    )


def _without_pins(target: Target) -> Target:
    if not isinstance(target.source, S3Revision):
        return target
    return replace(target, source=replace(target.source, version=None, etag=None))


async def put_stand_ins(targets: Sequence[Target], stores: Stores) -> None:
    """Uploads a bundle that the agent takes under each key that an `s3:` revision names."""
    wanted = {
        (target.source.bucket, target.source.key): (target.source, stores[target.location])
        for target in targets
        if isinstance(target.source, S3Revision)
    }
    for revision, store in wanted.values():
        with tempfile.TemporaryDirectory(prefix="orchestrator-") as folder:
            await _put(revision, store, Path(folder))


async def _put(revision: S3Revision, store: ObjectStore, folder: Path) -> None:
    tree, packed = folder / "tree", folder / "packed"
    tree.mkdir()
    packed.mkdir()
    appspec = tree / "appspec.yml"
    appspec.write_text(_APPSPEC, encoding="utf-8")
    path = appspec
    kind = revision.bundle_type
    if kind not in get_args(BundleFormat):
        appspec.write_text(_SERVICE, encoding="utf-8")
    if kind in get_args(BundleFormat):  # else it is the AppSpec itself, of ECS or Lambda
        bundle = open_source(
            BundleSource(path=tree, bucket=revision.bucket, prefix="", format=cast("BundleFormat", kind))
        )
        path = (await anyio.to_thread.run_sync(materialise, bundle, packed)).path
    await store.put_file(revision.bucket, revision.key, path, metadata={}, buffers=Buffers())
