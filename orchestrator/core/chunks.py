"""Batches of at most so many: what `itertools.batched` is from Python 3.12 on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """`items` in their order, `size` at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))
