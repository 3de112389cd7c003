"""A walk over a source directory: sorted entries, or an error that names what no bundle can hold."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.bundle.entries import Check, Entry, no_check
from orchestrator.bundle.ignore import IgnoreRules, load_rules
from orchestrator.core.errors import BundleError

_ODD_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """A source directory as it was when it was walked."""

    root: Path
    entries: tuple[Entry, ...]
    """Sorted by path, so that a directory comes before what is in it."""
    left_out: frozenset[str] = frozenset()
    """What the ignore rules kept out: files, and directories without what is in them."""

    @property
    def total_size(self) -> int:
        """Bytes in all files."""
        return sum(entry.size for entry in self.entries)


def scan(root: Path, *, ignore: Sequence[str] = (), check: Check = no_check) -> Tree:
    """Walks `root`. Directories stay also when empty, links stay links.

    Raises `BundleError` for a source that is missing, no directory, empty or unreadable, and for what no bundle can
    hold: devices, sockets, FIFOs, names that aren't UTF-8, links that lead out of the tree.
    """
    _require_directory(root)
    walk = _Walk(root, load_rules(root, ignore), check)
    entries = tuple(sorted(walk.entries(), key=lambda entry: entry.path))
    if not entries:
        reason = "everything in it is ignored" if walk.left_out else "the directory is empty"
        raise BundleError(f"{root}: {reason}", hint="a source needs at least an appspec.yml; was it built?")
    return Tree(root=root, entries=entries, left_out=frozenset(walk.left_out))


def _require_directory(root: Path) -> None:
    try:
        mode = root.stat().st_mode
    except FileNotFoundError as error:
        raise BundleError(f"{root}: there is no such directory", hint="check `source`; was it built?") from error
    except OSError as error:
        raise _unreadable(os.fspath(root), error) from error
    if not stat.S_ISDIR(mode):
        raise BundleError(f"{root}: is not a directory", hint="a source is a directory or a ready archive")


class _Walk:
    def __init__(self, root: Path, rules: IgnoreRules, check: Check) -> None:
        self._root = os.fspath(root)
        self._real_root = os.path.realpath(root)
        self._rules = rules
        self._check = check
        self.left_out: set[str] = set()

    def entries(self) -> Iterator[Entry]:
        """Every entry below the root, in no order."""
        pending = [""]
        while pending:
            self._check()
            directory = pending.pop()
            for item in self._list(directory):
                path = posixpath.join(directory, item.name)
                is_directory = item.is_dir(follow_symlinks=False)
                if self._rules.leaves_out(path, is_directory=is_directory):
                    self.left_out.add(path)
                    continue
                _require_utf8(self._root, path)
                if is_directory:
                    pending.append(path)
                yield self._entry(path, item)

    def _list(self, directory: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._path(directory)) as items:
                return list(items)
        except OSError as error:
            raise _unreadable(self._path(directory), error) from error

    def _entry(self, path: str, item: os.DirEntry[str]) -> Entry:
        try:
            info = item.stat(follow_symlinks=False)
        except OSError as error:
            raise _unreadable(item.path, error) from error
        if stat.S_ISDIR(info.st_mode):
            return Entry(path, "dir", 0o755)
        if stat.S_ISLNK(info.st_mode):
            return Entry(path, "symlink", 0o777, target=self._target(path))
        if stat.S_ISREG(info.st_mode):
            if not os.access(item.path, os.R_OK):  # better now than in the middle of the upload
                raise BundleError(f"{item.path}: can't be read", hint="give yourself read permission, or ignore it")
            return Entry(path, "file", 0o755 if info.st_mode & 0o111 else 0o644, info.st_size)
        kind = _ODD_KINDS.get(stat.S_IFMT(info.st_mode), "neither a file, a directory nor a link")
        raise BundleError(f"{item.path}: is {kind}; a bundle can't hold that", hint="remove it, or add it to `ignore`")

    def _target(self, path: str) -> str:
        full = self._path(path)
        try:
            target = os.readlink(full)  # noqa: PTH115 - Path.readlink would drop the `./` and `//` of a target
        except OSError as error:
            raise _unreadable(full, error) from error
        _require_utf8(self._root, path, target)
        inside = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        real = os.path.realpath(full)
        if (
            target.startswith("/")
            or inside.split("/", 1)[0] == ".."
            # A link through another link can leave the tree although its text doesn't look so.
            or os.path.commonpath([self._real_root, real]) != self._real_root
        ):
            raise BundleError(
                f"{full}: is a link to {target}, which is outside of the source and won't be there on the instance",
                hint="link relatively, to something in the source; or copy it there, or add the link to `ignore`",
            )
        return target

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root


def _require_utf8(root: str, path: str, target: str = "") -> None:
    try:
        (path + target).encode()
    except UnicodeEncodeError as error:
        what = "the target of this link" if target else "this name"
        raise BundleError(
            f"{root}: {os.fsencode(target or path)!r}: {what} is not UTF-8",
            hint="rename it, or add a pattern that matches it to `ignore`",
        ) from error


def _unreadable(path: str, error: OSError) -> BundleError:
    if isinstance(error, FileNotFoundError):
        return BundleError(f"{path}: went away while it was read", hint="let the build end first, then try again")
    return BundleError(f"{path}: can't be read: {error.strerror}", hint="give yourself read permission, or ignore it")
