"""The ways of edges through a drawing that is laid out, as SVG paths."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.web.folding import Kind
from orchestrator.web.layering import Layered
from orchestrator.web.placing import Placed

MARGIN = 12.0
"""Pixels around the drawing."""
ARROW = 7.0
"""The length of an edge's head."""


class Router:
    """Paths along the bends. A block is left in the middle of its right side and reached in the middle of its left."""

    def __init__(
        self, layered: Layered, placed: Placed, corners: Sequence[tuple[float, float]], widths: Sequence[float]
    ) -> None:
        self._layered = layered
        self._placed = placed
        self._corners = corners
        self._widths = widths

    def lines(self) -> dict[tuple[int, Kind], str]:
        found: dict[tuple[int, Kind], list[str]] = {}
        for start, end, kind, source in self._layered.segments:
            found.setdefault((source, kind), []).append(self._hop(start, end))
        return {key: "".join(hops) for key, hops in found.items()}

    def routes(self) -> dict[tuple[int, int], str]:
        """From each block to each that waits for it."""
        trunk: dict[int, str] = {}
        found: dict[tuple[int, int], str] = {}
        for start, end, _, source in self._layered.segments:  # from left to right along each trunk
            way = trunk.get(start, "") + self._hop(start, end)
            if end >= self._layered.blocks:
                trunk[end] = way
            else:
                found.setdefault((source, end), way)
        return found

    def arrows(self) -> str:
        reached = {end for _, end, _, _ in self._layered.segments if end < self._layered.blocks}
        return "".join(self._arrow(end) for end in sorted(reached))

    def _arrow(self, block: int) -> str:
        x, y = self._corners[block][0], self._y(block)
        return f"M{x - ARROW:.1f} {y - 4:.1f}L{x - 0.5:.1f} {y:.1f}L{x - ARROW:.1f} {y + 4:.1f}z"

    def _hop(self, start: int, end: int) -> str:
        """Across one gap between layers, and on to the far rim of the layer where it is a bend."""
        rank = self._layered.rank[start]
        x1, x2 = MARGIN + self._placed.right[rank], MARGIN + self._placed.left[rank + 1]
        y1, y2 = self._y(start), self._y(end)
        is_block = start < self._layered.blocks
        begin = self._corners[start][0] + self._widths[start] if is_block else x1
        half = (x1 + x2) / 2
        path = f"M{begin:.1f} {y1:.1f}H{x1:.1f}" if begin < x1 else f"M{x1:.1f} {y1:.1f}"
        last = x2 - ARROW + 1 if end < self._layered.blocks else x2
        path += (
            f"H{last:.1f}" if abs(y1 - y2) < 0.05 else f"C{half:.1f} {y1:.1f} {half:.1f} {y2:.1f} {last:.1f} {y2:.1f}"
        )
        if end >= self._layered.blocks:
            path += f"H{MARGIN + self._placed.right[rank + 1]:.1f}"
        return path

    def _y(self, vertex: int) -> float:
        return self._placed.middle[vertex] + MARGIN
