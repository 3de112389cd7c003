"""Where everything in a layered drawing goes: no two things overlap, and edges are as straight as that allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.web.layering import Layered

PASSES = 6
BLOCK_GAP = 14.0
BEND_GAP = 7.0
"""Pixels between the rims of two things above each other."""

_STRAIGHT, _HALF = 8.0, 2.0
"""How much more a line wants to go on straight through its bends than a block wants to stand beside its neighbour."""


@dataclass(slots=True)
class Placed:
    """In pixels."""

    left: list[float]
    """The left rim of each layer."""
    right: list[float]
    middle: list[float]
    """The vertical middle of each vertex."""
    width: float
    height: float


def place(layered: Layered, sizes: Sequence[tuple[float, float]], *, gap: float) -> Placed:
    """`sizes`: width and height of each block. `gap`: between two layers, at least."""
    heights = [sizes[vertex][1] if vertex < layered.blocks else 0.0 for vertex in range(len(layered.rank))]
    middle = _stack(layered, heights)
    for number in range(PASSES):
        to_the_right = number % 2 == 0
        for members in layered.layers if to_the_right else reversed(layered.layers):
            _settle(members, layered, layered.incoming if to_the_right else layered.outgoing, middle, heights)
    top = min((middle[v] - heights[v] / 2 for v in range(len(middle))), default=0.0)
    middle = [y - top for y in middle]
    height = max((middle[v] + heights[v] / 2 for v in range(len(middle))), default=0.0)
    left, right = _columns(layered, sizes, gap)
    return Placed(left=left, right=right, middle=middle, width=right[-1] if right else 0.0, height=height)


def _columns(layered: Layered, sizes: Sequence[tuple[float, float]], gap: float) -> tuple[list[float], list[float]]:
    """The more lines cross a gap, the wider it is: they get flatter, and can be followed."""
    crossing = [0] * (len(layered.layers) + 1)
    for start, _, _, _ in layered.segments:
        crossing[layered.rank[start]] += 1
    left, right, x = [], [], 0.0
    for number, members in enumerate(layered.layers):
        width = max((sizes[vertex][0] for vertex in members if vertex < layered.blocks), default=0.0)
        left.append(x)
        right.append(x + width)
        x += width + gap + min(gap * 2, crossing[number] * 0.7)
    return left, right


def _stack(layered: Layered, heights: Sequence[float]) -> list[float]:
    middle = [0.0] * len(heights)
    for members in layered.layers:
        offsets = _offsets(members, heights, layered.blocks)
        centre = offsets[-1] / 2 if offsets else 0.0
        for vertex, offset in zip(members, offsets, strict=True):
            middle[vertex] = offset - centre
    return middle


def _offsets(members: Sequence[int], heights: Sequence[float], blocks: int) -> list[float]:
    """How far below the first each must be at least."""
    offsets: list[float] = []
    y = 0.0
    for index, vertex in enumerate(members):
        if index:
            above = members[index - 1]
            both_blocks = above < blocks and vertex < blocks
            y += (heights[above] + heights[vertex]) / 2 + (BLOCK_GAP if both_blocks else BEND_GAP)
        offsets.append(y)
    return offsets


def _settle(
    members: Sequence[int],
    layered: Layered,
    neighbours: Sequence[Sequence[int]],
    middle: list[float],
    heights: Sequence[float],
) -> None:
    """Each as near to the middle of its neighbours as order and distances allow: the least sum of squares.

    Without what has to be above it, a vertex would stand where it wants; the vertices that push each other then move
    as one ("pool adjacent violators", the way isotonic regression is solved).
    """
    blocks = layered.blocks
    offsets = _offsets(members, heights, blocks)
    pools: list[list[float]] = []
    """Of each its place, its weight, and how many vertices it has."""
    for vertex, offset in zip(members, offsets, strict=True):
        wish, weight = _wish(vertex, neighbours[vertex], blocks, middle)
        pool = [wish - offset, weight, 1.0]
        while pools and pools[-1][0] >= pool[0]:
            last = pools.pop()
            total = last[1] + pool[1]
            pool = [(last[0] * last[1] + pool[0] * pool[1]) / total, total, last[2] + pool[2]]
        pools.append(pool)
    index = 0
    for where, _, count in pools:
        for _ in range(int(count)):
            middle[members[index]] = where + offsets[index]
            index += 1


def _wish(vertex: int, others: Sequence[int], blocks: int, middle: Sequence[float]) -> tuple[float, float]:
    if not others:
        return middle[vertex], 0.2
    total = weight = 0.0
    for other in others:
        bends = (vertex >= blocks) + (other >= blocks)
        pull = _STRAIGHT if bends == 2 else _HALF if bends else 1.0
        total += pull * middle[other]
        weight += pull
    return total / weight, weight
