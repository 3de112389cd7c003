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

import errno
import hashlib
import os
import stat
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from orchestrator.bundle.entries import Check, Entry, no_check
from orchestrator.bundle.tree import Tree
from orchestrator.core.errors import BundleError, SourceChangedError
from orchestrator.core.model import BundleFormat

_CHUNK = 1 << 20


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


def tree_digest(tree: Tree, bundle_format: BundleFormat, *, check: Check = no_check) -> Digest:
    """Reads every file once. Raises `BundleError` for a file that changes meanwhile or can't be read."""
    hashes: list[bytes] = []
    for entry in tree.entries:
        check()
        if entry.kind == "file":
            content = hashlib.sha256()
            for chunk in read_file(tree, entry, check=check):
                content.update(chunk)
            hashes.append(content.digest())
    return combine(tree.entries, hashes, bundle_format)


def combine(entries: Sequence[Entry], hashes: Sequence[bytes], bundle_format: BundleFormat) -> Digest:
    """The digest of a tree from the SHA-256 of each of its files, in the order of its entries."""
    total = hashlib.sha256(f"orchestrator-tree-v1\0{bundle_format}\0".encode())
    contents = iter(hashes)
    for entry in entries:
        content = next(contents).hex() if entry.kind == "file" else entry.target
        total.update(f"{entry.kind}\0{entry.mode:o}\0{entry.path}\0{content}\0".encode())
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
    with _opened(path, 0) as file:
        while chunk := _read(file, path):
            check()
            total.update(chunk)
            size += len(chunk)
            yield chunk
    return Digest(value=f"sha256:{total.hexdigest()}"), size


def read_file(tree: Tree, entry: Entry, *, check: Check = no_check) -> Generator[bytes, None, None]:
    """The bytes of a file in chunks, `entry.size` in all. Raises `SourceChangedError` when it has changed."""
    path = tree.root / entry.path
    left = entry.size
    # A link or a FIFO put in the file's place must neither lead out of the tree nor hang the run.
    with _opened(path, os.O_NOFOLLOW | os.O_NONBLOCK) as file:
        while chunk := _read(file, path):
            check()
            left -= len(chunk)
            if left < 0:
                raise changed(path)
            yield chunk
    if left:
        raise changed(path)


def changed(path: Path) -> SourceChangedError:
    """The file isn't what it was when the source was walked or its digest taken."""
    return SourceChangedError(
        f"{path}: changed while the bundle was made",
        hint="something still writes to the source: let the build end first, then try again",
    )


def _opened(path: Path, flags: int) -> FileIO:
    # The errors of the calls are translated one by one, so that those of `check` stay what they are.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    except OSError as error:
        raise _translated(path, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise changed(path)
    return FileIO(descriptor)


def _read(file: FileIO, path: Path) -> bytes:
    try:
        return file.read(_CHUNK)
    except OSError as error:
        raise _translated(path, error) from error


def _translated(path: Path, error: OSError) -> BundleError:
    if error.errno in {errno.ENOENT, errno.ELOOP}:  # gone, or a link now
        return changed(path)
    return BundleError(f"{path}: can't be read: {error.strerror}", hint="check the file and its permissions")
