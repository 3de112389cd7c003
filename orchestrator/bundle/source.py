"""A manifest's source, from a directory or a ready archive to what is uploaded.

    bundle = open_source(source)                     # walked or listed, AppSpec checked: bundle.report
    known = digest(bundle)                           # reads every file once
    key = object_key(source, application, known.value, bundle.format)
    with pack_stream(bundle, expected=known) as stream: ...          # stream.py; only when the bucket doesn't have it
    packed = materialise(bundle, directory, expected=known)          # packing.py; the same as a file

Everything raises `BundleError` for what can't become a bundle; AppSpec mistakes are findings in `bundle.report`.
"""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.bundle.appspec import NAME as APPSPEC
from orchestrator.bundle.appspec import AppSpecReport, judge
from orchestrator.bundle.digest import Digest, archive_digest, tree_digest
from orchestrator.bundle.entries import Check, Contents, Entry, no_check
from orchestrator.bundle.files import read_chunks
from orchestrator.bundle.ignore import load_rules
from orchestrator.bundle.remembered import HashCache
from orchestrator.bundle.tree import Tree, scan
from orchestrator.core.errors import BundleError
from orchestrator.core.model import BundleFormat, BundleSource

_KEY_LIMIT = 1024  # bytes of an object's key in S3


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A source that was opened."""

    source: BundleSource
    shown: str
    """The source's path as the user wrote it; findings and errors about the AppSpec start with it."""
    format: BundleFormat
    """What is uploaded; also the revision's bundle type."""
    tree: Tree | None
    """None: a ready archive, which is uploaded as it is."""
    entries: tuple[Entry, ...]
    report: AppSpecReport
    """What is wrong with the AppSpec and its place in the bundle."""

    @property
    def total_size(self) -> int:
        """Bytes in all files, uncompressed."""
        return sum(entry.size for entry in self.entries)


def open_source(source: BundleSource, *, shown: str | None = None, check: Check = no_check) -> Bundle:
    """Walks a directory, or lists a ready archive and reads it to its end, and checks the AppSpec in it.

    `shown` is the path for messages (default: the absolute one). Raises `BundleError` when the source can't become a
    bundle at all: missing, empty, unreadable, damaged, holding what no archive can hold.
    """
    shown = shown if shown is not None else str(source.path)
    if _is_file(source.path):
        return _open_archive(source, shown, check)
    return _open_directory(source, shown, check)


def digest(bundle: Bundle, *, cache: HashCache | None = None, check: Check = no_check) -> Digest:
    """What the bundle is known by (see `digest.py`). Raises `BundleError` when a file changes or can't be read.

    With a `cache`, files that are as they were when it was written are not read again.
    """
    if bundle.tree is None:
        return archive_digest(bundle.source.path, bundle.format, check=check)
    if cache is None:
        return tree_digest(bundle.tree, bundle.format, check=check)
    source = bundle.source
    described = (str(source.path), source.ignore, source.include_vcs, source.ignore_hidden, source.symlinks)
    with cache.remembering(repr(described)) as remembered:
        return tree_digest(bundle.tree, bundle.format, remembered=remembered, check=check)


def object_key(source: BundleSource, application: str, digest: str, bundle_format: BundleFormat) -> str:
    """Where the bundle goes in its bucket: `<prefix>/<application>/<hex>.<format>`, or what the `key` template says.

    `digest` is with or without `sha256:`. Raises `BundleError` for a key that S3 doesn't take.
    """
    hex_digest = digest.removeprefix("sha256:")
    if source.key is not None:
        key = source.key.replace("${digest}", hex_digest).replace("${format}", bundle_format)
    else:
        key = "/".join(part for part in (source.prefix, application, f"{hex_digest}.{bundle_format}") if part)
    length = len(key.encode())
    if not 1 <= length <= _KEY_LIMIT:
        raise BundleError(
            f"{application}: the bundle's key is {length} bytes long, and S3 takes 1 to {_KEY_LIMIT}",
            hint="change `key` or `prefix`",
        )
    return key


def largest(bundle: Bundle, count: int = 10) -> tuple[Entry, ...]:
    """The largest files, largest first."""
    files = (entry for entry in bundle.entries if entry.kind == "file")
    return tuple(heapq.nsmallest(count, files, key=lambda entry: (-entry.size, entry.path)))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False  # the walk says what is wrong with it


# --- directories -----------------------------------------------------------------------------------------------------


def _open_directory(source: BundleSource, shown: str, check: Check) -> Bundle:
    rules = load_rules(source.path, source.ignore, include_vcs=source.include_vcs, ignore_hidden=source.ignore_hidden)
    tree = scan(source.path, rules=rules, symlinks=source.symlinks, check=check)
    contents = Contents(tree.entries)

    def heads(names: Collection[str], limit: int) -> Mapping[str, bytes]:
        wanted = (entry for name in names if (entry := contents.get(name)) is not None)
        return {entry.path: _head(tree, entry, limit) for entry in wanted}

    report = judge(
        contents,
        heads,
        file=f"{shown.rstrip('/')}/{APPSPEC}",
        ignored=APPSPEC in tree.left_out,
        bundle_format=source.format,
    )
    bundle_format = source.format or ("zip" if report.os == "windows" else "tgz")
    return Bundle(source=source, shown=shown, format=bundle_format, tree=tree, entries=tree.entries, report=report)


def _head(tree: Tree, entry: Entry, limit: int) -> bytes:
    with contextlib.closing(read_chunks(tree.path_of(entry))) as chunks:
        return next(iter(chunks), b"")[:limit]


# --- ready archives --------------------------------------------------------------------------------------------------


def _open_archive(source: BundleSource, shown: str, check: Check) -> Bundle:
    from orchestrator.bundle.reader import archive_format  # noqa: PLC0415 - most sources are directories
    from orchestrator.bundle.ready import open_ready  # noqa: PLC0415 - as above

    bundle_format = archive_format(source.path)
    if source.format is not None and source.format != bundle_format:
        raise BundleError(
            f"{shown}: is a ready {bundle_format} archive, and `format` says {source.format}",
            hint="leave `format` out: a ready archive keeps its own",
        )
    _require_no_settings(source, shown)
    ready = open_ready(source.path, bundle_format, shown=shown, check=check)
    return Bundle(
        source=source, shown=shown, format=bundle_format, tree=None, entries=ready.entries, report=ready.report
    )


def _require_no_settings(source: BundleSource, shown: str) -> None:
    usual = BundleSource(path=source.path, bucket="", prefix="")
    names = ("ignore", "include_vcs", "ignore_hidden", "symlinks", "compression")
    if meant := [name for name in names if getattr(source, name) != getattr(usual, name)]:
        raise BundleError(
            f"{shown}: is a ready archive and goes out as it is, so {' and '.join(f'`{name}`' for name in meant)} "
            "can change nothing in it",
            hint="leave that out, or give the folder as the source",
        )
