"""A tree cut into pieces of work of about the same size; the cuts depend on sizes only, so they are always the same."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from orchestrator.bundle.digest import Digest
from orchestrator.bundle.entries import Entry
from orchestrator.bundle.files import changed, read_piece
from orchestrator.bundle.squeeze import crc32
from orchestrator.bundle.tree import Tree

PIECE = 1 << 20
"""Bytes; of longer files each piece is a batch of its own."""
_ENTRY = 512  # what an entry counts beside its content, so that empty files make batches, too


class Chain:
    """SHA-256 and CRC-32 of a file whose pieces are read by several threads: each piece waits for its turn."""

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._at = 0
        self._broken = False
        self._sha256 = hashlib.sha256()
        self._crc = 0

    def update(self, offset: int, content: bytes) -> tuple[bytes, int]:
        """The sums of all up to the end of this piece. The pieces before it must have been begun in other threads."""
        with self._turn:
            self._turn.wait_for(lambda: self._at == offset or self._broken)
        if not self._broken:
            self._sha256.update(content)
            self._crc = crc32(content, self._crc)
        sums = self._sha256.digest(), self._crc
        with self._turn:
            self._at = offset + len(content)
            self._turn.notify_all()
        return sums

    def give_up(self) -> None:
        """A piece failed, so nobody needs to wait any more; what `update` returns is worth nothing now."""
        with self._turn:
            self._broken = True
            self._turn.notify_all()


@dataclass(slots=True)  # not frozen, which would make 20,000 of them take twice as long
class Piece:
    """An entry, or a part of a file."""

    entry: Entry
    path: str
    """On disk."""
    offset: int = 0
    length: int = 0
    expected: bytes | None = None
    """The SHA-256 of the whole file, when it is known."""
    chain: Chain | None = None
    """None: the piece is the whole file."""

    @property
    def is_first(self) -> bool:
        return self.offset == 0

    @property
    def is_last(self) -> bool:
        return self.offset + self.length == self.entry.size


class Content(NamedTuple):
    """What was read of a piece."""

    data: bytes
    sha256: bytes
    """Of the file up to the end of the piece."""
    crc: int
    """As `sha256`; only of a piece of a longer file."""


Batch = list[Piece]


def batches(tree: Tree, expected: Digest | None, *, whole: int = PIECE) -> Iterator[tuple[int, Batch]]:
    """Bytes and pieces of each. Files of up to `whole` bytes stay in one piece."""
    known = iter(expected.files) if expected is not None else iter(())
    batch: Batch = []
    weight = 0
    for entry in tree.entries:
        sha256 = next(known, None) if entry.kind == "file" else None
        if entry.size > whole:
            if batch:
                yield weight, batch
                batch, weight = [], 0
            yield from _pieces(entry, tree.path_of(entry), sha256)
            continue
        batch.append(Piece(entry, tree.path_of(entry), 0, entry.size, sha256))
        weight += entry.size + _ENTRY
        if weight >= PIECE:
            yield weight, batch
            batch, weight = [], 0
    if batch:
        yield weight, batch


def _pieces(entry: Entry, path: str, sha256: bytes | None) -> Iterator[tuple[int, Batch]]:
    chain = Chain()
    for offset in range(0, entry.size, PIECE):
        length = min(PIECE, entry.size - offset)
        yield length, [Piece(entry, path, offset, length, sha256, chain)]


_NOTHING = Content(b"", b"", 0)


def read(piece: Piece) -> Content:
    """Reads and hashes a piece of a file; nothing of what is none.

    Raises `SourceChangedError` naming a file that isn't what was expected.
    """
    if piece.entry.kind != "file":
        return _NOTHING
    try:
        data = read_piece(piece.path, piece.offset, piece.length, piece.entry.size)
    except BaseException:
        if piece.chain is not None:
            piece.chain.give_up()
        raise
    if piece.chain is None:
        sha256, crc = hashlib.sha256(data).digest(), 0
    else:
        sha256, crc = piece.chain.update(piece.offset, data)
    if piece.is_last and piece.expected is not None and piece.expected != sha256:
        raise changed(piece.path)
    return Content(data, sha256, crc)
