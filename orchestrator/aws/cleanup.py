"""Makes S3 forget multipart uploads that nobody will complete: storage that is paid for and that no listing shows."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio

from orchestrator.aws.retry import Backoff, retrying
from orchestrator.core.errors import CallError, RefusedError

ABORT_DEADLINE = 5.0
"""Seconds for telling S3 to forget an upload, also when the run is cancelled."""
ABORTS = 3
"""S3 may still store a part that was under way during an abort: look, and abort again."""

ABANDONED_AFTER = timedelta(hours=1)
"""An upload that has got no part for so long is a dead process's: a living one has given up long before."""
SWEEP_DEADLINE = 5.0
"""Seconds for looking after dead processes' uploads; nothing waits for it any longer."""
_NAMED_BY_DIGEST = re.compile(r"[0-9a-f]{64}\.(tgz|tar|zip)")

Call = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""One attempt at an operation of S3."""

_log = logging.getLogger(__name__)


async def abort_upload(call: Call, place: Mapping[str, Any], *, backoff: Backoff) -> str | None:
    """Aborts an upload, also in a cancelled run. Returns what people should know; None when nothing is left behind."""
    problem = f"no answer within {ABORT_DEADLINE:g} s"
    with anyio.move_on_after(ABORT_DEADLINE, shield=True):
        try:
            await _abort_until_gone(call, place, backoff)
        except CallError as error:
            problem = str(error)
        else:
            return None
    left = (
        f"the multipart upload {place['UploadId']} of s3://{place['Bucket']}/{place['Key']} is left behind "
        f"({problem}); remove it with `aws s3api abort-multipart-upload`"
    )
    _log.warning(left)
    return left


async def _abort_until_gone(call: Call, place: Mapping[str, Any], backoff: Backoff) -> None:
    for _ in range(ABORTS):
        try:
            await retrying(lambda: call("AbortMultipartUpload", place), backoff=backoff)
        except RefusedError as error:
            if error.code == "NoSuchUpload":  # gone: by an attempt whose answer was lost, or completed
                return
            raise
        try:
            await call("ListParts", place)
        except CallError:
            return  # NoSuchUpload is what we hope for; and not being allowed to look is no failure


async def abort_unanswered(call: Call, head: Mapping[str, Any]) -> None:
    """Aborts what CreateMultipartUpload may have begun when its answer was lost, and with it the upload's id.

    That is an upload of this key without any part. Keys are named by content and one run uploads a key once, so
    another's upload is met only when it, too, began within the same second. A best effort: nothing is raised.
    """
    bucket, key = head["Bucket"], head["Key"]
    with anyio.move_on_after(ABORT_DEADLINE, shield=True):
        try:
            for upload in await _uploads(call, head, prefix=key):
                place = {**bucket_of(head), "Key": key, "UploadId": upload["UploadId"]}
                if upload["Key"] == key and not (await call("ListParts", place)).get("Parts"):
                    await call("AbortMultipartUpload", place)
        except CallError as error:
            _log.warning("a multipart upload of s3://%s/%s may be left behind: %s", bucket, key, error)


async def sweep(
    call: Call, head: Mapping[str, Any], *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> None:
    """Aborts what killed processes have left behind: uploads of this key, and of keys named by a digest beside it.

    A best effort beside an upload of one's own: nothing is raised, and what isn't allowed isn't done.
    """
    folder = head["Key"].rpartition("/")[0]
    prefix = f"{folder}/" if folder else head["Key"]
    with anyio.move_on_after(SWEEP_DEADLINE):
        try:
            for upload in await _uploads(call, head, prefix=prefix):
                key = upload["Key"]
                if key != head["Key"] and not _NAMED_BY_DIGEST.fullmatch(key.removeprefix(prefix)):
                    continue
                place = {**bucket_of(head), "Key": key, "UploadId": upload["UploadId"]}
                if await _is_abandoned(call, place, upload["Initiated"], before=now() - ABANDONED_AFTER):
                    await call("AbortMultipartUpload", place)
                    _log.info("aborted the multipart upload %s of s3://%s/%s, left behind by a process that was killed",
                              upload["UploadId"], head["Bucket"], key)  # fmt: skip
        except CallError as error:
            _log.debug("didn't look for old multipart uploads in %s: %s", head["Bucket"], error)


async def _is_abandoned(call: Call, place: Mapping[str, Any], begun: datetime, *, before: datetime) -> bool:
    if begun > before:
        return False
    listed = await call("ListParts", place)
    if listed.get("IsTruncated"):  # a thousand parts and more: the newest isn't on this page, so nothing is known
        return begun < before - timedelta(days=1)
    return all(part["LastModified"] < before for part in listed.get("Parts") or ())


async def _uploads(call: Call, head: Mapping[str, Any], *, prefix: str) -> Sequence[Mapping[str, Any]]:
    return (await call("ListMultipartUploads", {**bucket_of(head), "Prefix": prefix})).get("Uploads") or ()


def bucket_of(head: Mapping[str, Any]) -> dict[str, Any]:
    """What names the bucket, and says whose it must be."""
    return {name: head[name] for name in ("Bucket", "ExpectedBucketOwner") if name in head}
