"""What a bundle holds: its entries, and a look-up over them that follows links as the instance will."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Check = Callable[[], None]
"""Called between files and chunks; what it raises ends the work, and nothing is left behind."""

Kind = Literal["file", "dir", "symlink", "special"]
"""`special`: a device, a FIFO or a socket, which only ready archives and unpacked directories can hold."""

_MAX_LINKS = 40  # what Linux itself follows before it says ELOOP
_BESIDE = ("..", "bundle.tar", "logs")  # what else the folder of a deployment holds
_ROOT_ON_INSTANCE = "deployment-archive"  # the agent's name for the folder that a bundle is unpacked to


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
        self._children: dict[str, set[str]] = {"": set()}
        for path in self._entries:
            self._add(path)

    def _add(self, path: str) -> None:
        while path:
            folder, _, name = path.rpartition("/")
            names = self._children.setdefault(folder, set())
            if name in names:
                return
            names.add(name)
            path = folder

    def __contains__(self, path: str) -> bool:
        return path in self._entries or path in self._children

    def entries(self) -> Iterable[Entry]:
        return self._entries.values()

    def names_in(self, directory: str) -> list[str]:
        """What is directly in a directory, sorted; `""` is the root."""
        return sorted(self._children.get(directory, ()))

    def get(self, path: str) -> Entry | None:
        """The entry itself, links not followed."""
        return self._entries.get(path)

    def find(self, path: str, *, folder: str = "") -> Found:
        """Where `path` leads from the root of the bundle, or from `folder`; a leading slash counts as that, too.

        As the kernel of the instance resolves it: what has something after it, a slash if no more, is a directory.
        """
        pending = path.split("/")[::-1]
        at = [part for part in folder.split("/") if part]
        links = 0
        while pending:
            part = pending.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                if at:
                    at.pop()
                elif not _comes_back(pending):
                    return Found("outside" if _may_be_there(pending) else "missing")
                continue
            here = "/".join([*at, part])
            entry = self._entries.get(here)
            if entry is not None and entry.kind == "symlink" and here not in self._children:
                links += 1
                if entry.target.startswith("/"):
                    return Found("outside")
                if links > _MAX_LINKS or not entry.target:
                    return Found("missing")
                pending.extend(entry.target.split("/")[::-1])
                continue
            if here not in self or (pending and here not in self._children and _is_file(entry)):
                return Found("missing")
            at.append(part)
        return self._found("/".join(at))

    def _found(self, path: str) -> Found:
        return Found("file" if _is_file(self._entries.get(path)) and path not in self._children else "dir", path)


def _is_file(entry: Entry | None) -> bool:
    return entry is not None and entry.kind in {"file", "special"}


def _may_be_there(pending: list[str]) -> bool:
    """Whether what follows a `..` out of the bundle can be there: beside it the agent has only files of its own."""
    rest = [part for part in pending if part not in {"", "."}]
    return not rest or rest[-1] in _BESIDE


def _comes_back(pending: list[str]) -> bool:
    """Takes the name of the bundle's own folder away, when that is what follows a `..` out of it."""
    rest = [part for part in pending if part not in {"", "."}]
    if not rest or rest[-1] != _ROOT_ON_INSTANCE:
        return False
    while pending.pop() != _ROOT_ON_INSTANCE:
        pass
    return True
