"""The sections of a run that page and report have in common: the graph, the time, the table."""

from __future__ import annotations

from orchestrator.web.dag import dag_svg
from orchestrator.web.heading import about, attention, clock, status
from orchestrator.web.html import NOTHING, Markup, join, tag
from orchestrator.web.picture import Picture
from orchestrator.web.pieces import scrollable, section
from orchestrator.web.targets import chooser, targets_table
from orchestrator.web.troubles import troubles
from orchestrator.wording.text import plural

_LEGEND = (
    ("needs", "waits"),
    ("upload", "bundle, start"),
    ("running", "deployment"),
    ("attempt", "failed attempt"),
    ("baking", "bake"),
    ("rolling_back", "rollback"),
    ("expected", "expected"),
)


def upper_half(picture: Picture) -> Markup:
    """From the head to the table."""
    head = tag("header", about(picture), status(picture), clock(picture), class_="run")
    drawings = (graph(picture), timeline(picture))
    choice = chooser(picture) if picture.state.targets else None
    return join([head, choice, attention(picture), troubles(picture), *drawings, whole_table(picture)])


def graph(picture: Picture) -> Markup:
    """Empty for a run without targets."""
    if not picture.state.targets:
        return NOTHING
    drawing = dag_svg(picture.state, picture.now, critical=picture.forecast.critical)
    fit = tag("label", tag("input", type="checkbox", id="fit-graph"), " fit to the width", class_="fit")
    note = "Solid: needs, without those that follow from others. Dashed: only the order. Thick: what decides the end."
    return section("graph", "Graph", fit, scrollable(drawing, "Graph of the targets"), note=note)


def timeline(picture: Picture) -> Markup:
    """The same."""
    if not picture.state.targets:
        return NOTHING
    drawing = picture.gantt.svg()
    legend = tag("ul", join(tag("li", _sample(kind), name) for kind, name in _LEGEND), class_="legend")
    return section("timeline", "Time", legend, scrollable(drawing, "The targets in time"), note="Times are UTC.")


def _sample(kind: str) -> Markup:
    """A piece of a bar."""
    thin = kind in {"needs", "upload"}
    bar = tag(
        "rect",
        class_=f"span {kind}",
        x=1,
        y=5 if thin else 2,
        width=22,
        height=2 if kind == "needs" else 4 if thin else 10,
    )
    return tag(
        "svg", bar, class_="gantt sample s-running", width=24, height=14, viewBox="0 0 24 14", aria_hidden="true"
    )


def whole_table(picture: Picture) -> Markup:
    count = len(picture.state.targets)
    if not count:
        return section("targets", "Targets", tag("p", "This run has no targets."))
    return section("targets", plural(count, "target").capitalize(), targets_table(picture))
