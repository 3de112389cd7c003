"""zip: small files each compressed at once, larger ones in pieces of one deflate stream, all of it on all cores.

What deflate wouldn't make smaller is stored: a small file as zip has it, a piece of a larger one as deflate has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from orchestrator.bundle.batches import Batch, Piece, read
from orchestrator.bundle.entries import Entry
from orchestrator.bundle.pipeline import Turns
from orchestrator.bundle.squeeze import LAST, Buffer, crc32, deflated, is_dense, piece
from orchestrator.bundle.zipformat import DEFLATED, STORED, Directory, Member, descriptor, local, streamed
from orchestrator.core.model import Compression

_WORTH_IT = 0.97
"""A file that deflate leaves at more of its size is stored: unpacking is quicker then."""


@dataclass(slots=True)
class ZipBlock:
    """A batch, packed."""

    data: list[Buffer] = field(default_factory=list)
    """While it is packed; then it is all in `chunk`."""
    chunk: bytes = b""
    hashes: list[bytes] = field(default_factory=list)
    """The SHA-256 of each file that ends in it."""
    entries: int = 0
    """That end in it."""
    members: list[tuple[Member, int]] = field(default_factory=list)
    """The entries that are whole, each with its bytes in the archive."""
    part: tuple[Piece, int] | None = None
    """Where the batch is a piece of a larger file: it, and the CRC-32 up to its end."""


class ZipPacker:
    """`pack` in any thread, `chunks` and `finish` in order."""

    whole = 4 << 20

    def __init__(self, compression: Compression) -> None:
        self._compression = compression
        self._directory = Directory()
        self._turns = Turns()
        self._offset = 0
        self._start = 0
        self._compressed = 0

    def pack(self, batch: Batch) -> ZipBlock:
        """Raises `BundleError` naming a file that changed or can't be read."""
        block = ZipBlock()
        with self._turns.of(len(batch), sum(each.length for each in batch)):
            for each in batch:
                if each.chain is not None:
                    self._pack_part(each, block)
                else:
                    self._pack_whole(each, block)
                block.entries += each.is_last
        block.chunk = b"".join(block.data)
        block.data.clear()
        return block

    def chunks(self, block: ZipBlock) -> Iterator[bytes]:
        if block.part is not None:
            yield from self._part(*block.part, block.chunk)
            return
        for member, length in block.members:
            self._directory.add(member, self._offset)
            self._offset += length
        yield block.chunk

    def finish(self) -> Iterator[bytes]:
        yield self._directory.finish(self._offset)

    def _pack_whole(self, each: Piece, block: ZipBlock) -> None:
        entry = each.entry
        data: Buffer
        if entry.kind == "file":
            content = read(each)
            block.hashes.append(content.sha256)
            data = content.data
        else:
            data = entry.target.encode()
        packed, method = self._squeezed(entry, data)
        member = Member(entry, method, crc32(data), len(data), len(packed))
        head = local(member)
        block.data += (head, packed)
        block.members.append((member, len(head) + len(packed)))

    def _squeezed(self, entry: Entry, data: Buffer) -> tuple[Buffer, int]:
        if entry.kind == "file" and data and not is_dense(data, self._compression):
            packed = deflated(data, self._compression)
            if len(packed) < _WORTH_IT * len(data):
                return packed, DEFLATED
        return data, STORED

    def _pack_part(self, each: Piece, block: ZipBlock) -> None:
        content = read(each)
        dense = is_dense(content.data, self._compression)
        block.data.append(piece(content.data, self._compression, dense=dense))
        block.part = (each, content.crc)
        if each.is_last:
            block.hashes.append(content.sha256)

    def _part(self, each: Piece, crc: int, chunk: bytes) -> Iterator[bytes]:
        """A piece, with what stands before the first and after the last one of its file."""
        entry = each.entry
        if each.is_first:
            self._start, self._compressed = self._offset, 0
            yield self._counted(streamed(entry))
        self._compressed += len(chunk)
        yield self._counted(chunk)
        if each.is_last:
            member = Member(entry, DEFLATED, crc, entry.size, self._compressed + len(LAST), streamed=True)
            yield self._counted(LAST + descriptor(member))
            self._directory.add(member, self._start)

    def _counted(self, data: bytes) -> bytes:
        self._offset += len(data)
        return data
