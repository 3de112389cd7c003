"""Bundles to where they are needed: packed while they are uploaded, once; from then on copied from bucket to bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio
from anyio import from_thread

from orchestrator.aws import Buffers, CopySource, ObjectInfo, ObjectStore
from orchestrator.bundle.digest import Digest
from orchestrator.bundle.source import Bundle, object_key
from orchestrator.bundle.stream import PackResult, pack_stream
from orchestrator.core.errors import CallError
from orchestrator.core.model import BundleSource, Location, ObjectSettings, S3Revision

DIGEST_METADATA = "orchestrator-digest"
"""The object's metadata that says what is in it, whatever its key is."""

_ENTRY = 2048
"""Bytes that an entry may take in an archive beside its content."""

Stores = Mapping[Location, ObjectStore]


@dataclass(frozen=True, eq=False, slots=True)
class Opened:
    """A source that was looked at."""

    bundle: Bundle
    digest: Digest


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a bundle is, or shall be."""

    location: Location
    bucket: str
    key: str
    settings: ObjectSettings

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A bundle that is in its place."""

    place: Place
    info: ObjectInfo
    packed: PackResult | None = None
    """What was packed for it; None: it was there already, or copied."""
    copied_from: str | None = None
    """The object that it was copied from, as an s3:// URL."""

    @property
    def is_new(self) -> bool:
        return self.packed is not None or self.copied_from is not None

    def revision(self, bundle: Bundle) -> S3Revision:
        """With version and eTag pinned."""
        return S3Revision(
            bucket=self.place.bucket,
            key=self.place.key,
            bundle_type=bundle.format,
            version=self.info.version_id,
            etag=self.info.etag or None,
        )


@dataclass(eq=False, slots=True)
class _Content:
    """What is known of one digest."""

    stored: list[Stored] = field(default_factory=list)
    locks: dict[str, anyio.Lock] = field(default_factory=dict)

    def lock_of(self, location: Location) -> anyio.Lock:
        """One for each account: accounts don't wait for each other."""
        return self.locks.setdefault(_account(location), anyio.Lock())

    def add(self, stored: Stored) -> Stored:
        self.stored.append(stored)
        return stored


def place_of(source: BundleSource, opened: Opened, application: str, location: Location) -> Place:
    """Raises `BundleError` for a key that S3 doesn't take."""
    key = object_key(source, application, opened.digest.value, opened.bundle.format)
    return Place(location=location, bucket=source.bucket, key=key, settings=source.stored)


class Uploads:
    """All uploads of a run; they share the memory for parts."""

    def __init__(self, stores: Stores, *, tell: Callable[[str], None], buffers: Buffers | None = None) -> None:
        """`tell` is given what people should know: that a copy was refused, say."""
        self._stores = stores
        self._tell = tell
        self._buffers = buffers or Buffers()
        self._contents: dict[str, _Content] = {}
        self._refused: set[tuple[str, str]] = set()

    async def ensure(self, opened: Opened, place: Place) -> Stored:
        """Uploads or copies the bundle unless it is there already.

        Raises `CallError`, `BundleError` or OSError; nothing is left behind then, also when cancelled.
        """
        content = self._contents.setdefault(opened.digest.value, _Content())
        stored = await self._there(opened, place)
        return content.add(stored) if stored is not None else await self._bring(opened, place, content)

    async def _there(self, opened: Opened, place: Place) -> Stored | None:
        info = await self._stores[place.location].head(place.bucket, place.key, settings=place.settings)
        if info is None or info.metadata.get(DIGEST_METADATA) != opened.digest.value:
            return None
        return Stored(place=place, info=info)

    async def _bring(self, opened: Opened, place: Place, content: _Content) -> Stored:
        async with content.lock_of(place.location):
            # Whoever comes second waits for the first upload, and copies; all copies go side by side.
            original = self._original(content, place)
            if original is None:
                return await self._upload(opened, place, content)
        return await self._copy(opened, original, place, content) or await self._upload(opened, place, content)

    def _original(self, content: _Content, place: Place) -> Stored | None:
        """What to copy: from the same region if there is one; nothing of another account's."""
        usable = [
            stored
            for stored in content.stored
            if _may_be_one_account(stored.place.location, place.location)
            and (stored.place.bucket, place.bucket) not in self._refused
        ]
        return min(usable, key=lambda stored: stored.place.location != place.location, default=None)

    async def _copy(self, opened: Opened, original: Stored, place: Place, content: _Content) -> Stored | None:
        """None when it can't be copied, or can't be proved to be the same."""
        try:
            known = await self._with_checksum(original)
            if known is None or known.checksum is None:
                return None
            info = await self._stores[place.location].copy(
                CopySource(
                    bucket=original.place.bucket,
                    key=original.place.key,
                    version_id=known.version_id,
                    etag=known.etag,
                    size=known.size,
                    owner=original.place.settings.expected_bucket_owner,
                ),
                place.bucket,
                place.key,
                metadata={DIGEST_METADATA: opened.digest.value},
                checksum=known.checksum,
                settings=place.settings,
            )
        except CallError as error:
            self._refused.add((original.place.bucket, place.bucket))
            self._tell(f"{original.place} can't be copied to {place.bucket}, so it is uploaded from here: {error}")
            return None
        return content.add(Stored(place=place, info=info, copied_from=str(original.place)))

    async def _with_checksum(self, original: Stored) -> ObjectInfo | None:
        info, place = original.info, original.place
        if info.checksum is not None:
            return info
        store = self._stores[place.location]
        found = await store.head(place.bucket, place.key, info.version_id, settings=place.settings, checksum=True)
        return found if found is not None and found.etag == info.etag else None

    async def _upload(self, opened: Opened, place: Place, content: _Content) -> Stored:
        results: list[PackResult] = []

        @contextmanager
        def archive() -> Iterator[Iterator[bytes]]:
            with pack_stream(opened.bundle, expected=opened.digest, check=from_thread.check_cancelled) as stream:
                yield stream
                results.append(stream.result)

        info = await self._stores[place.location].put(
            place.bucket,
            place.key,
            archive,
            at_most=_at_most(opened.bundle),
            metadata={DIGEST_METADATA: opened.digest.value},
            buffers=self._buffers,
            settings=place.settings,
        )
        return content.add(Stored(place=place, info=info, packed=results[0]))


def _at_most(bundle: Bundle) -> int:
    """Bytes that the archive won't exceed."""
    if bundle.tree is None:
        return bundle.source.path.stat().st_size
    return bundle.total_size + _ENTRY * (len(bundle.entries) + 8)


def _account(location: Location) -> str:
    """As the role says it; empty: whose the machine's own credentials are isn't known here."""
    return "" if location.role_arn is None else location.role_arn.split(":")[4]


def _may_be_one_account(one: Location, other: Location) -> bool:
    """Where that isn't known, trying shows it."""
    accounts = {_account(one), _account(other)}
    return len(accounts) == 1 or "" in accounts
