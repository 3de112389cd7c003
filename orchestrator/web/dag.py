"""The graph of a run as SVG: what needs what, how each target stands, and the chain that the end depends on.

Needs are solid, `after` is dashed. Colours and lines come from `assets/drawing.css`; each state has its glyph and its
word besides. Each target is a link with the id `node/…`, and can be replaced by itself as its state changes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

from orchestrator.core.model import Target
from orchestrator.core.scrub import without_secrets
from orchestrator.core.state import RunState, TargetRun
from orchestrator.web.dag_nodes import Node, node_markup
from orchestrator.web.dagplan import DagPlan, Spot, plan_dag
from orchestrator.web.folding import Structure, Wish
from orchestrator.web.html import Markup, join, tag
from orchestrator.web.links import element_id
from orchestrator.web.looks import words
from orchestrator.wording.facts import how_long, progress
from orchestrator.wording.text import one_line, plural
from orchestrator.wording.waiting import waits_for, why

CRITICAL_EDGES = "critical-edges"
"""The id of what is drawn over the edges of the critical path."""

BY_TAB = 60
"""So many targets can be reached by the tab key; of more, the table is the way."""


def dag_svg(state: RunState, now: float, *, critical: Sequence[str] = (), style: Markup | None = None) -> Markup:
    """The whole drawing.

    `now`: epoch seconds. `critical`: the chain that the run's end depends on, in its order. `style`: for a drawing
    that stands alone, in a file of its own; its nodes are no links then.
    """
    plan = plan_dag(structure_of(state))
    nodes = dag_nodes(state, now, critical=critical, linked=style is None)
    return tag(
        "svg",
        style,
        tag("title", _title(state)),
        tag("rect", class_="ground", width=plan.width, height=plan.height) if style is not None else None,
        tag("g", join(tag("path", class_=line.kind, d=line.path) for line in plan.lines), class_="edges"),
        critical_edges(state, critical),
        tag("path", class_="arrows", d=plan.arrows) if plan.arrows else None,
        join(
            tag(
                "g",
                tag("rect", class_="frame", x=f.x, y=f.y, width=f.width, height=f.height, rx=8),
                tag("text", f.heading, class_="heading", x=f.x + 9, y=f.y + 16),
            )
            for f in plan.frames
        ),
        join(nodes.values()),
        xmlns="http://www.w3.org/2000/svg",
        class_="dag",
        role="group",
        aria_label=_title(state),
        width=plan.width,
        height=plan.height,
        viewBox=f"0 0 {plan.width:.0f} {plan.height:.0f}",
    )


def dag_nodes(state: RunState, now: float, *, critical: Collection[str] = (), linked: bool = True) -> dict[str, Markup]:
    """Each target's element, by its id within the drawing. The parameters are those of `dag_svg`."""
    plan = plan_dag(structure_of(state))
    on_path = frozenset(critical)
    reachable = len(plan.spots) <= BY_TAB
    return {
        element_id("node", spot.id): node_markup(_node(spot, state, now, on_path), linked=linked, reachable=reachable)
        for spot in plan.spots
    }


def _node(spot: Spot, state: RunState, now: float, critical: Collection[str]) -> Node:
    target = state.targets[spot.id]
    return Node(
        spot=spot,
        state=target.state if state.run else None,
        status=_status(target, now) if spot.shape == "box" else "",
        tip=_tip(target, state) if state.run else one_line(target.id),
        critical=spot.id in critical,
    )


def critical_edges(state: RunState, critical: Sequence[str]) -> Markup:
    """What is drawn over the edges between the members of the chain."""
    plan = plan_dag(structure_of(state))
    ways = (_way(plan, start, end) for start, end in pairwise(critical))
    return tag("path", id=CRITICAL_EDGES, class_="critical", d="".join(way for way in ways if way) or "M0 0")


def structure_of(state: RunState) -> Structure:
    return tuple(
        Wish(each.id, each.application, each.deployment_group, each.needs, each.after)
        for each in state.targets.values()
    )


def planned(targets: Sequence[Target], *, release: str = "") -> RunState:
    """The state of no run: for the drawing of a manifest. It has no id, and its targets are drawn without states."""
    runs = {
        each.id: TargetRun(
            id=each.id,
            application=each.application,
            deployment_group=each.deployment_group,
            needs=each.needs,
            after=each.after,
        )
        for each in targets
    }
    return RunState(release=release, targets=runs)


def _title(state: RunState) -> str:
    count = plural(len(state.targets), "target")
    return (
        f"{one_line(state.release)}: {count}, and what waits for what" if state.release else f"{count}, by their needs"
    )


def _way(plan: DagPlan, start: str, end: str) -> str | None:
    """The path from one target to another one; by way of others where the edge between them isn't drawn."""
    first, last = plan.block_of.get(start, ""), plan.block_of.get(end, "")
    if (first, last) in plan.routes:
        return plan.routes[first, last]
    ways = {first: ""}
    for (source, target), path in plan.routes.items():  # those that leave a block come after those that lead to it
        if source in ways:
            ways.setdefault(target, ways[source] + path)
    return ways.get(last)


def _status(target: TargetRun, now: float) -> str:
    """The state, with what is known of it; nothing that changes with time alone."""
    parts = [words(target.state)]
    if target.state.is_final:
        parts.append(how_long(target, now))
    elif done := progress(target.overview):
        parts.append(done)
    return " · ".join(part for part in parts if part)


def _tip(target: TargetRun, state: RunState) -> str:
    waiting = waits_for(target, state)
    more = f"waits for {waiting}" if waiting else why(target)
    return f"{one_line(target.id)}: {words(target.state)}" + (
        f"; {without_secrets(one_line(more, 200))}" if more else ""
    )
