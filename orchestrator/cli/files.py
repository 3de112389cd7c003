"""Files that options name: checked before anything is touched, and written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.app.files import is_special, write_whole
from orchestrator.core.errors import UsageError

__all__ = ["check_writable", "write_whole"]


def check_writable(path: Path | None, option: str) -> None:
    """Raises `UsageError`: a file that can't be written is found out too late at the end."""
    if path is None:
        return
    problem = _problem(path)
    if problem is not None:
        raise UsageError(
            f"{option}: can't write {path}: {problem}", hint="name a file in a folder that exists and may be written"
        )


def _problem(path: Path) -> str | None:
    if path.is_dir():
        return "it is a folder"
    if is_special(path):
        return None if os.access(path, os.W_OK) else "it may not be written"
    folder = path.resolve().parent  # of what a link leads to
    if not folder.is_dir():
        return f"there is no folder {folder}"
    if not os.access(folder, os.W_OK):
        return f"the folder {folder} may not be written"
    return None
