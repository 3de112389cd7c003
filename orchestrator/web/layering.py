"""Blocks into layers, and into an order within each that lets few edges cross.

Layers run from left to right. An edge that goes past a layer has a place of its own in it, called a bend here, so that
no edge ever runs behind a block; edges of one kind that leave the same block share their bends, as lines of a
railway do.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.web.folding import Edge, Kind

SWEEPS = 8
COUNTED_UP_TO = 2500
"""Segments, of which crossings are counted to keep the best order seen; of more the last one is taken."""


@dataclass(slots=True)
class Layered:
    """Vertices are blocks (the first of them, by their numbers) and bends."""

    layers: list[list[int]]
    rank: list[int]
    """The layer of each vertex."""
    blocks: int
    """How many vertices are blocks."""
    incoming: list[list[int]]
    """Of each vertex those of the layer before that lead to it."""
    outgoing: list[list[int]]
    segments: list[tuple[int, int, Kind, int]]
    """From, to (one layer further), of which kind, and of which block's edges."""


def layer(blocks: int, edges: Sequence[Edge]) -> Layered:
    """Edges that close a circle are left out, since plans have none."""
    order, edges = topological(blocks, edges)
    rank = _ranks(blocks, order, edges)
    layered = _with_bends(blocks, rank, edges)
    _order(layered)
    return layered


def topological(blocks: int, edges: Sequence[Edge]) -> tuple[list[int], list[Edge]]:
    """The blocks so that each stands behind what it waits for, and the edges without those that close a circle."""
    after: list[list[int]] = [[] for _ in range(blocks)]
    open_edges = [0] * blocks
    for edge in edges:
        after[edge.source].append(edge.target)
        open_edges[edge.target] += 1
    ready = deque(number for number in range(blocks) if open_edges[number] == 0)
    order: list[int] = []
    while ready:
        number = ready.popleft()
        order.append(number)
        for target in after[number]:
            open_edges[target] -= 1
            if open_edges[target] == 0:
                ready.append(target)
    if len(order) == blocks:
        return order, list(edges)
    done = set(order)
    order += [number for number in range(blocks) if number not in done]
    place = {number: index for index, number in enumerate(order)}
    return order, [edge for edge in edges if place[edge.source] < place[edge.target]]


def _ranks(blocks: int, order: Sequence[int], edges: Sequence[Edge]) -> list[int]:
    """As far left as its needs allow; then what has more edges to its right than to its left moves towards them."""
    before: list[list[int]] = [[] for _ in range(blocks)]
    after: list[list[int]] = [[] for _ in range(blocks)]
    for edge in edges:
        before[edge.target].append(edge.source)
        after[edge.source].append(edge.target)
    rank = [0] * blocks
    for number in order:
        rank[number] = max((rank[source] + 1 for source in before[number]), default=0)
    for number in reversed(order):
        if after[number] and len(after[number]) > len(before[number]):
            rank[number] = min(rank[target] for target in after[number]) - 1
    return rank


def _with_bends(blocks: int, rank: list[int], edges: Sequence[Edge]) -> Layered:
    layered = Layered(
        layers=[[] for _ in range(max(rank, default=-1) + 1)],
        rank=rank,
        blocks=blocks,
        incoming=[[] for _ in range(blocks)],
        outgoing=[[] for _ in range(blocks)],
        segments=[],
    )
    for number in range(blocks):
        layered.layers[rank[number]].append(number)
    bends: dict[tuple[int, Kind], list[int]] = {}
    for edge in sorted(edges, key=lambda edge: rank[edge.target]):
        trunk = bends.setdefault((edge.source, edge.kind), [edge.source])
        length = rank[edge.target] - rank[edge.source]
        while len(trunk) < length:
            bend = len(layered.rank)
            layered.rank.append(rank[edge.source] + len(trunk))
            layered.layers[layered.rank[bend]].append(bend)
            layered.incoming.append([])
            layered.outgoing.append([])
            _connect(layered, trunk[-1], bend, edge)
            trunk.append(bend)
        _connect(layered, trunk[length - 1], edge.target, edge)
    return layered


def _connect(layered: Layered, start: int, end: int, edge: Edge) -> None:
    layered.segments.append((start, end, edge.kind, edge.source))
    layered.outgoing[start].append(end)
    layered.incoming[end].append(start)


# --- the order within a layer ----------------------------------------------------------------------------------------


def _order(layered: Layered) -> None:
    """Sweeps to and fro: each vertex goes to the middle of its neighbours in the layer that was ordered before."""
    place = [0.0] * len(layered.rank)
    for members in layered.layers:
        _number(members, place)
    counts = len(layered.segments) <= COUNTED_UP_TO
    best, fewest = [list(members) for members in layered.layers], _crossings(layered, place) if counts else None
    for sweep in range(SWEEPS):
        if fewest == 0:
            break
        to_the_right = sweep % 2 == 0
        neighbours = layered.incoming if to_the_right else layered.outgoing
        for members in layered.layers if to_the_right else reversed(layered.layers):
            _sort(members, neighbours, place)
        if fewest is None:
            best = layered.layers
        elif (found := _crossings(layered, place)) < fewest:
            best, fewest = [list(members) for members in layered.layers], found
    layered.layers = best


def _sort(members: list[int], neighbours: Sequence[Sequence[int]], place: list[float]) -> None:
    """A vertex without neighbours keeps its place."""
    wanted: dict[int, float] = {}
    for vertex in members:
        others = neighbours[vertex]
        wanted[vertex] = sum(place[other] for other in others) / len(others) if others else place[vertex]
    members.sort(key=wanted.__getitem__)
    _number(members, place)


def _number(members: Sequence[int], place: list[float]) -> None:
    """Places from 0 to 1, so that layers of different sizes compare."""
    step = 1.0 / (len(members) + 1)
    for index, vertex in enumerate(members):
        place[vertex] = (index + 1) * step


def _crossings(layered: Layered, place: Sequence[float]) -> int:
    total = 0
    by_layer: dict[int, list[tuple[float, float]]] = {}
    for start, end, _, _ in layered.segments:
        by_layer.setdefault(layered.rank[start], []).append((place[start], place[end]))
    for pairs in by_layer.values():
        pairs.sort()
        seen: list[float] = []
        for index, (_, at) in enumerate(pairs):
            total += index - bisect_right(seen, at)
            insort(seen, at)
    return total
