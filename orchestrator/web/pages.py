"""Whole pages, and the parts of a run's page that a live one replaces as events come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.core.runs import RunSummary
from orchestrator.web.assets import asset_url
from orchestrator.web.details import details_of
from orchestrator.web.html import Markup, document, join, tag
from orchestrator.web.links import RUNS, element_id, run_url
from orchestrator.web.sections import events_list, failures, moment, status_line, target_row, targets_table
from orchestrator.web.view import RunView
from orchestrator.wording.runs import how
from orchestrator.wording.text import one_line


def runs_page(summaries: Sequence[RunSummary], now: float, *, where: str = "", events: str | None = None) -> str:
    """The list of runs, newest first. `where`: the place that they are kept in; `events`: as in `run_page`."""
    body = tag("main", runs_content(summaries, now, where=where), id="main", data_events=events)
    return document(body, head=_head("Runs", script=events is not None))


def runs_content(summaries: Sequence[RunSummary], now: float, *, where: str = "") -> Markup:
    """All that stands in `main`; a live page replaces it as a whole."""
    del now
    columns = ("Run", "Started", "State", "Environment", "Release")
    head = tag("tr", join(tag("th", name, scope="col") for name in columns))
    rows = join(
        tag(
            "tr",
            tag("th", tag("a", run.run, href=run_url(run.run)), scope="row"),
            tag("td", moment(run.started_at)),
            tag("td", how(run)),
            tag("td", run.environment),
            tag("td", one_line(run.problem or run.release)),
        )
        for run in summaries
    )
    table = tag("table", tag("thead", head), tag("tbody", rows))
    return join([tag("h1", "Runs"), tag("p", where), table if summaries else tag("p", "no runs yet")])


def message_page(title: str, message: str, hint: str | None = None) -> str:
    """What a server says instead of a page: that there is no such run, that the state can't be read."""
    back = tag("nav", tag("a", "Runs", href=RUNS), aria_label="Site")
    body = tag("main", tag("h1", title), tag("p", message), tag("p", hint) if hint else None, id="main")
    return document(join([back, body]), head=_head(title))


def run_page(view: RunView, now: float, *, events: str | None = None, target: str | None = None) -> str:
    """The page of a run. `events`: the URL of the EventSource that it follows; None: it follows none.

    `target`: whose details are open.
    """
    back = tag("nav", tag("a", "Runs", href=RUNS), aria_label="Site")
    body = tag(
        "main",
        content(view, now, target=target),
        id="main",
        data_run=view.run,
        data_seq=view.state.last_seq,
        data_events=events,
    )
    return document(join([back, body]), head=_head(view.run, script=True))


def content(view: RunView, now: float, *, target: str | None = None) -> Markup:
    """All that stands in `main`: what a live page replaces as a whole when `shape` has changed."""
    return join(
        [
            tag("h1", one_line(view.state.release or view.run)),
            status_line(view, now),
            failures(view.state),
            tag("section", tag("h2", "Targets"), targets_table(view.state, now, view.run)),
            target_fragment(view, target, now) if target is not None else tag("article", id="details", hidden=True),
            tag("section", tag("h2", "Events"), events_list(view)),
        ]
    )


def shape(view: RunView, now: float) -> str:
    """Changes when `fragments` alone no longer bring an older page up to date: then `content` has to be sent."""
    del now
    return f"{view.run} {len(view.state.targets)} {view.problem is None}"


def fragments(view: RunView, now: float) -> Mapping[str, Markup]:
    """The elements that change as events come, by their ids: each replaces the element that has the id.

    No one of them lies within another one. `now` is epoch seconds; what only tells the time changes with it.
    """
    state = view.state
    found = {"status": status_line(view, now), "failures": failures(state), "event-list": events_list(view)}
    rows = state.targets.values()
    return found | {element_id("target", each.id): target_row(each, state, now, view.run) for each in rows}


def target_fragment(view: RunView, target: str, now: float) -> Markup:
    """The details of one target, in the element with the id `details`. Raises KeyError for none of this run."""
    return details_of(view, view.state.targets[target], now)


def _head(title: str, *, script: bool = False) -> Markup:
    return join(
        [
            tag("meta", charset="utf-8"),
            tag("title", one_line(title)),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("link", rel="stylesheet", href=asset_url("style.css")),
            tag("script", src=asset_url("page.js"), defer=True) if script else None,
        ]
    )
