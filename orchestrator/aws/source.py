"""A local file while it is uploaded: read at any place, in a worker thread, and watched for changes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from orchestrator.core.errors import BundleError


@dataclass(frozen=True, slots=True)
class Source:
    path: Path
    descriptor: int
    size: int
    """Bytes, when it was opened."""
    modified_ns: int

    async def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes. Raises `BundleError` when the file has become shorter, OSError when it can't be read."""
        return await to_thread.run_sync(self._read, offset, length)

    def _read(self, offset: int, length: int) -> bytes:
        content = os.pread(self.descriptor, length, offset)
        while len(content) < length:
            # One read gives at most 2 GiB, and less on some file systems.
            more = os.pread(self.descriptor, length - len(content), offset + len(content))
            if not more:
                raise self._changed("became shorter")
            content += more
        return content

    def check_unchanged(self) -> None:
        """Raises `BundleError` when the file isn't what it was when it was opened."""
        now = os.fstat(self.descriptor)
        if now.st_size != self.size:
            raise self._changed(f"went from {self.size} to {now.st_size} bytes")
        if now.st_mtime_ns != self.modified_ns:
            raise self._changed("was written to")

    def _changed(self, what: str) -> BundleError:
        return BundleError(
            f"{self.path}: {what} while it was uploaded",
            hint="let nothing write to it during the run (a build that still goes on?), then start again",
        )


@asynccontextmanager
async def open_source(path: Path) -> AsyncIterator[Source]:
    """The file, open. Raises OSError."""
    descriptor = await to_thread.run_sync(os.open, path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        status = os.fstat(descriptor)
        yield Source(path, descriptor, status.st_size, status.st_mtime_ns)
    finally:
        os.close(descriptor)
