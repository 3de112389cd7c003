"""What the targets of a release deploy: sources opened and digested first, packed and uploaded when needed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import anyio
import anyio.from_thread
import anyio.to_thread

from orchestrator.app.copies import Copies
from orchestrator.app.uploads import Opened, Stored, Stores, Uploads, place_of
from orchestrator.aws import ObjectStore
from orchestrator.bundle.digest import Digest
from orchestrator.bundle.remembered import HashCache
from orchestrator.bundle.source import Bundle, digest
from orchestrator.core.bundle_events import BundlePacked, BundleUploaded
from orchestrator.core.concurrent import map_limited
from orchestrator.core.errors import RefusedError
from orchestrator.core.events import Event, WarningRaised
from orchestrator.core.model import BundleSource, PromotedBundle, S3Revision, Target
from orchestrator.core.ports import Artifact


async def digest_all(
    bundles: Mapping[BundleSource, Bundle], cache: HashCache | None = None
) -> dict[BundleSource, Opened]:
    """Reads every file once, in worker threads; with a cache, only what isn't as it was."""

    async def one(item: tuple[BundleSource, Bundle]) -> Opened:
        return Opened(item[1], await anyio.to_thread.run_sync(work, item[1]))

    def work(bundle: Bundle) -> Digest:
        return digest(bundle, cache=cache, check=anyio.from_thread.check_cancelled)

    found = await map_limited(one, bundles.items(), limit=os.cpu_count() or 1)
    return dict(zip(bundles, found, strict=True))


class ReleaseArtifacts:
    """`core.ports.Artifacts` over S3."""

    def __init__(
        self, opened: Mapping[BundleSource, Opened], stores: Stores, *, record: Callable[[Event], None]
    ) -> None:
        self._opened = opened
        self._stores = stores
        self._record = record
        self._copies = Copies(stores, record=record)
        self._uploads = Uploads(stores, tell=lambda message: record(WarningRaised(message=message)))

    async def prepare(self, targets: Sequence[Target]) -> Artifact:
        target = targets[0]
        source = target.source
        if isinstance(source, BundleSource):
            return await self._prepare_bundle(target, source)
        if isinstance(source, S3Revision):
            return Artifact(revision=await pin(self._stores[target.location], source), digest=None)
        if isinstance(source, PromotedBundle):
            return await self._copies.prepare(target, source)
        return Artifact(revision=source, digest=None)

    async def _prepare_bundle(self, target: Target, source: BundleSource) -> Artifact:
        opened = self._opened[source]
        began = time.monotonic()
        stored = await self._uploads.ensure(opened, place_of(source, opened, target.application, target.location))
        self._tell(target, stored, opened.digest.value, time.monotonic() - began)
        return Artifact(revision=stored.revision(opened.bundle), digest=opened.digest.value)

    def _tell(self, target: Target, stored: Stored, known: str, seconds: float) -> None:
        if stored.packed is not None:
            self._record(
                BundlePacked(
                    application=target.application,
                    digest=known,
                    bytes=stored.packed.size,
                    entries=stored.packed.entries,
                    seconds=seconds,
                )
            )
        self._record(
            BundleUploaded(
                application=target.application,
                region=target.location.region,
                bucket=stored.place.bucket,
                key=stored.place.key,
                digest=known,
                bytes=stored.info.size,
                seconds=seconds,
                skipped=not stored.is_new,
                copied_from=stored.copied_from,
            )
        )


async def pin(store: ObjectStore, revision: S3Revision) -> S3Revision:
    """The revision with the version and eTag that the object has now; raises when there is no such object."""
    info = await store.head(revision.bucket, revision.key, revision.version)
    if info is None:
        version = f" (version {revision.version})" if revision.version else ""
        raise RefusedError(
            f"there is no s3://{revision.bucket}/{revision.key}{version}",
            operation="HeadObject",
            code="NoSuchKey",
            hint="upload it first, or check bucket, key and version in the manifest",
        )
    if revision.etag is not None and revision.etag != info.etag:
        raise RefusedError(
            f"s3://{revision.bucket}/{revision.key} has the eTag {info.etag}, and the manifest says {revision.etag}",
            operation="HeadObject",
            code="EtagMismatch",
            hint="somebody has replaced the object; pin its version, or take the new eTag",
        )
    return replace(revision, version=info.version_id, etag=info.etag or None)
