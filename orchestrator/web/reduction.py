"""Edges that say nothing new are left out of a drawing.

Who needs a canary that needs the database waits for the database anyway; a manifest often says so twice, since the
needs of an application are those of each of its groups. An edge is left out where a chain of `needs` implies it.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.web.folding import Edge
from orchestrator.web.layering import topological


def without_implied(blocks: int, edges: Sequence[Edge]) -> tuple[Edge, ...]:
    """In their order. Sets of blocks are integers here, a bit for each."""
    order, edges = topological(blocks, edges)
    needs: list[list[int]] = [[] for _ in range(blocks)]
    for edge in edges:
        if edge.kind == "needs":
            needs[edge.target].append(edge.source)
    behind = [0] * blocks
    """What each needs, at however many removes."""
    further = [0] * blocks
    """Of that what it needs by way of others."""
    for number in order:
        for source in needs[number]:
            further[number] |= behind[source]
            behind[number] |= behind[source] | 1 << source
    return tuple(edge for edge in edges if not _implied(edge, behind, further))


def _implied(edge: Edge, behind: Sequence[int], further: Sequence[int]) -> bool:
    known = further[edge.target] if edge.kind == "needs" else behind[edge.target]
    return bool(known >> edge.source & 1)
