"""Promoted bundles: from the bucket of one environment to that of the next, and proved to be the same there."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from orchestrator.app.uploads import DIGEST_METADATA, Stores
from orchestrator.aws import Buffers, CopySource, ObjectInfo
from orchestrator.core.bundle_events import BundleUploaded
from orchestrator.core.errors import CallError, RefusedError
from orchestrator.core.events import Event, WarningRaised
from orchestrator.core.model import Location, PromotedBundle, S3Revision, Target
from orchestrator.core.ports import Artifact


def locations_of(targets: Iterable[Target]) -> list[Location]:
    """Where a run of these targets makes calls: where they are, and where their bundles come from."""
    found: dict[Location, None] = {}
    for target in targets:
        found[target.location] = None
        if isinstance(target.source, PromotedBundle):
            found[target.source.from_location] = None
    return list(found)


class Copies:
    """Copies bundles within S3 or, where the one account may not read the other's bucket, through this machine."""

    def __init__(self, stores: Stores, *, record: Callable[[Event], None]) -> None:
        self._stores = stores
        self._record = record
        self._buffers = Buffers()

    async def prepare(self, target: Target, source: PromotedBundle) -> Artifact:
        """Raises `RefusedError` when the original is no longer what was verified, or the copy isn't the same."""
        began = time.monotonic()
        there = await self._stores[target.location].head(source.bucket, source.key, settings=source.stored)
        copied = there is None or there.metadata.get(DIGEST_METADATA) != source.digest
        info = await self._copy(target, source) if there is None or copied else there
        origin = f"s3://{source.from_bucket}/{source.from_key}"
        self._record(
            BundleUploaded(
                application=target.application,
                region=target.location.region,
                bucket=source.bucket,
                key=source.key,
                digest=source.digest,
                bytes=info.size,
                seconds=time.monotonic() - began,
                skipped=not copied,
                copied_from=origin if copied else None,
            )
        )
        revision = S3Revision(
            bucket=source.bucket,
            key=source.key,
            bundle_type=source.bundle_type,
            version=info.version_id,
            etag=info.etag or None,
        )
        return Artifact(revision=revision, digest=source.digest)

    async def _copy(self, target: Target, source: PromotedBundle) -> ObjectInfo:
        original = await self._original(source)
        known = CopySource(
            bucket=source.from_bucket,
            key=source.from_key,
            version_id=original.version_id,
            etag=original.etag,
            size=original.size,
        )
        if original.checksum is not None:
            try:
                return await self._stores[target.location].copy(
                    known,
                    source.bucket,
                    source.key,
                    metadata={DIGEST_METADATA: source.digest},
                    checksum=original.checksum,
                    settings=source.stored,
                )
            except CallError as error:
                told = f"s3://{source.from_bucket}/{source.from_key} can't be copied to {source.bucket} within S3"
                self._record(WarningRaised(message=f"{told}, so it comes by here: {error}", target=target.id))
        return await self._carry(target, source, original)

    async def _original(self, source: PromotedBundle) -> ObjectInfo:
        """The object as it was verified: the pinned version, the pinned eTag, the digest."""
        store = self._stores[source.from_location]
        where = f"s3://{source.from_bucket}/{source.from_key}"
        info = await store.head(source.from_bucket, source.from_key, source.from_version, checksum=True)
        if info is None:
            raise _changed(f"{where} is no longer there")
        if source.from_etag is not None and info.etag != source.from_etag:
            raise _changed(f"{where} has the eTag {info.etag}, and {source.from_etag} was verified")
        found = info.metadata.get(DIGEST_METADATA)
        if found != source.digest:
            raise _changed(f"{where} has the digest {found}, and {source.digest} was verified")
        return info

    async def _carry(self, target: Target, source: PromotedBundle, original: ObjectInfo) -> ObjectInfo:
        with tempfile.TemporaryDirectory(prefix="orchestrator-") as folder:
            path = Path(folder) / "bundle"
            await self._stores[source.from_location].download(source.from_bucket, source.from_key, original, path)
            made = await self._stores[target.location].put_file(
                source.bucket,
                source.key,
                path,
                metadata={DIGEST_METADATA: source.digest},
                buffers=self._buffers,
                settings=source.stored,
            )
        if made.size != original.size or (original.checksum and made.checksum and made.checksum != original.checksum):
            raise _changed(f"the copy in s3://{source.bucket}/{source.key} isn't the same as the original")
        return made


def _changed(message: str) -> RefusedError:
    return RefusedError(
        message,
        operation="CopyObject",
        code="NotVerified",
        hint="deploy it there again, and promote it once it has succeeded",
    )
