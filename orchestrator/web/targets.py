"""The table of all targets, which says in words what the drawings show, and the buttons that choose among them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from orchestrator.core.model import TargetState
from orchestrator.core.scrub import without_secrets
from orchestrator.core.state import TargetRun
from orchestrator.web.heading import tally
from orchestrator.web.html import Markup, join, tag
from orchestrator.web.links import element_id, target_anchor, target_url
from orchestrator.web.looks import words
from orchestrator.web.picture import Picture
from orchestrator.web.pieces import scrollable, state_word
from orchestrator.wording.estimates import left
from orchestrator.wording.facts import ORDER, how_long, progress
from orchestrator.wording.text import one_line
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
    waiting = waits_for(target, picture.state)
    row = _Row(
        id=target.id,
        run=picture.view.run,
        state=target.state,
        done=_done(target),
        progress=progress(target.overview),
        time=_time(target, picture),
        deployment_id=target.deployment_id or "",
        why=without_secrets(f"waits for {waiting}" if waiting else why(target)),
        inline=picture.inline,
    )
    return _markup(row)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    id: str
    run: str
    state: TargetState
    done: tuple[int, int] | None
    """Instances that are done, of how many; None: it isn't worth a bar."""
    progress: str
    time: str
    deployment_id: str
    why: str
    inline: bool


@lru_cache(maxsize=1 << 13)
def _markup(row: _Row) -> Markup:
    """Pure; remembered, since most rows stay as they are from one drawing to the next."""
    href = target_anchor(row.id) if row.inline else target_url(row.run, row.id)
    name = one_line(row.id)
    bar = None
    if row.done is not None:
        bar = join([tag("progress", value=row.done[0], max=row.done[1], aria_label=f"Instances of {name}"), " "])
    return tag(
        "tr",
        tag("td", state_word(row.state)),
        tag("th", tag("a", name, href=href), scope="row"),
        tag("td", bar, row.progress),
        tag("td", row.time),
        tag("td", tag("code", row.deployment_id) if row.deployment_id else None),
        tag("td", row.why),
        id=None if row.inline else element_id("target", row.id),
        data_target=name,
        data_state=str(row.state),
    )


def _done(target: TargetRun) -> tuple[int, int] | None:
    total = sum(target.overview.values())
    if target.state.is_final or not total:
        return None
    return total - target.overview.get("Pending", 0) - target.overview.get("InProgress", 0), total


def _time(target: TargetRun, picture: Picture) -> str:
    took = how_long(target, picture.now)
    remaining = picture.forecast.remaining.get(target.id)
    if target.state is TargetState.RUNNING and remaining:
        return f"{took}, {left(remaining)}"
    return took
