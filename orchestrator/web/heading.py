"""The head of a run's page: what it is, how it stands, how long it will take, and what waits for a person."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.gate_state import GateRun
from orchestrator.core.model import TargetState
from orchestrator.core.outcome import FAILURES
from orchestrator.core.scrub import without_secrets
from orchestrator.core.state import RunState
from orchestrator.web.html import NOTHING, Content, Markup, join, tag
from orchestrator.web.links import run_url
from orchestrator.web.picture import Picture
from orchestrator.web.pieces import command, facts, moment, outcome_word, target_link
from orchestrator.wording.estimates import left
from orchestrator.wording.facts import state_counts
from orchestrator.wording.standing import next_steps, standing
from orchestrator.wording.text import duration, one_line, plural

DAY = 86400.0
"""Seconds."""


def title_of(state: RunState, run: str) -> str:
    """One line for the tab of a browser, too."""
    if not state.run:
        return f"run {one_line(run)}"
    where = f" to {one_line(state.environment)}" if state.environment else ""
    return f"{one_line(state.release)}{where}"


def about(picture: Picture) -> Markup:
    """What doesn't change as long as the run lasts."""
    state, view = picture.state, picture.view
    return join(
        [
            tag("h1", title_of(state, view.run)),
            facts(
                [
                    ("Run", tag("code", one_line(view.run))),
                    ("Manifest", one_line(state.manifest)),
                    ("Started", moment(state.started_at) if state.started_at is not None else None),
                    ("Rollback of", _run(state.rollback_of, picture) if state.rollback_of else None),
                    ("Rehearsal", "in the embedded sandbox" if state.rehearsal else None),
                ]
            ),
        ]
    )


def _run(run: str, picture: Picture) -> Markup:
    return tag("code", run) if picture.inline else tag("a", run, href=run_url(run))


# --- how it stands ---------------------------------------------------------------------------------------------------


def status(picture: Picture, *, id_: str | None = "status") -> Markup:
    """The outcome, and how many have failed: what a screen reader is told of each change, and so no more."""
    word = standing(picture.state, alive=picture.view.alive) if picture.state.run else "unknown"
    failed = sum(target.state in FAILURES for target in picture.state.targets.values())
    more = f" · {failed} failed" if failed and word != "failed" else f" ({failed})" if failed else None
    live = "status" if id_ is not None else None
    return tag("p", outcome_word(word), more, id=id_, class_="standing", role=live)


def clock(picture: Picture, *, id_: str | None = "clock") -> Markup:
    """How far it has come, how long it has taken, and when it is likely to end; and how many are in which state.

    That last is seen on the buttons that choose among the states, where there are any.
    """
    state = picture.state
    total = len(state.targets)
    done = sum(target.state.is_final for target in state.targets.values())
    words = f"{done} of {plural(total, 'target')} done" if total else ""
    end = state.ended_at if state.ended_at is not None else picture.now
    if state.started_at is not None:
        words += f" in {duration(end - state.started_at)}"
    bar = tag("progress", value=done, max=max(1, total), aria_label="Targets that are done") if total else NOTHING
    buttons = total > 0 and id_ is not None
    counts = tag("span", f" ({state_counts(state) or 'no targets'})", class_="counts unseen" if buttons else "counts")
    return tag("p", bar, " ", words, *_left(picture), counts, id=id_, class_="clock")


def _left(picture: Picture) -> tuple[Content, ...]:
    ends_at, now = picture.forecast.ends_at, picture.now
    if ends_at is None or not picture.view.alive:
        return ()
    same_day = ends_at // DAY == now // DAY
    until = join([moment(ends_at, whole=not same_day), " UTC" if same_day else None])
    return "; ", tag("strong", left(max(0.0, ends_at - now))), ", until ", until


# --- what needs a person ---------------------------------------------------------------------------------------------


def attention(picture: Picture) -> Markup:
    """What a person should know or do before all else; empty where there is nothing."""
    items = list(_attention(picture))
    return tag("div", join(items), id="attention", hidden=not items)


def _attention(picture: Picture) -> Iterator[Markup]:
    state, view = picture.state, picture.view
    if view.problem is not None:
        yield _note("The journal of this run can't be read", one_line(view.problem), kind="bad")
    if view.note is not None:
        yield _note("A part of its journal was left out", one_line(view.note), kind="warn")
    if state.run and standing(state, alive=view.alive) == "died":
        yield _note(
            "The process that carried this run on has gone", "What it has started may still be running.", kind="bad"
        )
    if state.why_closed:
        title = "Nothing new was started" if state.is_finished else "Nothing new starts"
        yield _note(title, without_secrets(one_line(state.why_closed)), kind="warn")
    for gate in _approvals(state):
        yield _note("Awaiting approval", *_asked(gate, state), kind="warn")
    if state.rollback is not None:
        yield _note(
            "Going back" if state.rollback_finished is None else "Went back", *_going_back(picture), kind="warn"
        )
    steps = next_steps(state, alive=view.alive)
    if steps:
        shown = join([tag("span", f"{what}: ", command(line)) for what, line in steps], tag("br"))
        yield _note("To go on", shown, kind="plain")


def _note(title: str, *words: Content, kind: str) -> Markup:
    return tag("div", tag("strong", title), " ", *words, class_=f"note {kind}")


def _approvals(state: RunState) -> list[GateRun]:
    """Each gate once, wherever it stands."""
    found = {gate.gate: gate for gate in state.gates.gates.values() if gate.kind == "approval" and gate.passed is None}
    return [] if state.is_finished else list(found.values())


def _asked(gate: GateRun, state: RunState) -> Iterator[Content]:
    yield f"{one_line(gate.gate)}"
    if gate.message:
        yield f": {without_secrets(one_line(gate.message))}"
    if gate.target is not None:
        yield join([" (before " if gate.phase == "before" else " (at ", target_link(gate.target), ")"])
    yield join([" ", command("orchestrator", "approve", one_line(state.run), one_line(gate.gate))])
    if gate.deadline is not None:
        yield join([" until ", moment(gate.deadline)])


def _going_back(picture: Picture) -> Iterator[Content]:
    state = picture.state
    assert state.rollback is not None  # noqa: S101 - asked for
    what = "all that the run changed" if state.rollback.scope == "release" else "what failed"
    yield f"{what}, to what stood before: {without_secrets(one_line(state.rollback.reason))}"
    if state.rollback_run is not None:
        yield join([" (run ", _run(state.rollback_run, picture), ")"])


def tally(picture: Picture, state: TargetState) -> Markup:
    """How many targets are in a state: the figure on the button that shows only these."""
    count = picture.state.count()[state]
    return tag("span", str(count), id=f"tally/{state}", class_="tally", data_count=count)
