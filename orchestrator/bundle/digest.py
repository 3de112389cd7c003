"""What a bundle is known by.

The digest of a **tree** is `sha256:` and the hex SHA-256 over this, every field ended by a NUL byte:

    orchestrator-tree-v1  <format>
    and for each entry, sorted by path:
    <kind>  <mode, octal>  <path, UTF-8>  <content>

`format` is `tgz`, `tar` or `zip`; `kind` is `file`, `dir` or `symlink`; `mode` is 644 or 755 of a file, 755 of a
directory, 777 of a link; `content` is the hex SHA-256 of a file's bytes, the target of a link, nothing for a directory.
Times, owners and the order on disk don't count: the same content is the same bundle, on every machine. The archive's
own bytes don't count either, for compressed bytes differ between versions of the compressor.

The digest of a **ready archive** is the SHA-256 over `orchestrator-archive-v1`, NUL, `<format>`, NUL and its bytes: it
is uploaded as it is, so what its headers say (owners, times, setuid bits) reaches the instance and is part of it.

Whoever changes any of this changes the version in the prefix: an old digest must never name new content.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from orchestrator.bundle.entries import Check, Entry, no_check
from orchestrator.bundle.files import LINKS_TOO, changed, open_regular, read_chunks, translated
from orchestrator.bundle.pipeline import Turns, in_order
from orchestrator.bundle.remembered import Remembered
from orchestrator.bundle.tree import Stamp, Tree, stamp_of
from orchestrator.core.model import BundleFormat

_CHUNK = 1 << 20
_BUFFER = 256 << 10  # what is read and hashed at a time; it stays in the processor's cache
_BATCH = 8 << 20
_LINES = 1000
_ENTRY = 16 << 10  # what a file counts beside its bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Digest:
    """Of a tree or of a ready archive."""

    value: str
    """`sha256:` and 64 hex digits."""
    files: tuple[bytes, ...] = ()
    """Of a tree: the SHA-256 of each of its files, in the order of its entries. Packing compares with these."""

    @property
    def hex(self) -> str:
        return self.value.removeprefix("sha256:")


def tree_digest(
    tree: Tree, bundle_format: BundleFormat, *, remembered: Remembered | None = None, check: Check = no_check
) -> Digest:
    """Reads every file once, on all cores, but for those whose hash is remembered from when they were as they are.

    Raises `SourceChangedError` for a file that changes meanwhile, `BundleError` for one that can't be read.
    """
    remembered = remembered or Remembered()
    files = [entry for entry in tree.entries if entry.kind == "file"]
    hashes = [remembered.get(entry.path, stamp) for entry, stamp in zip(files, tree.stamps, strict=True)]
    missing = [index for index, found in enumerate(hashes) if found is None]
    hash_files = partial(_hash_files, tree, Turns())
    jobs = ((0, partial(hash_files, [files[index] for index in batch])) for batch in _batches(files, missing))
    at = iter(missing)
    for batch in _results(jobs, check, several=len(missing) > 1):
        for sha256, stamp, read_at in batch:
            index = next(at)
            hashes[index] = sha256
            remembered.keep(files[index].path, stamp, sha256, read_at=read_at)
    return combine(tree.entries, [found for found in hashes if found is not None], bundle_format)


_Hashed = list[tuple[bytes, Stamp, int]]
"""Of each file its SHA-256, its stamp while it was read, and when that was (nanoseconds)."""


def _results(jobs: Iterator[tuple[int, Callable[[], _Hashed]]], check: Check, *, several: bool) -> Iterator[_Hashed]:
    if not several:  # the usual case of a second run, which has no use for threads
        for _, job in jobs:
            check()
            yield job()
        return
    with contextlib.closing(in_order(jobs, check)) as results:
        yield from results


def _batches(files: Sequence[Entry], indices: Sequence[int]) -> Iterator[list[int]]:
    batch: list[int] = []
    weight = 0
    for index in indices:
        batch.append(index)
        weight += files[index].size + _ENTRY
        if weight >= _BATCH:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def _hash_files(tree: Tree, turns: Turns, entries: Sequence[Entry]) -> _Hashed:
    buffer = memoryview(bytearray(min(_BUFFER, max(entry.size for entry in entries) + 1)))
    with turns.of(len(entries), sum(entry.size for entry in entries)):
        return [_hash_file(tree.path_of(entry), entry.size, buffer) for entry in entries]


def _hash_file(path: str, size: int, buffer: memoryview) -> tuple[bytes, Stamp, int]:
    read_at = time.time_ns()
    content = hashlib.sha256()
    descriptor, before = open_regular(path)
    left = size
    try:
        while left >= 0 and (length := os.readv(descriptor, [buffer])):
            content.update(buffer[:length])
            left -= length
        after = os.fstat(descriptor)
    except OSError as error:
        raise translated(path, error) from error
    finally:
        os.close(descriptor)
    stamp = stamp_of(after)
    if left or stamp != stamp_of(before):
        raise changed(path)
    return content.digest(), stamp, read_at


def combine(entries: Sequence[Entry], hashes: Sequence[bytes], bundle_format: BundleFormat) -> Digest:
    """The digest of a tree from the SHA-256 of each of its files, in the order of its entries."""
    contents = iter(hashes)
    lines = (
        f"{entry.kind}\0{entry.mode:o}\0{entry.path}\0"
        f"{next(contents).hex() if entry.kind == 'file' else entry.target}\0"
        for entry in entries
    )
    total = hashlib.sha256(f"orchestrator-tree-v1\0{bundle_format}\0".encode())
    while block := "".join(itertools.islice(lines, _LINES)):
        total.update(block.encode())
    return Digest(value=f"sha256:{total.hexdigest()}", files=tuple(hashes))


def archive_digest(path: Path, bundle_format: BundleFormat, *, check: Check = no_check) -> Digest:
    """Of a ready archive. Raises `BundleError` when it can't be read."""
    reading = read_archive(path, bundle_format, check=check)
    while True:
        try:
            next(reading)
        except StopIteration as end:
            digest: Digest = end.value[0]
            return digest


def read_archive(
    path: Path, bundle_format: BundleFormat, *, check: Check = no_check
) -> Generator[bytes, None, tuple[Digest, int]]:
    """The bytes of a ready archive in chunks; at last its digest and size. Raises `BundleError` if it is unreadable."""
    total = hashlib.sha256(f"orchestrator-archive-v1\0{bundle_format}\0".encode())
    size = 0
    with contextlib.closing(read_chunks(str(path), LINKS_TOO)) as chunks:
        for chunk in chunks:
            check()
            total.update(chunk)
            size += len(chunk)
            yield chunk
    return Digest(value=f"sha256:{total.hexdigest()}"), size
