"""From targets to the blocks of a drawing: one target each, or many whose needs and dependents are the same.

Two targets are twins when they need the same, come after the same, and the same waits for them. In a release of a
thousand targets most have twins; drawn as one block with a cell for each, edges are few and everything stays there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["needs", "after"]

FOLD_ABOVE_TARGETS = 60
FOLD_ABOVE_EDGES = 150
FOLD_FROM = 3
"""So many twins become one block, where there are more targets or edges than that."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a drawing needs to know of a target."""

    id: str
    application: str
    group: str
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


Structure = tuple[Wish, ...]
"""In the plan's order. All that the places in a drawing depend on: no state, no time."""


@dataclass(frozen=True, slots=True)
class Edge:
    """From a block to one that waits for it; both by their numbers."""

    source: int
    target: int
    kind: Kind

    def between(self, source: int, target: int) -> Edge:
        """The same edge, where the blocks have other numbers."""
        return Edge(source, target, self.kind)


@dataclass(frozen=True, slots=True)
class Folded:
    blocks: tuple[tuple[Wish, ...], ...]
    edges: tuple[Edge, ...]
    """Each pair of blocks once: where there are both kinds, as `needs`."""


def fold_twins(structure: Structure) -> Folded:
    """Edges to targets that aren't there are left out."""
    waits = _known_waits(structure)
    count = sum(len(before) for before in waits.values())
    folds = len(structure) > FOLD_ABOVE_TARGETS or count > FOLD_ABOVE_EDGES
    blocks = _twins(structure, waits) if folds else [(wish,) for wish in structure]
    number = {wish.id: place for place, block in enumerate(blocks) for wish in block}
    edges: dict[tuple[int, int], Kind] = {}
    for place, block in enumerate(blocks):
        for name, kind in waits[block[0].id].items():
            pair = (number[name], place)
            edges[pair] = "needs" if kind == "needs" else edges.get(pair, kind)
    return Folded(tuple(blocks), tuple(Edge(source, target, kind) for (source, target), kind in edges.items()))


def _known_waits(structure: Structure) -> dict[str, dict[str, Kind]]:
    known = {wish.id for wish in structure}
    return {
        wish.id: {name: kind for name, kind in _waits(wish) if name in known and name != wish.id} for wish in structure
    }


def _waits(wish: Wish) -> Iterable[tuple[str, Kind]]:
    yield from ((name, "after") for name in wish.after)
    yield from ((name, "needs") for name in wish.needs)  # the last one stays


def _twins(structure: Structure, waits: Mapping[str, Mapping[str, Kind]]) -> list[tuple[Wish, ...]]:
    dependents: dict[str, list[tuple[str, Kind]]] = {wish.id: [] for wish in structure}
    for name, before in waits.items():
        for other, kind in before.items():
            dependents[other].append((name, kind))
    alike: dict[object, list[Wish]] = {}
    for wish in structure:
        key = (frozenset(waits[wish.id].items()), frozenset(dependents[wish.id]))
        alike.setdefault(key, []).append(wish)
    return [block for twins in alike.values() for block in _split(twins)]


def _split(twins: Sequence[Wish]) -> list[tuple[Wish, ...]]:
    return [tuple(twins)] if len(twins) >= FOLD_FROM else [(wish,) for wish in twins]
