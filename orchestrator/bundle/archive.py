"""Deterministic archives: the same tree gives the same bytes, on all cores, streamed with constant memory.

Entries come sorted, without times, owners or names of users. How the tree is cut into batches depends on its entries
alone, and what becomes of a batch on its content alone; so neither the number of cores nor the order on disk shows.
Nothing written is ever gone back to.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar, assert_never

from orchestrator.bundle.batches import Batch, batches
from orchestrator.bundle.digest import Digest, combine
from orchestrator.bundle.entries import Check, no_check
from orchestrator.bundle.pipeline import in_order
from orchestrator.bundle.tarpack import TarPacker
from orchestrator.bundle.tree import Tree
from orchestrator.bundle.zippack import ZipPacker
from orchestrator.core.errors import SourceChangedError
from orchestrator.core.model import BundleFormat, Compression


@dataclass(frozen=True, kw_only=True, slots=True)
class PackResult:
    digest: Digest
    """Of what was packed."""
    entries: int
    """Written to the archive, counted as they were."""
    size: int
    """Bytes of the archive."""


class _Block(Protocol):
    hashes: list[bytes]
    entries: int


B = TypeVar("B", bound=_Block)


class _Packer(Protocol[B]):
    """`pack` is called in worker threads, the others in the order of the batches."""

    whole: int
    """Bytes; files up to that come whole."""

    def pack(self, batch: Batch) -> B: ...
    def chunks(self, block: B) -> Iterator[bytes]: ...
    def finish(self) -> Iterator[bytes]: ...


def archive_tree(
    tree: Tree,
    bundle_format: BundleFormat,
    *,
    compression: Compression = "fast",
    expected: Digest | None = None,
    check: Check = no_check,
) -> Generator[bytes, None, PackResult]:
    """The bytes of the archive of `tree`, front to back; see `stream.PackStream`."""
    match bundle_format:
        case "tar":
            return _archive(TarPacker(None), tree, bundle_format, expected, check)
        case "tgz":
            return _archive(TarPacker(compression), tree, bundle_format, expected, check)
        case "zip":
            return _archive(ZipPacker(compression), tree, bundle_format, expected, check)
        case _:
            assert_never(bundle_format)


def _archive(
    packer: _Packer[B], tree: Tree, bundle_format: BundleFormat, expected: Digest | None, check: Check
) -> Generator[bytes, None, PackResult]:
    hashes: list[bytes] = []
    entries = size = 0
    jobs = ((weight, partial(packer.pack, batch)) for weight, batch in batches(tree, expected, whole=packer.whole))
    with contextlib.closing(in_order(jobs, check)) as blocks:
        for block in blocks:
            for chunk in packer.chunks(block):
                size += len(chunk)
                yield chunk
            hashes += block.hashes
            entries += block.entries
    digest = combine(tree.entries, hashes, bundle_format)
    if entries != len(tree.entries) or (expected is not None and digest.value != expected.value):
        raise SourceChangedError(
            f"{tree.root}: the archive isn't what was to be packed: "
            f"{entries} of {len(tree.entries)} entries, {digest.value}",
            hint="something still writes to the source: let the build end first, then try again",
        )
    for chunk in packer.finish():
        size += len(chunk)
        yield chunk
    return PackResult(digest=digest, entries=entries, size=size)
