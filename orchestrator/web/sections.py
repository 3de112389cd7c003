"""The parts of a run's page that are text: how it stands, what failed, what waits, the table of targets, the events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from orchestrator.core.model import TargetState
from orchestrator.core.outcome import FAILURES, outcome_of
from orchestrator.core.state import RunState, TargetRun
from orchestrator.web.chronicle import Told
from orchestrator.web.html import Markup, join, tag
from orchestrator.web.links import element_id, target_anchor, target_url
from orchestrator.web.view import RunView
from orchestrator.wording.facts import ORDER, how_long, progress, state_counts
from orchestrator.wording.text import clock_time, duration, one_line, plural
from orchestrator.wording.waiting import waits_for, why

COLUMNS = ("State", "Target", "Instances", "Time", "Deployment", "Why")


# --- times -----------------------------------------------------------------------------------------------------------


def moment(seconds: float, *, whole: bool = True) -> Markup:
    """A point in time, in UTC; only its clock time unless `whole`."""
    stamp = datetime.fromtimestamp(seconds, UTC)
    shown = stamp.strftime("%Y-%m-%d %H:%M:%S") + " UTC" if whole else clock_time(seconds, UTC)
    return tag("time", shown, datetime=stamp.isoformat(timespec="seconds"))


def state_word(state: TargetState) -> Markup:
    """The state by word, and by a class for its colour and glyph."""
    return tag("span", str(state).replace("_", " "), class_=f"state s-{state}")


# --- how it stands ---------------------------------------------------------------------------------------------------


def status_line(view: RunView, now: float) -> Markup:
    """The outcome, the counts and the time that it took or takes: the live region of the page."""
    state = view.state
    outcome = state.outcome if state.is_finished else outcome_of(state)
    word = "died" if outcome == "running" and not view.alive and state.detached is None else str(outcome)
    end = state.ended_at if state.ended_at is not None else now
    took = duration(end - state.started_at) if state.started_at is not None else ""
    return tag(
        "p",
        tag("strong", word.replace("_", " "), class_=f"outcome o-{word}"),
        " ",
        state_counts(state) or "no targets",
        f", {took}" if took else None,
        f"; nothing new starts: {one_line(state.why_closed)}" if state.why_closed else None,
        id="status",
        role="status",
    )


# --- the table of targets --------------------------------------------------------------------------------------------


def targets_table(state: RunState, now: float, run: str) -> Markup:
    head = tag("tr", join(tag("th", name, scope="col") for name in COLUMNS))
    rows = join(target_row(target, state, now, run) for target in sorted(state.targets.values(), key=_rank))
    return tag("table", tag("caption", "Targets", class_="unseen"), tag("thead", head), tag("tbody", rows), id="table")


def target_row(target: TargetRun, state: RunState, now: float, run: str) -> Markup:
    waiting = waits_for(target, state)
    link = tag("a", one_line(target.id), href=target_url(run, target.id))
    return tag(
        "tr",
        tag("td", state_word(target.state)),
        tag("th", link, scope="row"),
        tag("td", progress(target.overview)),
        tag("td", how_long(target, now)),
        tag("td", tag("code", target.deployment_id) if target.deployment_id else None),
        tag("td", f"waits for {waiting}" if waiting else why(target)),
        id=element_id("target", target.id),
        class_=f"s-{target.state}",
        data_target=target.id,
        data_state=str(target.state),
    )


def _rank(target: TargetRun) -> int:
    return ORDER.index(target.state)


# --- what failed -----------------------------------------------------------------------------------------------------


def failures(state: RunState) -> Markup:
    failed = [target for target in state.targets.values() if target.state in FAILURES]
    items = [tag("li", _link(target), " ", state_word(target.state), " ", why(target)) for target in failed]
    inner = [tag("h2", f"{plural(len(failed), 'target')} failed"), tag("ul", join(items))] if failed else []
    return tag("section", join(inner), id="failures", hidden=not failed)


def _link(target: TargetRun) -> Markup:
    return tag("a", one_line(target.id), href=target_anchor(target.id))


# --- events ----------------------------------------------------------------------------------------------------------


def events_list(view: RunView) -> Markup:
    return tag("ol", join(_events(view.told)), id="event-list")


def _events(told: Sequence[Told]) -> Iterator[Markup]:
    for each in reversed(told):
        yield tag("li", moment(each.ts, whole=False), " ", one_line(each.phrase.about), " ", each.phrase.text)
