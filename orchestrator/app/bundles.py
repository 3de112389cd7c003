"""What the targets of a release deploy: sources opened and digested first, packed and uploaded when needed."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import anyio.from_thread
import anyio.to_thread

from orchestrator.aws import ObjectInfo, ObjectStore
from orchestrator.bundle.digest import Digest
from orchestrator.bundle.packing import materialise
from orchestrator.bundle.remembered import HashCache
from orchestrator.bundle.source import Bundle, digest, object_key
from orchestrator.core.concurrent import map_limited
from orchestrator.core.errors import RefusedError
from orchestrator.core.events import BundlePacked, BundleUploaded, Event
from orchestrator.core.model import BundleSource, Location, S3Revision, Target
from orchestrator.core.ports import Artifact

DIGEST_METADATA = "orchestrator-digest"
"""The object's metadata that says what is in it, whatever its key is."""

PARTS_IN_FLIGHT = 8
"""Parts (8 MiB each) in memory over all uploads."""


@dataclass(frozen=True, eq=False, slots=True)
class Opened:
    """A source that was looked at."""

    bundle: Bundle
    digest: Digest


Stores = Mapping[Location, ObjectStore]


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
        self._parts = anyio.CapacityLimiter(PARTS_IN_FLIGHT)

    async def prepare(self, targets: Sequence[Target]) -> Artifact:
        target = targets[0]
        source = target.source
        if isinstance(source, BundleSource):
            return await self._prepare_bundle(target, source)
        if isinstance(source, S3Revision):
            return Artifact(revision=await pin(self._stores[target.location], source), digest=None)
        return Artifact(revision=source, digest=None)

    async def _prepare_bundle(self, target: Target, source: BundleSource) -> Artifact:
        opened = self._opened[source]
        known = opened.digest.value
        key = object_key(source, target.application, known, opened.bundle.format)
        store = self._stores[target.location]
        began = time.monotonic()
        info = await store.head(source.bucket, key)
        skipped = info is not None and info.metadata.get(DIGEST_METADATA) == known
        if info is None or not skipped:
            info = await self._upload(store, target, source, opened, key)
        self._record(
            BundleUploaded(
                application=target.application,
                region=target.location.region,
                bucket=source.bucket,
                key=key,
                digest=known,
                bytes=info.size,
                seconds=time.monotonic() - began,
                skipped=skipped,
            )
        )
        revision = S3Revision(
            bucket=source.bucket,
            key=key,
            bundle_type=opened.bundle.format,
            version=info.version_id,
            etag=info.etag or None,
        )
        return Artifact(revision=revision, digest=known)

    async def _upload(
        self, store: ObjectStore, target: Target, source: BundleSource, opened: Opened, key: str
    ) -> ObjectInfo:
        with tempfile.TemporaryDirectory(prefix="orchestrator-") as folder:
            packed = await pack(opened, Path(folder))
            self._record(
                BundlePacked(
                    application=target.application,
                    digest=packed.digest,
                    bytes=packed.size,
                    entries=packed.entries,
                    seconds=packed.seconds,
                )
            )
            metadata = {DIGEST_METADATA: packed.digest}
            return await store.put(source.bucket, key, packed.path, metadata=metadata, limiter=self._parts)


@dataclass(frozen=True, slots=True)
class Archive:
    path: Path
    digest: str
    size: int
    entries: int
    seconds: float


async def pack(opened: Opened, folder: Path) -> Archive:
    """In a worker thread, which ends soon after its task was cancelled: the folder it writes to is about to go."""

    def work() -> Archive:
        began = time.monotonic()
        packed = materialise(opened.bundle, folder, expected=opened.digest, check=anyio.from_thread.check_cancelled)
        return Archive(packed.path, packed.digest, packed.size, packed.entries, time.monotonic() - began)

    return await anyio.to_thread.run_sync(work)


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
