"""Deterministic archives: the same tree gives the same bytes, streamed with constant memory.

Entries come sorted, without times, owners or names of users. tar is GNU's format: every tar reads it, it has no limit
on sizes or names, and names stay UTF-8. Nothing written is ever gone back to, so the output may as well be an upload.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Protocol, assert_never

from orchestrator.bundle.digest import Digest, changed, combine, read_file
from orchestrator.bundle.entries import Check, Entry, no_check
from orchestrator.bundle.tree import Tree
from orchestrator.bundle.zipwriter import ZipWriter
from orchestrator.core.errors import SourceChangedError
from orchestrator.core.model import BundleFormat

_LEVEL = 6  # of deflate
_MTIME = 315532800  # 1980-01-01, as in zip; older versions of GNU tar warn of "implausibly old" files at 0


@dataclass(frozen=True, kw_only=True, slots=True)
class PackResult:
    digest: Digest
    """Of what was packed."""
    entries: int
    """Written to the archive, counted as they were."""
    size: int
    """Bytes of the archive."""


def archive_tree(
    tree: Tree, bundle_format: BundleFormat, *, expected: Digest | None = None, check: Check = no_check
) -> Generator[bytes, None, PackResult]:
    """The bytes of the archive of `tree`, front to back; see `stream.PackStream`."""
    out = _Out()
    packer = _Packer(tree, expected, check)
    writer = _writer(bundle_format, out)
    for entry in tree.entries:
        check()
        for _ in packer.add(entry, writer):
            yield from out.taken()
    writer.finish()
    yield from out.taken()
    digest = combine(tree.entries, packer.hashes, bundle_format)
    if packer.entries != len(tree.entries) or (expected is not None and digest.value != expected.value):
        raise SourceChangedError(
            f"{tree.root}: the archive isn't what was to be packed: "
            f"{packer.entries} of {len(tree.entries)} entries, {digest.value}",
            hint="something still writes to the source: let the build end first, then try again",
        )
    return PackResult(digest=digest, entries=packer.entries, size=out.size)


class _Packer:
    """Feeds entries to a writer and hashes what it reads."""

    def __init__(self, tree: Tree, expected: Digest | None, check: Check) -> None:
        self._tree = tree
        self._expected = expected
        self._check = check
        self.hashes: list[bytes] = []
        self.entries = 0

    def add(self, entry: Entry, writer: _Writer) -> Iterator[None]:
        """Stops after every step that may have written something."""
        if entry.kind == "file":
            writer.begin(entry)
            yield from self._copy(entry, writer.data)
            writer.end(entry)
        else:
            writer.whole(entry)
        self.entries += 1
        yield

    def _copy(self, entry: Entry, write: Callable[[bytes], None]) -> Iterator[None]:
        content = hashlib.sha256()
        for chunk in read_file(self._tree, entry, check=self._check):
            content.update(chunk)
            write(chunk)
            yield
        if not self._is_expected(content.digest()):
            raise changed(self._tree.root / entry.path)
        self.hashes.append(content.digest())

    def _is_expected(self, content: bytes) -> bool:
        at = len(self.hashes)
        return self._expected is None or self._expected.files[at : at + 1] == (content,)


class _Out:
    """Keeps what was written until it is taken; counts it."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self.size = 0

    def write(self, data: bytes) -> None:
        if data:
            self._waiting.append(data)
            self.size += len(data)

    def taken(self) -> Iterator[bytes]:
        waiting, self._waiting = self._waiting, []
        return iter(waiting)


class _Writer(Protocol):
    """`whole` for a directory or link; `begin`, `data`…, `end` for a file; at last `finish`."""

    def whole(self, entry: Entry) -> None: ...
    def begin(self, entry: Entry) -> None: ...
    def data(self, chunk: bytes) -> None: ...
    def end(self, entry: Entry) -> None: ...
    def finish(self) -> None: ...


def _writer(bundle_format: BundleFormat, out: _Out) -> _Writer:
    match bundle_format:
        case "tar":
            return _TarWriter(out.write, lambda: None)
        case "tgz":
            gzip = _Gzip(out)
            return _TarWriter(gzip.write, gzip.finish)
        case "zip":
            return ZipWriter(out.write, level=_LEVEL)
        case _:
            assert_never(bundle_format)


class _Gzip:
    """A gzip stream; zlib's own header carries neither time nor name."""

    def __init__(self, out: _Out) -> None:
        self._out = out
        self._deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)

    def write(self, data: bytes) -> None:
        if packed := self._deflate.compress(data):
            self._out.write(packed)

    def finish(self) -> None:
        self._out.write(self._deflate.flush())


class _TarWriter:
    """GNU tar. By hand around `TarInfo.tobuf`, because `TarFile` keeps every member it has written in memory."""

    def __init__(self, write: Callable[[bytes], object], finish: Callable[[], None]) -> None:
        import tarfile  # noqa: PLC0415 - 10 ms that `validate` doesn't need

        self._tarfile = tarfile
        self._write = write
        self._finish = finish
        self._size = 0

    def whole(self, entry: Entry) -> None:
        kind = self._tarfile.DIRTYPE if entry.kind == "dir" else self._tarfile.SYMTYPE
        self._header(entry, kind)

    def begin(self, entry: Entry) -> None:
        self._header(entry, self._tarfile.REGTYPE)

    def data(self, chunk: bytes) -> None:
        self._write(chunk)

    def end(self, entry: Entry) -> None:
        self._write(bytes(-entry.size % self._tarfile.BLOCKSIZE))
        self._size += entry.size + -entry.size % self._tarfile.BLOCKSIZE

    def finish(self) -> None:
        end = 2 * self._tarfile.BLOCKSIZE
        self._write(bytes(end + -(self._size + end) % self._tarfile.RECORDSIZE))
        self._finish()

    def _header(self, entry: Entry, kind: bytes) -> None:
        info = self._tarfile.TarInfo(entry.path)
        info.type = kind
        info.mode = entry.mode
        info.mtime = _MTIME
        info.size = entry.size
        info.linkname = entry.target
        header = info.tobuf(self._tarfile.GNU_FORMAT, "utf-8", "strict")
        self._write(header)
        self._size += len(header)
