"""A run as one file: everything is in it, nothing is loaded, no script is needed. For a CI artifact, and for print."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

from orchestrator.core.state import TargetRun
from orchestrator.web.details import sections_of
from orchestrator.web.happened import events_list
from orchestrator.web.heading import clock, status, title_of
from orchestrator.web.html import NOTHING, Markup, document, join, stylesheet, tag
from orchestrator.web.links import element_id
from orchestrator.web.picture import Picture, picture_of
from orchestrator.web.pieces import moment, scrollable, section, state_word
from orchestrator.web.run_sections import upper_half
from orchestrator.web.view import RunView
from orchestrator.wording.text import one_line

EVENTS_KEPT = 5000
"""How many events a chronicle should keep for a report."""


def report(view: RunView, now: float, *, css: str, version: str) -> str:
    """The document. `now`: epoch seconds, when it is written. `css`: the sheets that go into it."""
    picture = picture_of(view, now, inline=True)
    made = tag("footer", "Written by orchestrator ", version, " at ", moment(now), ".")
    main = tag(
        "main",
        upper_half(picture),
        _rollback(view, now),
        _every_target(picture),
        section("events", "Events", events_list(picture)),
        id="main",
    )
    skip = tag("a", "Skip to the targets", href="#targets", class_="skip")
    return document(join([skip, main, made]), head=_head(title_of(view.state, view.run), css), class_="report")


def _every_target(picture: Picture) -> Markup:
    if not picture.state.targets:
        return NOTHING
    items = join(_one(target, picture) for target in picture.state.targets.values())
    return section("each", "Each target", items, note="Open one to see all that is known of it.")


def _one(target: TargetRun, picture: Picture) -> Markup:
    """Its id is inside of what is folded away: a browser that is led there unfolds it."""
    parts = sections_of(target, picture)
    inside = join(join([tag("h3", title) if title else None, body]) for title, body in parts if body)
    summary = tag("summary", tag("span", one_line(target.id), class_="name"), " ", state_word(target.state))
    return tag("details", summary, tag("div", inside, id=element_id("target", target.id)))


def _rollback(view: RunView, now: float) -> Markup:
    """The run that put back what this one had changed, in short: its targets are those of this run."""
    if view.rollback is None:
        return NOTHING
    back = picture_of(view.rollback, now, inline=True, second=True)
    chart = back.gantt.svg() if back.state.targets else NOTHING
    inside = [status(back, id_=None), clock(back, id_=None), scrollable(chart, "The rollback in time")]
    return section("rollback", f"Rollback: run {one_line(view.rollback.run)}", *inside)


def _head(title: str, css: str) -> Markup:
    """Only the one style sheet is obeyed, whatever else might have got in."""
    digest = b64encode(sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return join(
        [
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=policy),
            tag("title", title),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            stylesheet(css),
        ]
    )
