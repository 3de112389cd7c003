"""A look at buckets: what is certainly wrong is said, and nothing else."""

from __future__ import annotations

import pytest
from memory_s3 import HERE, Hang, MemoryS3

from orchestrator.app.buckets import look_at_bucket
from orchestrator.aws import Backoff, ObjectStore
from orchestrator.core.errors import AnswerLostError, CredentialsError, RefusedError
from orchestrator.core.model import NO_OBJECT_SETTINGS, ObjectSettings

pytestmark = pytest.mark.anyio

FORBIDDEN = CredentialsError("Forbidden", code="403")
OURS = ObjectSettings(expected_bucket_owner="111122223333")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def look(*faults: Exception | Hang, settings: ObjectSettings = NO_OBJECT_SETTINGS) -> int:
    """How often the bucket was looked at."""
    s3 = MemoryS3(faults={"HeadBucket": list(faults)})
    await look_at_bucket(ObjectStore(s3, HERE, backoff=Backoff(base=0.0)), "releases", settings)
    return s3.counts["HeadBucket"]


async def test_a_missing_bucket_is_named() -> None:
    with pytest.raises(RefusedError, match="there is no bucket releases") as caught:
        await look(RefusedError("Not Found", code="404"))
    assert caught.value.code == "NoSuchBucket"
    assert caught.value.hint == "create the bucket, or correct its name"


async def test_a_bucket_of_another_account_is_named() -> None:
    with pytest.raises(RefusedError, match="releases doesn't belong to the account 111122223333"):
        await look(FORBIDDEN, settings=OURS)  # the second look, without the owner, is answered


@pytest.mark.parametrize(
    ("faults", "settings", "looks"),
    [
        ([], OURS, 1),
        ([FORBIDDEN], NO_OBJECT_SETTINGS, 1),  # s3:ListBucket may be missing, and an upload allowed
        ([FORBIDDEN, FORBIDDEN], OURS, 2),
        ([AnswerLostError("reset")], NO_OBJECT_SETTINGS, 1),
        ([CredentialsError("old", code="ExpiredToken")], OURS, 1),
    ],
)
async def test_what_is_not_certain_is_left_to_the_upload(
    faults: list[Exception], settings: ObjectSettings, looks: int
) -> None:
    assert await look(*faults, settings=settings) == looks
