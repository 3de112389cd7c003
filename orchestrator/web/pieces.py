"""Small parts that all sections are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from orchestrator.core.model import TargetState
from orchestrator.core.scrub import without_secrets
from orchestrator.core.state import RunState
from orchestrator.web.html import Content, Markup, join, tag
from orchestrator.web.links import target_anchor
from orchestrator.web.looks import words
from orchestrator.wording.text import clock_time, one_line


def moment(seconds: float, *, whole: bool = True) -> Markup:
    """A point in time, in UTC; only its clock time unless `whole`."""
    stamp = datetime.fromtimestamp(seconds, UTC)
    shown = stamp.strftime("%Y-%m-%d %H:%M:%S") + " UTC" if whole else clock_time(seconds, UTC)
    return tag("time", shown, datetime=stamp.isoformat(timespec="seconds"))


def state_word(state: TargetState) -> Markup:
    """The state by its word; its class gives colour and glyph."""
    return tag("span", words(state), class_=f"state s-{state}")


def outcome_word(word: str) -> Markup:
    """An outcome of a run, or `died`, `left running`, `unreadable`."""
    return tag("span", word.replace("_", " "), class_=f"state outcome o-{word.replace(' ', '_')}")


def target_link(name: str) -> Markup:
    return tag("a", one_line(name), href=target_anchor(name))


def target_list(names: Iterable[str], state: RunState) -> Markup:
    """Each with its state, where the run knows of it."""
    items = (
        tag("li", target_link(name), " ", state_word(state.targets[name].state))
        if name in state.targets
        else tag("li", one_line(name))
        for name in names
    )
    return tag("ul", join(items), class_="targets")


def facts(pairs: Iterable[tuple[str, Content]]) -> Markup:
    """Names and what is known; what is None or empty is left out."""
    return tag("dl", join(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs if value))


def command(*parts: str) -> Markup:
    """Something to type, or to copy."""
    return tag("code", " ".join(parts), class_="command")


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[Content]], *, class_: str = "") -> Markup:
    """With a header for each column; the first cell of each row is its header."""
    head = tag("tr", join(tag("th", column, scope="col") for column in columns))
    body = join(tag("tr", tag("th", row[0], scope="row"), join(tag("td", cell) for cell in row[1:])) for row in rows)
    inside = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", body), class_=class_ or None)
    return scrollable(inside, caption)


def log(text: str, label: str) -> Markup:
    """Lines as they were written; more of them than fit can be scrolled to, also with the keyboard."""
    return tag("pre", without_secrets(text), role="group", aria_label=label, tabindex=0)


def scrollable(inside: Markup, label: str, **attributes: str) -> Markup:
    """Something that may be wider than the page. It can be scrolled with the keyboard, too."""
    return tag("div", inside, class_="scroll", role="group", aria_label=label, tabindex=0, **attributes)


def section(name: str, title: str, *children: Content, note: Content = None) -> Markup:
    """A part of the page with a heading, known by the id `name`."""
    heading = tag("h2", title, id=f"{name}-title")
    below = tag("p", note, class_="note") if note else None
    return tag("section", heading, below, *children, id=name, aria_labelledby=f"{name}-title")
