"""Makes S3 forget multipart uploads that nobody will complete: storage that is paid for and that no listing shows."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from orchestrator.aws.retry import Backoff, retrying
from orchestrator.core.errors import CallError, RefusedError

ABORT_DEADLINE = 5.0
"""Seconds for telling S3 to forget an upload, also when the run is cancelled."""
ABORTS = 3
"""S3 may still store a part that was under way during an abort: look, and abort again."""

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
            listed = await call("ListMultipartUploads", {"Bucket": bucket, "Prefix": key})
            for upload in listed.get("Uploads") or ():
                place = {"Bucket": bucket, "Key": key, "UploadId": upload["UploadId"]}
                if upload["Key"] == key and not (await call("ListParts", place)).get("Parts"):
                    await call("AbortMultipartUpload", place)
        except CallError as error:
            _log.warning("a multipart upload of s3://%s/%s may be left behind: %s", bucket, key, error)
