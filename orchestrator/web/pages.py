"""Whole pages, and the parts of a run's page that a live one replaces as events come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.core.runs import RunSummary
from orchestrator.web.assets import asset_url
from orchestrator.web.dag import CRITICAL_EDGES, critical_edges, dag_nodes
from orchestrator.web.details import sections_of
from orchestrator.web.happened import EVENTS, events_list
from orchestrator.web.heading import attention, clock, status, tally, title_of
from orchestrator.web.html import Markup, document, join, tag
from orchestrator.web.links import RUNS, element_id, run_url
from orchestrator.web.picture import Picture, picture_of
from orchestrator.web.pieces import section
from orchestrator.web.run_sections import upper_half
from orchestrator.web.run_table import run_table
from orchestrator.web.targets import target_row
from orchestrator.web.troubles import troubles
from orchestrator.web.view import RunView
from orchestrator.wording.facts import ORDER
from orchestrator.wording.text import one_line

DETAILS = "details"
"""The id of the element that holds the details of one target."""


# --- the list of runs ------------------------------------------------------------------------------------------------


def runs_page(
    summaries: Sequence[RunSummary],
    *,
    where: str = "",
    problem: str | None = None,
    events: str | None = None,
) -> str:
    """The list of runs, newest first.

    `where`: the place that they are kept in. `problem`: why it can't be read. `events`: as in `run_page`.
    """
    inside = runs_content(summaries, where=where, problem=problem)
    main = tag("main", inside, id="main", data_events=events)
    return document(join([_top(), main]), head=_head("Runs", script=events is not None))


def runs_content(summaries: Sequence[RunSummary], *, where: str = "", problem: str | None = None) -> Markup:
    """All that stands in `main`; a live page replaces it as a whole."""
    return run_table(summaries, where=where, problem=problem)


def message_page(title: str, message: str, hint: str | None = None) -> str:
    """What a server says instead of a page: that there is no such run, that the state can't be read."""
    said = [tag("h1", title), tag("p", message), tag("p", hint, class_="note") if hint else None]
    return document(join([_top(), tag("main", *said, id="main")]), head=_head(title))


# --- a run -----------------------------------------------------------------------------------------------------------


def run_page(view: RunView, now: float, *, events: str | None = None, target: str | None = None) -> str:
    """The page of a run. `events`: the URL of the EventSource that it follows; None: it follows none.

    `target`: whose details are open.
    """
    main = tag(
        "main",
        content(view, now, target=target),
        id="main",
        data_run=view.run,
        data_seq=view.state.last_seq,
        data_events=events,
    )
    return document(join([_top("targets"), main]), head=_head(title_of(view.state, view.run), script=True))


def content(view: RunView, now: float, *, target: str | None = None) -> Markup:
    """All that stands in `main`: what a live page replaces as a whole when `shape` has changed."""
    picture = picture_of(view, now)
    opened = target is not None and target in view.state.targets
    return join(
        [
            upper_half(picture),
            section("events", "Events", events_list(picture), note="The last ones; the journal has all of them."),
            target_fragment(view, target, now) if target is not None and opened else _no_details(),
        ]
    )


def shape(view: RunView, now: float) -> str:
    """Changes when `fragments` alone no longer bring an older page up to date: then `content` has to be sent."""
    axis = picture_of(view, now).gantt.chart.axis
    over = view.state.is_finished, view.state.ended_at is not None
    return f"{view.run} {len(view.state.targets)} {over} {axis.start} {axis.end} {axis.step}"


def fragments(view: RunView, now: float) -> Mapping[str, Markup]:
    """The elements that change as events come, by their ids: each replaces the element that has the id.

    No one of them lies within another one. `now` is epoch seconds; what only tells the time changes with it.
    """
    picture = picture_of(view, now)
    return {
        "status": status(picture),
        "clock": clock(picture),
        "attention": attention(picture),
        "failures": troubles(picture),
        EVENTS: events_list(picture),
        **_of_targets(picture),
    }


def _of_targets(picture: Picture) -> Mapping[str, Markup]:
    """What changes in the table and in the drawings; a run without targets has none of them."""
    state, critical = picture.state, picture.forecast.critical
    if not state.targets:
        return {}
    return {
        **{f"tally/{each}": tally(picture, each) for each in ORDER},
        **{element_id("target", each.id): target_row(each, picture) for each in state.targets.values()},
        **dag_nodes(state, picture.now, critical=critical),
        CRITICAL_EDGES: critical_edges(state, critical),
        **picture.gantt.parts(),
    }


def target_fragment(view: RunView, target: str, now: float) -> Markup:
    """The details of one target, in the element with the id `details`. Raises KeyError for none of this run."""
    picture = picture_of(view, now)
    parts = sections_of(view.state.targets[target], picture)
    inside = join(join([tag("h3", title) if title else None, body]) for title, body in parts if body)
    close = tag("a", "Close", href=run_url(view.run), class_="close", data_close=True)
    heading = tag("h2", one_line(target), id="details-title", tabindex=-1)
    return tag(
        "section",
        close,
        heading,
        inside,
        id=DETAILS,
        data_target=one_line(target),
        aria_labelledby="details-title",
    )


def _no_details() -> Markup:
    return tag("section", id=DETAILS, hidden=True, aria_label="Details")


# --- around it -------------------------------------------------------------------------------------------------------


def _top(skip_to: str = "") -> Markup:
    """`skip_to`: the id and the name of what people come for; empty: all that the page says."""
    skip = tag("a", f"Skip to the {skip_to or 'content'}", href=f"#{skip_to or 'main'}", class_="skip")
    nav = tag("nav", tag("a", "Orchestrator", href=RUNS, class_="home"), tag("a", "Runs", href=RUNS), aria_label="Site")
    return tag("header", skip, nav, class_="site")


def _head(title: str, *, script: bool = False) -> Markup:
    return join(
        [
            tag("meta", charset="utf-8"),
            tag("title", one_line(title)),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("link", rel="stylesheet", href=asset_url("style.css")),
            tag("link", rel="stylesheet", href=asset_url("drawing.css")),
            tag("link", rel="icon", href=asset_url("icon.svg")),
            tag("link", rel="stylesheet", href=asset_url("live.css")) if script else None,
            tag("script", src=asset_url("page.js"), defer=True) if script else None,
        ]
    )
