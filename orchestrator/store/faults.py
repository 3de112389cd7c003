"""Faults of the file system as errors that say what to do."""

from __future__ import annotations

import errno
from pathlib import Path

from orchestrator.core.errors import StateError

_HINTS = {
    errno.ENOSPC: "make room on that file system; what was recorded so far is safe, and so is what runs at CodeDeploy",
    errno.EDQUOT: "make room within the quota; what was recorded so far is safe, and so is what runs at CodeDeploy",
    errno.EROFS: "the file system is read-only: choose another folder with --state",
    errno.EACCES: "give this user the right to write there, or choose another folder with --state",
    errno.EPERM: "give this user the right to write there, or choose another folder with --state",
    errno.ENOTDIR: "a part of this path is a file: move it away, or choose another folder with --state",
    errno.EEXIST: "a part of this path is a file: move it away, or choose another folder with --state",
    errno.EIO: "the disk is failing",
}


def cannot(do: str, path: Path, error: OSError) -> StateError:
    """`cannot("write", …)`: a `StateError` that names the path, the reason and a way out."""
    hint = _HINTS.get(error.errno or 0, "choose another folder with --state")
    return StateError(f"can't {do} {path}: {error.strerror or error}", hint=hint)
