"""A look at buckets before anything is packed: what is missing or another's is better said at once."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from orchestrator.app.uploads import Stores
from orchestrator.aws import ObjectStore
from orchestrator.core.concurrent import map_limited
from orchestrator.core.errors import CallError, CredentialsError, Finding, RefusedError
from orchestrator.core.model import NO_OBJECT_SETTINGS, BundleSource, Location, ObjectSettings, Target
from orchestrator.manifest import Release

LOOKS_AT_ONCE = 16
PATIENCE = 10.0
"""Seconds for one bucket."""
_OTHERS = "AccessDenied"
_MISSING = frozenset({"404", "NoSuchBucket", "NotFound"})


async def check_buckets(release: Release, targets: Sequence[Target], stores: Stores) -> list[Finding]:
    """The buckets of these targets' bundles that are missing or another's, where the manifest names them."""
    wanted: dict[tuple[Location, str, ObjectSettings], Target] = {}
    for target in targets:
        if isinstance(target.source, BundleSource):
            wanted.setdefault((target.location, target.source.bucket, target.source.stored), target)
    found: list[Finding] = []

    async def look(item: tuple[Location, str, ObjectSettings]) -> None:
        location, bucket, settings = item
        try:
            await look_at_bucket(stores[location], bucket, settings)
        except RefusedError as error:
            found.append(_finding(release, wanted[item], error))

    await map_limited(look, wanted, limit=LOOKS_AT_ONCE)
    return sorted(found, key=lambda finding: (finding.file, finding.line, finding.column))


async def look_at_bucket(store: ObjectStore, bucket: str, settings: ObjectSettings) -> None:
    """Raises `RefusedError` for a bucket that is certainly missing or another's.

    Whatever else goes wrong with this call goes wrong again where it matters, and is told there. HeadBucket needs
    s3:ListBucket, which an upload doesn't: a 403 alone says nothing, unless the bucket can be seen once its owner
    doesn't matter.
    """
    with anyio.move_on_after(PATIENCE):
        try:
            await store.look_at_bucket(bucket, settings)
        except RefusedError as error:
            if error.code in _MISSING:
                raise _missing(bucket, error) from error
        except CredentialsError as error:
            expected = settings.expected_bucket_owner
            if error.code in {"403", _OTHERS} and expected is not None and await _can_be_seen(store, bucket):
                raise _of_another(bucket, expected, error) from error
        except CallError:
            pass


async def _can_be_seen(store: ObjectStore, bucket: str) -> bool:
    try:
        await store.look_at_bucket(bucket, NO_OBJECT_SETTINGS)
    except CallError:
        return False
    return True


def _missing(bucket: str, error: CallError) -> RefusedError:
    return RefusedError(
        f"there is no bucket {bucket}",
        operation=error.operation,
        code="NoSuchBucket",
        request_id=error.request_id,
        hint="create the bucket, or correct its name",
    )


def _of_another(bucket: str, account: str, error: CallError) -> RefusedError:
    return RefusedError(
        f"the bucket {bucket} doesn't belong to the account {account}",
        operation=error.operation,
        code=_OTHERS,
        request_id=error.request_id,
        hint="correct the bucket, or the account in expected_bucket_owner",
    )


def _finding(release: Release, target: Target, error: RefusedError) -> Finding:
    at = release.position(target.id, "bucket")
    where = f"in {target.location}"
    message = f"{error.message} {where}" if error.code == "NoSuchBucket" else error.message
    return Finding(file=at.file, line=at.line, column=at.column, place=target.id, message=message, hint=error.hint)
