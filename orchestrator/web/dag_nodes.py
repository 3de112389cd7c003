"""One target in the graph. Made from plain values, and remembered by them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from orchestrator.core.model import TargetState
from orchestrator.web.dagplan import Spot
from orchestrator.web.html import NOTHING, Markup, tag
from orchestrator.web.links import element_id, target_anchor
from orchestrator.web.looks import glyph


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    spot: Spot
    state: TargetState | None
    """None: of a manifest, which has no states."""
    status: str
    """Below the name, where there is room."""
    tip: str
    critical: bool


@lru_cache(maxsize=1 << 13)
def node_markup(node: Node, *, linked: bool, reachable: bool) -> Markup:
    """Pure; remembered, since most targets stay as they are from one drawing to the next.

    `linked`: it leads to its details. `reachable`: also by the tab key; of very many, the table is the way.
    """
    spot = node.spot
    look = f" s-{node.state}" if node.state is not None else ""
    return tag(
        "a" if linked else "g",
        tag("title", node.tip),
        tag("rect", width=spot.width, height=spot.height, rx=3 if spot.shape == "cell" else 6),
        *_inside(node),
        id=element_id("node", spot.id),
        href=target_anchor(spot.id) if linked else None,
        class_=f"node {spot.shape}{look}{' critical' if node.critical else ''}",
        transform=f"translate({spot.x:.1f} {spot.y:.1f})",
        tabindex=None if reachable or not linked else -1,
    )


def _inside(node: Node) -> tuple[Markup, ...]:
    spot, state = node.spot, node.state
    middle = spot.height / 2
    if state is None:
        return () if spot.shape == "cell" else (_label(spot, 14, middle + 4.5),)
    match spot.shape:
        case "cell":
            return (glyph(state, middle, middle),)
        case "box":
            band = tag("rect", class_="band", width=24, height=spot.height, rx=6)
            status = tag("text", node.status, class_="status", x=32, y=36)
            return (band, glyph(state, 12, middle), _label(spot, 32, 19), status)
        case _:
            return (glyph(state, 11, middle), _label(spot, 22, middle + 4))


def _label(spot: Spot, x: float, y: float) -> Markup:
    faint = tag("tspan", spot.faint, class_="faint") if spot.faint else NOTHING
    return tag("text", faint, spot.label, class_="label", x=x, y=y)
