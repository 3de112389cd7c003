"""The list of events, the newest first."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.core.scrub import without_secrets
from orchestrator.web.chronicle import Told
from orchestrator.web.html import Markup, join, tag
from orchestrator.web.picture import Picture
from orchestrator.web.pieces import moment, target_link
from orchestrator.wording.text import one_line

EVENTS = "event-list"


def events_list(picture: Picture) -> Markup:
    told = picture.view.told
    items = join(event_item(each, picture) for each in reversed(told))
    return tag("ol", items, id=EVENTS, class_="events") if told else tag("p", "Nothing yet.", id=EVENTS)


def events_about(target: str, told: Iterable[Told], picture: Picture) -> Markup | None:
    """Of what is remembered; None: nothing."""
    items = [event_item(each, picture, short=True) for each in reversed(list(told)) if each.phrase.about == target]
    return tag("ol", join(items), class_="events") if items else None


def event_item(told: Told, picture: Picture, *, short: bool = False) -> Markup:
    """`short`: it is known whom it is about."""
    about = told.phrase.about
    known = about in picture.state.targets
    who = None if short or not about else target_link(about) if known else one_line(about)
    below = tag("pre", without_secrets("\n".join(told.phrase.below))) if told.phrase.below else None
    said = tag("div", without_secrets(told.phrase.text), below, class_="said")
    return tag(
        "li",
        moment(told.ts, whole=False),
        " ",
        who,
        " " if who else None,
        said,
        class_="urgent" if told.phrase.urgent else None,
    )
