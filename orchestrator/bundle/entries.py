"""What a bundle holds: its entries, and a look-up over them that follows links as the instance will."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Check = Callable[[], None]
"""Called between files and chunks; what it raises ends the work, and nothing is left behind."""

Kind = Literal["file", "dir", "symlink"]

_MAX_LINKS = 40  # what Linux itself follows before it says ELOOP


def no_check() -> None:
    """The default `check`: never interrupts."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of a bundle."""

    path: str
    """Relative, with `/`, without `.` and `..`."""
    kind: Kind
    mode: int = 0o644
    """0o644 or 0o755 by the executable bits of a file; 0o755 for a directory, 0o777 for a link."""
    size: int = 0
    """Bytes of a file; 0 of everything else."""
    target: str = ""
    """Of a link."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where a path leads, links followed. `outside`: to the machine, out of the bundle, where we can't look."""

    kind: Literal["file", "dir", "missing", "outside"]
    path: str = ""
    """Of a file or directory: where it really is in the bundle."""


class Contents:
    """Entries by path. Directories that only the paths of others imply count as well."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = {entry.path: entry for entry in entries}  # of a name that stands twice, the last one wins
        self._directories = {""}
        for entry in self._entries.values():
            self._directories.update(parents(entry.path))

    def __contains__(self, path: str) -> bool:
        return path in self._entries or path in self._directories

    def entries(self) -> Iterable[Entry]:
        return self._entries.values()

    def top_names(self) -> frozenset[str]:
        """The names at the root."""
        return frozenset(path.split("/", 1)[0] for path in self._entries)

    def get(self, path: str) -> Entry | None:
        """The entry itself, links not followed."""
        return self._entries.get(path)

    def find(self, path: str) -> Found:
        """Where `path` leads from the root of the bundle; a leading slash counts as the root too."""
        pending = path.split("/")[::-1]
        at: list[str] = []
        links = 0
        while pending:
            part = pending.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                if not at:
                    return Found("outside")
                at.pop()
                continue
            here = "/".join([*at, part])
            entry = self._entries.get(here)
            if entry is not None and entry.kind == "symlink":
                links += 1
                if links > _MAX_LINKS:
                    return Found("missing")
                if entry.target.startswith("/"):
                    return Found("outside")
                pending.extend(entry.target.split("/")[::-1])
                continue
            if here not in self:
                return Found("missing")
            if entry is not None and entry.kind == "file" and any(name not in {"", "."} for name in pending):
                return Found("missing")  # a file has nothing below it
            at.append(part)
        return self._found("/".join(at))

    def _found(self, path: str) -> Found:
        entry = self._entries.get(path)
        is_file = entry is not None and entry.kind == "file"
        return Found("file" if is_file else "dir", path)


def parents(path: str) -> Iterable[str]:
    """The directories above a path, nearest first, without the root."""
    while path := posixpath.dirname(path):
        yield path
