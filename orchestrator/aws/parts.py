"""A stream of bytes, cut into parts of one size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from orchestrator.aws.crc import as_text, crc32

PART_SIZE = 6 * 1024 * 1024
"""Bytes of a part; S3 takes none below 5 MiB but the last. What isn't longer goes in one piece, by PutObject."""
PARTS_MAX = 10_000
"""Parts that S3 takes for one object."""
_MEBIBYTE = 1024 * 1024

Producer = Callable[[], AbstractContextManager[Iterator[bytes]]]
"""Opens what makes an object's bytes, in order. It is opened, iterated and closed in one worker thread; whatever goes
wrong in it (a file that changed, a disk that fails) is raised there, and then nothing is stored."""


@dataclass(frozen=True, slots=True)
class Part:
    number: int
    """From 1."""
    content: memoryview
    """Of a buffer that is used again once S3 has the part."""
    crc: int
    is_last: bool

    @property
    def checksum(self) -> str:
        return as_text(self.crc)


def part_size_for(at_most: int) -> int:
    """Bytes of a part: 6 MiB, or as many whole MiB as it takes for an object of this size to fit into 10,000."""
    needed = -(-at_most // PARTS_MAX)
    return max(PART_SIZE, -(-needed // _MEBIBYTE) * _MEBIBYTE)


class Cutter:
    """Cuts a stream into buffers that it is given; holds no more than the rest of a chunk besides."""

    def __init__(self, chunks: Iterator[bytes], size: int, check: Callable[[], None]) -> None:
        """`check` is called for each chunk; what it raises ends the cutting."""
        self._chunks = chunks
        self._size = size
        self._check = check
        self._rest = memoryview(b"")
        self._number = 0

    def fill(self, buffer: bytearray) -> Part:
        """The next part, which may be empty if it is the first; ask no further after the last.

        A buffer that is shorter than a part grows as far as that: then it was thought that there is no more.
        """
        filled = 0
        while self._has_more():
            if filled == self._size:
                return self._part(buffer, filled, is_last=False)
            piece = self._rest[: self._size - filled]
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)
            self._rest = self._rest[len(piece) :]
        return self._part(buffer, filled, is_last=True)

    def _has_more(self) -> bool:
        while not self._rest:
            self._check()
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._rest = memoryview(chunk)
        return True

    def _part(self, buffer: bytearray, filled: int, *, is_last: bool) -> Part:
        self._number += 1
        content = memoryview(buffer)[:filled]
        return Part(self._number, content, crc32(content), is_last)
