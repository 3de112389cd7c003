"""tar and tgz. A tgz is a row of gzip members, each made from some of the tar on its own, so on all cores at once.

Readers take them for one stream. Files that deflate wouldn't make smaller get members of their own, which are stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from orchestrator.bundle.batches import PIECE, Batch, Content, Piece, read
from orchestrator.bundle.pipeline import Turns
from orchestrator.bundle.squeeze import gzip_member, is_dense
from orchestrator.bundle.tarformat import ending, header, padding
from orchestrator.core.model import Compression


@dataclass(slots=True)
class TarBlock:
    """A batch, packed."""

    chunks: list[bytes] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    """The SHA-256 of each file that ends in it."""
    entries: int = 0
    """That end in it."""
    raw: int = 0
    """Bytes before compression."""


class TarPacker:
    """`pack` in any thread, `chunks` and `finish` in order. `compression` None is plain tar."""

    whole = PIECE

    def __init__(self, compression: Compression | None) -> None:
        self._compression = compression
        self._raw = 0
        self._turns = Turns()

    def pack(self, batch: Batch) -> TarBlock:
        """Raises `BundleError` naming a file that changed or can't be read."""
        packing = _Packing(self._compression)
        with self._turns.of(len(batch), sum(piece.length for piece in batch)):
            contents = [read(piece) for piece in batch]
        for piece, content in zip(batch, contents, strict=True):
            packing.add(piece, content)
        packing.flush()
        return packing.block

    def chunks(self, block: TarBlock) -> Iterator[bytes]:
        self._raw += block.raw
        yield from block.chunks

    def finish(self) -> Iterator[bytes]:
        zeros = bytes(ending(self._raw))
        yield zeros if self._compression is None else gzip_member(zeros, self._compression, dense=False)


class _Packing:
    def __init__(self, compression: Compression | None) -> None:
        self._compression = compression
        self._waiting: list[bytes] = []
        self.block = TarBlock()

    def add(self, piece: Piece, content: Content) -> None:
        entry = piece.entry
        if piece.is_first:
            self._plain(header(entry))
        if entry.kind == "file":
            self._content(content.data)
            if piece.is_last:
                self._plain(bytes(padding(entry.size)))
                self.block.hashes.append(content.sha256)
        self.block.entries += piece.is_last

    def flush(self) -> None:
        """Writes what waits as one chunk, one member if it is compressed."""
        if not self._waiting:
            return
        data = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
        self._waiting = []
        self._write(data, dense=False)

    def _content(self, data: bytes) -> None:
        if self._compression is not None and is_dense(data, self._compression):
            self.flush()
            self._write(data, dense=True)
        else:
            self._plain(data)

    def _plain(self, data: bytes) -> None:
        if data:
            self._waiting.append(data)

    def _write(self, data: bytes, *, dense: bool) -> None:
        self.block.raw += len(data)
        packed = data if self._compression is None else gzip_member(data, self._compression, dense=dense)
        self.block.chunks.append(packed)
