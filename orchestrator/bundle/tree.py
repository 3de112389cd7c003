"""A walk over a source directory: sorted entries, or an error that names what no bundle can hold."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from orchestrator.bundle.entries import Check, Entry, no_check
from orchestrator.bundle.ignore import IgnoreRules, load_rules
from orchestrator.core.errors import BundleError
from orchestrator.core.model import Symlinks

_ODD_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


class Stamp(NamedTuple):
    """What the system says of a file, all of which a change of its content changes in some part."""

    size: int
    modified: int
    """Nanoseconds since 1970, as `changed`, which is of the attributes and can't be set."""
    changed: int
    inode: int
    device: int


def stamp_of(info: os.stat_result) -> Stamp:
    return Stamp(info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_dev)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """A source directory as it was when it was walked."""

    root: Path
    entries: tuple[Entry, ...]
    """Sorted by path, so that a directory comes before what is in it."""
    stamps: tuple[Stamp, ...] = ()
    """Of the files, in their order."""
    followed: Mapping[str, str] = field(default_factory=dict)
    """Of files that are links in the source and were followed: by entry, the path below the root of what they are."""
    left_out: frozenset[str] = frozenset()
    """What the ignore rules kept out: files, and directories without what is in them."""

    @property
    def total_size(self) -> int:
        """Bytes in all files."""
        return sum(entry.size for entry in self.entries)

    def path_of(self, entry: Entry) -> str:
        """Where it is on disk."""
        return f"{self.root}/{self.followed.get(entry.path, entry.path)}"


def scan(
    root: Path, *, rules: IgnoreRules | None = None, symlinks: Symlinks = "preserve", check: Check = no_check
) -> Tree:
    """Walks `root`. Directories stay also when empty.

    Raises `BundleError` for a source that is missing, no directory, empty or unreadable, and for what no bundle can
    hold: devices, sockets, FIFOs, names that aren't UTF-8, links that lead out of the tree; and those that `symlinks`
    doesn't want, or can't follow.
    """
    _require_directory(root)
    walk = _Walk(root, rules or load_rules(root), symlinks, check)
    walk.run()
    found = sorted(walk.found, key=lambda item: item[0].path)
    if not found:
        reason = "everything in it is ignored" if walk.left_out else "the directory is empty"
        raise BundleError(f"{root}: {reason}", hint="a source needs at least an appspec.yml; was it built?")
    return Tree(
        root=root,
        entries=tuple(entry for entry, _ in found),
        stamps=tuple(stamp for _, stamp in found if stamp is not None),
        followed=walk.followed,
        left_out=frozenset(walk.left_out),
    )


def _require_directory(root: Path) -> None:
    try:
        mode = root.stat().st_mode
    except FileNotFoundError as error:
        raise BundleError(f"{root}: there is no such directory", hint="check `source`; was it built?") from error
    except OSError as error:
        raise _unreadable(os.fspath(root), error) from error
    if not stat.S_ISDIR(mode):
        raise BundleError(f"{root}: is not a directory", hint="a source is a directory or a ready archive")


_Trail = frozenset[str]
"""The real paths of a directory and all above it, so that a link back to one of them is noticed."""


class _Walk:
    def __init__(self, root: Path, rules: IgnoreRules, symlinks: Symlinks, check: Check) -> None:
        self._root = os.fspath(root)
        self._real_root = os.path.realpath(root)
        self._rules = rules
        self._symlinks = symlinks
        self._check = check
        self._pending: list[tuple[str, _Trail]] = [("", frozenset({self._real_root}))]
        self.found: list[tuple[Entry, Stamp | None]] = []
        """In no order; the stamps are those of files."""
        self.followed: dict[str, str] = {}
        self.left_out: set[str] = set()

    def run(self) -> None:
        while self._pending:
            self._check()
            directory, trail = self._pending.pop()
            prefix = f"{directory}/" if directory else ""
            for item in self._list(directory):
                path = prefix + item.name
                is_directory = item.is_dir(follow_symlinks=False)
                if self._rules.leaves_out(path, is_directory=is_directory):
                    self.left_out.add(path)
                    continue
                _require_utf8(self._root, path)
                if is_directory:
                    self._directory(path, trail)
                elif item.is_symlink():
                    self._link(path, trail)
                else:
                    self._file(path, item.path, self._status(item))

    def _list(self, directory: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._path(directory)) as items:
                return list(items)
        except OSError as error:
            raise _unreadable(self._path(directory), error) from error

    def _status(self, item: os.DirEntry[str]) -> os.stat_result:
        try:
            return item.stat(follow_symlinks=False)
        except OSError as error:
            raise _unreadable(item.path, error) from error

    def _directory(self, path: str, trail: _Trail) -> None:
        self.found.append((Entry(path, "dir", 0o755), None))
        if self._symlinks == "follow":
            trail |= {os.path.realpath(self._path(path))}
        self._pending.append((path, trail))

    def _file(self, path: str, full: str, info: os.stat_result) -> None:
        mode = info.st_mode
        if not stat.S_ISREG(mode):
            kind = _ODD_KINDS.get(stat.S_IFMT(mode), "neither a file, a directory nor a link")
            raise BundleError(f"{full}: is {kind}; a bundle can't hold that", hint="remove it, or add it to `ignore`")
        # Better now than in the middle of the upload. What everybody may read isn't asked about.
        if mode & 0o444 != 0o444 and not os.access(full, os.R_OK):
            raise BundleError(f"{full}: can't be read", hint="give yourself read permission, or ignore it")
        entry = Entry(path, "file", 0o755 if mode & 0o111 else 0o644, info.st_size)
        self.found.append((entry, stamp_of(info)))

    def _link(self, path: str, trail: _Trail) -> None:
        target, real = self._target(path)
        if self._symlinks == "preserve":
            self.found.append((Entry(path, "symlink", 0o777, target=target), None))
            return
        full = self._path(path)
        if self._symlinks == "error":
            raise BundleError(
                f"{full}: is a link to {target}, and `symlinks: error` wants none",
                hint="put the file itself there, add the link to `ignore`, or say `symlinks: preserve` or `follow`",
            )
        try:
            info = os.stat(real)  # noqa: PTH116 - a string all along
        except OSError as error:
            raise BundleError(
                f"{full}: is a link to {target}, which can't be followed: {error.strerror}",
                hint="remove the link, add it to `ignore`, or keep it as a link with `symlinks: preserve`",
            ) from error
        if not stat.S_ISDIR(info.st_mode):
            self.followed[path] = os.path.relpath(real, self._real_root)
            self._file(path, full, info)
        elif real in trail:
            raise BundleError(
                f"{full}: is a link to {target}, which it is in itself; following it would never end",
                hint="add the link to `ignore`, or keep it as a link with `symlinks: preserve`",
            )
        else:
            self._directory(path, trail)

    def _target(self, path: str) -> tuple[str, str]:
        """As it is written in the link, and where it really leads, which is in the source."""
        full = self._path(path)
        try:
            target = os.readlink(full)  # noqa: PTH115 - Path.readlink would drop the `./` and `//` of a target
        except OSError as error:
            raise _unreadable(full, error) from error
        _require_utf8(self._root, path, target)
        inside = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        real = os.path.realpath(full)
        # A link that stays one must make sense on the instance, too; one that is followed is gone there.
        leaves = self._symlinks != "follow" and (target.startswith("/") or inside.split("/", 1)[0] == "..")
        # A link through another link can leave the tree although its text doesn't look so.
        if leaves or os.path.commonpath([self._real_root, real]) != self._real_root:
            raise BundleError(
                f"{full}: is a link to {target}, which is outside of the source and won't be there on the instance",
                hint="link relatively, to something in the source; or copy it there, or add the link to `ignore`",
            )
        return target, real

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
