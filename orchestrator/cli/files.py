"""Files that options name: checked before anything is touched, and written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from orchestrator.core.errors import UsageError


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
    if _is_special(path):
        return None if os.access(path, os.W_OK) else "it may not be written"
    folder = path.resolve().parent  # of what a link leads to
    if not folder.is_dir():
        return f"there is no folder {folder}"
    if not os.access(folder, os.W_OK):
        return f"the folder {folder} may not be written"
    return None


def _is_special(path: Path) -> bool:
    """/dev/stdout, /dev/null, a named pipe: written to, never replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()


def write_whole(path: Path, text: str) -> None:
    """Replaces the file at once, so that no reader sees a part of it. Raises OSError, and leaves nothing behind."""
    if _is_special(path):
        path.write_text(text, encoding="utf-8")
        return
    path = path.resolve()
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
            os.fchmod(out.fileno(), 0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
