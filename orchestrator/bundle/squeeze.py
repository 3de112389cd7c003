"""Deflate: which library, which level, and what isn't worth it.

libdeflate gives the same bytes for the same input on every machine and in every run, and lets other threads go on; it
takes whole buffers only. What deflate wouldn't make smaller (pictures, archives, class files in a jar) is stored; that
is told by a sample of the content, so that a name that lies changes nothing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import deflate

from orchestrator.core.model import Compression

_LEVELS = {"fast": 1, "small": 6}
_STREAM_LEVELS = {"fast": 1, "small": 6}  # zlib's, for pieces of one deflate stream

WORTH_A_LOOK = 16 << 10
"""Bytes; content that is shorter is compressed without a sample."""
_GLANCE, _LOOK = (512, 8), (2 << 10, 16)
"""Bytes of a slice, and how many of them: a quick sample, and a good one where the quick one leaves a doubt."""
_NO_DOUBT = (0.75, 0.98)
"""What deflate leaves of a quick sample that settles it: less than the first, or more than the second."""
_DENSE = {"fast": 0.92, "small": 0.99}
"""A sample that deflate leaves at so much of its size or more isn't worth the time."""

_STORED_BLOCK = 0xFFFF
_GZIP = struct.Struct("<LL")
_GZIP_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # deflate, no name, no time, no system

Buffer = bytes | bytearray | memoryview


def is_dense(content: Buffer, compression: Compression) -> bool:
    """Whether deflate would gain next to nothing, by samples from all over the content; the same answer everywhere."""
    if len(content) < WORTH_A_LOOK:
        return False
    limit = _DENSE[compression]
    glance = _left(content, *_GLANCE)
    if not _NO_DOUBT[0] < glance < _NO_DOUBT[1] or len(content) < 2 * _LOOK[0] * _LOOK[1]:
        return glance >= limit
    return _left(content, *_LOOK) >= limit


def _left(content: Buffer, slice_size: int, slices: int) -> float:
    """What deflate leaves of slices at even distances, as a share of their size."""
    step = (len(content) - slice_size) // (slices - 1)
    sample = b"".join(bytes(content[at * step : at * step + slice_size]) for at in range(slices))
    return len(deflate.deflate_compress(sample, 1)) / len(sample)


def deflated(content: Buffer, compression: Compression) -> bytes | bytearray:
    """A whole raw deflate stream."""
    return deflate.deflate_compress(content, _LEVELS[compression])


def piece(content: Buffer, compression: Compression, *, dense: bool) -> bytes:
    """A part of a raw deflate stream that other parts may follow; the last of them is followed by `LAST`."""
    if dense:
        return stored(content)
    compressor = zlib.compressobj(_STREAM_LEVELS[compression], zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush(zlib.Z_SYNC_FLUSH)


def crc32(content: Buffer, before: int = 0) -> int:
    """Of what `before` is the CRC-32 of, and this after it; some times as fast as zlib's."""
    return deflate.crc32(content, before)


LAST = b"\x03\x00"
"""An empty last block."""


def stored(content: Buffer) -> bytes:
    """As blocks of raw deflate that aren't compressed."""
    return b"".join(_stored(content))


def _stored(content: Buffer) -> Iterator[Buffer]:
    view = memoryview(content)
    for at in range(0, len(view), _STORED_BLOCK):
        block = view[at : at + _STORED_BLOCK]
        yield struct.pack("<BHH", 0, len(block), len(block) ^ 0xFFFF)
        yield block


def gzip_member(content: Buffer, compression: Compression, *, dense: bool) -> bytes:
    """A whole gzip stream. Several of them in a row are one, too."""
    body = (*_stored(content), LAST) if dense else (deflated(content, compression),)
    return b"".join((_GZIP_HEAD, *body, _GZIP.pack(crc32(content), len(content) & 0xFFFFFFFF)))
