"""An archive as a stream: its bytes in order, as they are made, with bounded memory.

    with pack_stream(bundle, expected=known) as stream:      # in a worker thread
        for chunk in stream:                                 # some hundred bytes to some megabytes each, never empty
            ...
        stream.result                                        # only now is it certain that the bytes are what was meant

A stream belongs to one thread at a time, not always the same one; everything that it calls (`check`) is called in the
thread that asks for the next chunk. Threads of its own end before `close` returns. Whoever gives up early closes it;
`close` may be called at any time and any number of times.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Self

from orchestrator.bundle.archive import PackResult, archive_tree
from orchestrator.bundle.digest import Digest, read_archive
from orchestrator.bundle.entries import Check, no_check
from orchestrator.bundle.files import changed
from orchestrator.bundle.source import Bundle
from orchestrator.bundle.tree import Tree
from orchestrator.core.model import BundleFormat, Compression

__all__ = ["PackResult", "PackStream", "pack_stream", "pack_tree"]


class PackStream(Iterator[bytes]):
    """Iterate to the end, then look at `result`."""

    def __init__(self, chunks: Generator[bytes, None, PackResult]) -> None:
        self._chunks = chunks
        self._result: PackResult | None = None

    def __next__(self) -> bytes:
        """Raises `SourceChangedError` or `BundleError` naming the file, and what `check` raises; it is over then."""
        try:
            return next(self._chunks)
        except StopIteration as end:
            if self._result is None and end.value is not None:
                self._result = end.value
            raise

    @property
    def result(self) -> PackResult:
        """What was packed. RuntimeError unless the stream came to its end: what came out until then is no archive."""
        if self._result is None:
            raise RuntimeError("the stream hasn't come to its end")
        return self._result

    def close(self) -> None:
        """Ends the work and lets go of files and threads."""
        self._chunks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def pack_stream(bundle: Bundle, *, expected: Digest | None = None, check: Check = no_check) -> PackStream:
    """The bytes of the bundle's archive; those of the file itself when it is a ready archive.

    With `expected`, the digest from before, whatever differs from it is a `SourceChangedError`: as soon as the file
    that has changed was read, so before the archive's end is out. `check` is called between files and chunks.
    """
    if bundle.tree is None:
        return PackStream(_ready(bundle, expected, check))
    return pack_tree(bundle.tree, bundle.format, compression=bundle.source.compression, expected=expected, check=check)


def pack_tree(
    tree: Tree,
    bundle_format: BundleFormat,
    *,
    compression: Compression = "fast",
    expected: Digest | None = None,
    check: Check = no_check,
) -> PackStream:
    """As `pack_stream`, of a tree."""
    return PackStream(archive_tree(tree, bundle_format, compression=compression, expected=expected, check=check))


def _ready(bundle: Bundle, expected: Digest | None, check: Check) -> Generator[bytes, None, PackResult]:
    digest, size = yield from read_archive(bundle.source.path, bundle.format, check=check)
    if expected is not None and digest.value != expected.value:
        raise changed(str(bundle.source.path))
    return PackResult(digest=digest, entries=len(bundle.entries), size=size)
