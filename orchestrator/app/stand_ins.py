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
from orchestrator.core.model import BundleFormat, BundleSource, S3Revision, Target
from orchestrator.manifest import Release

_APPSPEC = "version: 0.0\nos: linux\nfiles: []\n"


def for_rehearsal(release: Release, targets: Sequence[Target]) -> tuple[tuple[Target, ...], list[Finding]]:
    """The targets without the versions and eTags that no stand-in can have, and a warning if there are stand-ins."""
    stood_in = [target for target in targets if isinstance(target.source, S3Revision)]
    if not stood_in:
        return tuple(targets), []
    at = release.position(stood_in[0].id, "revision.s3")
    names = ", ".join(dict.fromkeys(target.application for target in stood_in))
    warning = Finding(
        file=at.file,
        line=at.line,
        column=at.column,
        place="",
        message=f"warning: the rehearsal deploys an empty stand-in for the bundle in S3 of {names}; "
        "version and etag are not looked at",
    )
    return tuple(_without_pins(target) for target in targets), [warning]


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
    if kind in get_args(BundleFormat):  # else it is the AppSpec itself, of ECS or Lambda
        bundle = open_source(
            BundleSource(path=tree, bucket=revision.bucket, prefix="", format=cast("BundleFormat", kind))
        )
        path = (await anyio.to_thread.run_sync(materialise, bundle, packed)).path
    await store.put_file(revision.bucket, revision.key, path, metadata={}, buffers=Buffers())
