"""A local file while it is uploaded: read from its beginning to its end, and watched for changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from orchestrator.core.errors import BundleError

_CHUNK = 1024 * 1024


def read_chunks(path: Path) -> Iterator[bytes]:
    """The file's bytes. Raises `BundleError` when it changes meanwhile, OSError when it can't be read."""
    with path.open("rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        size = 0
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            yield chunk
        after = os.fstat(file.fileno())
        if size != before.st_size or after.st_size != size:
            raise _changed(path, f"went from {before.st_size} to {after.st_size} bytes")
        if after.st_mtime_ns != before.st_mtime_ns:
            raise _changed(path, "was written to")


def _changed(path: Path, what: str) -> BundleError:
    return BundleError(
        f"{path}: {what} while it was uploaded",
        hint="let nothing write to it during the run (a build that still goes on?), then start again",
    )
