"""The table of all targets, which says in words what the drawings show, and the buttons that choose among them."""

from __future__ import annotations

from orchestrator.core.model import TargetState
from orchestrator.core.state import TargetRun
from orchestrator.web.heading import tally
from orchestrator.web.html import Content, Markup, join, tag
from orchestrator.web.links import element_id, target_anchor, target_url
from orchestrator.web.looks import words
from orchestrator.web.picture import Picture
from orchestrator.web.pieces import scrollable, state_word
from orchestrator.wording.facts import ORDER, how_long, progress
from orchestrator.wording.text import duration, one_line
from orchestrator.wording.waiting import waits_for, why

COLUMNS = ("State", "Target", "Instances", "Time", "Deployment", "What for, or why")


def chooser(picture: Picture) -> Markup:
    """A button for each state that shows only its targets, in the table as in the drawings. Needs no script."""
    every = tag("label", _radio("show-all", checked=True), tag("span", "all"), class_="choice")
    states = (
        tag(
            "label",
            _radio(f"show-{state}"),
            tag("span", words(state), " ", tally(picture, state), class_=f"state s-{state}"),
            class_="choice",
        )
        for state in ORDER
    )
    return tag("fieldset", tag("legend", "Show"), every, join(states), class_="chooser")


def _radio(name: str, *, checked: bool = False) -> Markup:
    return tag("input", type="radio", name="show", id=name, checked=checked)


def targets_table(picture: Picture) -> Markup:
    head = tag("tr", join(tag("th", name, scope="col") for name in COLUMNS))
    rows = join(target_row(target, picture) for target in _ordered(picture))
    caption = tag("caption", "Targets", class_="unseen")
    return scrollable(tag("table", caption, tag("thead", head), tag("tbody", rows), id="table"), "Targets")


def _ordered(picture: Picture) -> list[TargetRun]:
    """In the plan's order as long as rows change, so that none of them moves; at the end trouble first."""
    targets = list(picture.state.targets.values())
    return sorted(targets, key=lambda target: ORDER.index(target.state)) if picture.state.is_finished else targets


def target_row(target: TargetRun, picture: Picture) -> Markup:
    href = target_anchor(target.id) if picture.inline else target_url(picture.view.run, target.id)
    waiting = waits_for(target, picture.state)
    return tag(
        "tr",
        tag("td", state_word(target.state)),
        tag("th", tag("a", one_line(target.id), href=href), scope="row"),
        tag("td", *_instances(target)),
        tag("td", _time(target, picture)),
        tag("td", tag("code", target.deployment_id) if target.deployment_id else None),
        tag("td", f"waits for {waiting}" if waiting else why(target)),
        id=None if picture.inline else element_id("target", target.id),
        data_target=one_line(target.id),
        data_state=str(target.state),
    )


def _instances(target: TargetRun) -> tuple[Content, ...]:
    shown = progress(target.overview)
    if not shown or target.state.is_final:
        return (shown,)
    total = sum(target.overview.values())
    done = total - target.overview.get("Pending", 0) - target.overview.get("InProgress", 0)
    return (tag("progress", value=done, max=total, aria_label=f"Instances of {one_line(target.id)}"), " ", shown)


def _time(target: TargetRun, picture: Picture) -> str:
    took = how_long(target, picture.now)
    left = picture.forecast.remaining.get(target.id)
    if target.state is TargetState.RUNNING and left:
        return f"{took}, ~{duration(left)} left"
    return took
