"""Bundles that their bucket has already: what a plan names by its digest needs no source then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from orchestrator.app.uploads import DIGEST_METADATA, Stores
from orchestrator.core.concurrent import map_limited
from orchestrator.core.model import BundleSource, Location, S3Revision, Target
from orchestrator.core.plan import Step
from orchestrator.core.ports import Artifact, Artifacts

AT_ONCE = 16

Place = tuple[Location, BundleSource]
Found = Mapping[Place, Artifact]


async def find_stored(steps: Iterable[Step], stores: Stores) -> Found:
    """The artifacts of those bundles that are in their buckets, with the digests that the steps name."""
    wanted = {
        (step.target.location, step.target.source): step
        for step in steps
        if isinstance(step.target.source, BundleSource) and isinstance(step.revision, S3Revision) and step.digest
    }

    async def look(item: tuple[Place, Step]) -> Artifact | None:
        (location, source), step = item
        revision = step.revision
        assert isinstance(revision, S3Revision)  # noqa: S101 - as chosen above
        info = await stores[location].head(revision.bucket, revision.key, settings=source.stored)
        if info is None or info.metadata.get(DIGEST_METADATA) != step.digest:
            return None
        pinned = replace(revision, version=info.version_id, etag=info.etag or None)
        return Artifact(revision=pinned, digest=step.digest)

    found = await map_limited(look, wanted.items(), limit=AT_ONCE)
    return {place: artifact for place, artifact in zip(wanted, found, strict=True) if artifact is not None}


class StoredFirst:
    """`core.ports.Artifacts`: what is in its bucket already, and else what `otherwise` makes."""

    def __init__(self, found: Found, otherwise: Artifacts) -> None:
        self._found = found
        self._otherwise = otherwise

    async def prepare(self, targets: Sequence[Target]) -> Artifact:
        source = targets[0].source
        if isinstance(source, BundleSource):
            known = self._found.get((targets[0].location, source))
            if known is not None:
                return known
        return await self._otherwise.prepare(targets)
