"""A directory as it lies there, for a check: links and odd files are looked at, and nothing is refused.

What is packed is `tree.scan`'s business, which refuses what no archive of ours holds.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from orchestrator.bundle.entries import Check, Entry, no_check
from orchestrator.bundle.ignore import load_rules


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    entries: tuple[Entry, ...]
    """Sorted by path."""
    left_out: frozenset[str] = frozenset()
    """What the ignore rules keep out."""


def list_folder(root: Path, *, check: Check = no_check) -> Folder:
    """Walks `root`; the ignore rules of a source count. Raises OSError, and `BundleError` for a bad ignore file."""
    rules = load_rules(root)
    entries: list[Entry] = []
    left_out: set[str] = set()
    pending = [""]
    while pending:
        check()
        folder = pending.pop()
        with os.scandir(root / folder) as items:
            for item in items:
                path = f"{folder}/{item.name}".lstrip("/")
                is_directory = item.is_dir(follow_symlinks=False)
                if rules.leaves_out(path, is_directory=is_directory):
                    left_out.add(path)
                    continue
                if is_directory:
                    pending.append(path)
                entries.append(_entry(path, item))
    return Folder(entries=tuple(sorted(entries, key=lambda entry: entry.path)), left_out=frozenset(left_out))


def read_head(root: Path, name: str, limit: int) -> bytes:
    """The first bytes of a file in it."""
    with (root / name).open("rb") as file:
        return file.read(limit)


def _entry(path: str, item: os.DirEntry[str]) -> Entry:
    info = item.stat(follow_symlinks=False)
    mode = stat.S_IMODE(info.st_mode)
    if stat.S_ISLNK(info.st_mode):
        return Entry(path, "symlink", 0o777, target=os.readlink(item.path))  # noqa: PTH115 - Path drops `./` and `//`
    if stat.S_ISDIR(info.st_mode):
        return Entry(path, "dir", mode)
    return Entry(path, "file", mode, info.st_size) if stat.S_ISREG(info.st_mode) else Entry(path, "special", mode)
