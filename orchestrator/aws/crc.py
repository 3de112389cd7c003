"""CRC32 as S3 writes it, and that of a whole from those of its parts."""

from __future__ import annotations

import base64
import zlib
from functools import lru_cache

_POLYNOMIAL = 0xEDB88320
_BITS = 32

Matrix = tuple[int, ...]
"""A linear map over the bits of a CRC: the image of each bit."""


def crc32(content: bytes | memoryview) -> int:
    return zlib.crc32(content)


def as_text(crc: int) -> str:
    """As in S3's `x-amz-checksum-crc32`: base64 of the four bytes, the highest first."""
    return base64.b64encode(crc.to_bytes(4, "big")).decode()


def combine(first: int, second: int, length: int) -> int:
    """The CRC32 of two pieces in a row; `length`: bytes of the second one.

    Appending zeros to what was read is a linear map over GF(2): the map for one zero bit, squared again and again,
    gives that for any power of two of them. (zlib's crc32_combine, which Python doesn't offer.)
    """
    return _applied(_zeros(length), first) ^ second


@lru_cache(maxsize=4)  # parts have one size, but for the last: 6 ms once, then microseconds
def _zeros(length: int) -> Matrix:
    """The map for so many bytes of zeros."""
    power: Matrix = (_POLYNOMIAL, *(1 << bit for bit in range(_BITS - 1)))  # for one bit
    for _ in range(3):
        power = _composed(power, power)
    found: Matrix = tuple(1 << bit for bit in range(_BITS))
    while length:
        if length & 1:
            found = _composed(power, found)
        length >>= 1
        if length:
            power = _composed(power, power)
    return found


def _applied(matrix: Matrix, crc: int) -> int:
    found = 0
    bit = 0
    while crc:
        if crc & 1:
            found ^= matrix[bit]
        crc >>= 1
        bit += 1
    return found


def _composed(second: Matrix, first: Matrix) -> Matrix:
    return tuple(_applied(second, column) for column in first)
