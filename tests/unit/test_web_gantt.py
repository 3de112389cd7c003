"""The chart in time: bars where things happened, what is expected, and rows that seldom change."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from bigruns import NOON, Told, begin, big_run, finished_run, halfway_run, intended, started
from drawn import SVG, parse
from world import target

from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.forecast import forecast
from orchestrator.core.model import Outcome, TargetState
from orchestrator.core.state import RunState, fold
from orchestrator.web.axis import MOST, axis
from orchestrator.web.gantt import CRITICAL_BARS, NOW_LINE, Gantt, chart_of, gantt_svg
from orchestrator.web.gantt_rows import CHART, LABELS
from orchestrator.web.links import element_id

S = TargetState


def drawn(state: RunState, now: float) -> ET.Element:
    return parse(gantt_svg(state, now, forecast(state, now)))


def parts(state: RunState, now: float) -> dict[str, str]:
    ahead = forecast(state, now)
    return dict(Gantt(state, now, ahead, chart_of(state, now, ahead)).parts())


def bars(root: ET.Element, name: str) -> list[tuple[str, float, float]]:
    """Of a target's row: kind, begin and end in pixels."""
    row = next(each for each in root.iter() if each.get("id") == element_id("bar", name))
    found = [each for each in row.iter(f"{SVG}rect") if (each.get("class") or "").startswith("span ")]
    return [
        (
            (each.get("class") or "").removeprefix("span "),
            float(each.get("x", 0)),
            float(each.get("x", 0)) + float(each.get("width", 0)),
        )
        for each in found
    ]


def near(shown: list[tuple[str, float, float]], expected: list[tuple[str, float, float]], pixels: float) -> None:
    assert [kind for kind, _, _ in shown] == [kind for kind, _, _ in expected]
    for (_, start, end), (_, since, until) in zip(shown, expected, strict=True):
        assert start == pytest.approx(since, abs=pixels)
        assert end == pytest.approx(until, abs=pixels)


def a_pair() -> Told:
    told = begin([target("db/g"), target("api/g", needs=["db/g"])])
    told.tell(ev.DurationsExpected(seconds={"db/g": 100.0, "api/g": 50.0}))
    return told


# --- bars ------------------------------------------------------------------------------------------------------------


def test_a_target_is_drawn_from_its_wait_to_the_end_of_its_bake() -> None:
    told = a_pair()
    db, api = target("db/g"), target("api/g")
    told.tell(intended(db))
    told.tell(started(db, 1), after=10.0)
    told.tell(ev.TargetFinished(target="db/g", state=S.SUCCEEDED), after=100.0)
    told.tell(ev.TargetReady(target="api/g", waited=20.0), after=20.0)
    told.tell(intended(api))
    told.tell(started(api, 2), after=10.0)
    told.tell(gev.BakeStarted(target="api/g", seconds=60.0), after=40.0)
    told.tell(ev.TargetFinished(target="api/g", state=S.SUCCEEDED), after=60.0)
    told.tell(ev.RunFinished(outcome=Outcome.SUCCEEDED, exit_code=0))
    root = drawn(told.state, told.now)
    pixel = CHART / 240.0
    expected = [
        ("needs", 0, 110),
        ("queue", 110, 130),
        ("starting", 130, 140),
        ("running", 140, 180),
        ("baking", 180, 240),
    ]
    shown = bars(root, "api/g")
    near(shown, [(kind, LABELS + since * pixel, LABELS + until * pixel) for kind, since, until in expected], 0.3)


def test_what_is_expected_follows_what_runs_and_then_what_waits_for_it() -> None:
    told = a_pair()
    told.tell(intended(target("db/g")), started(target("db/g"), 1))
    now = NOON + 40
    root = drawn(told.state, now)
    axis_ = chart_of(told.state, now, forecast(told.state, now)).axis
    x = {seconds: LABELS + axis_.x(NOON + seconds) for seconds in (0, 40, 100, 150)}
    near(bars(root, "db/g"), [("running", x[0], x[40]), ("expected", x[40], x[100])], 1.0)
    near(bars(root, "api/g"), [("expected", x[100], x[150])], 2.0)


def test_the_critical_chain_is_joined_and_marked_and_now_is_there_only_while_it_runs() -> None:
    live, over = fold(halfway_run(40)), fold(finished_run(40))
    for state in (live, over):
        now = (state.last_ts or 0.0) + 1
        critical = forecast(state, now).critical
        shown = parts(state, now)
        assert shown[CRITICAL_BARS].count("M") == len(critical) - 1
        marked = {name for name, row in shown.items() if " critical" in row and name.startswith("bar/")}
        assert marked == {element_id("bar", name) for name in critical}
        assert ("now</text>" in shown[NOW_LINE]) == (state is live)


def test_what_has_ended_carries_the_glyph_of_its_end() -> None:
    state = fold(big_run(64))
    root = drawn(state, (state.last_ts or 0.0) + 1)
    for name, known in state.targets.items():
        row = next(each for each in root.iter() if each.get("id") == element_id("bar", name))
        assert any(each.get("class") == "glyph" for each in row.iter()) == known.state.is_final


# --- order, and what changes -----------------------------------------------------------------------------------------


def test_rows_keep_their_places_while_it_runs_and_stand_by_their_begin_afterwards() -> None:
    for seconds in (5.0, 100.0, 300.0):
        state = fold(halfway_run(40, seconds=seconds))
        now = NOON + seconds + 1
        assert chart_of(state, now, forecast(state, now)).order == tuple(state.targets)
    over = fold(finished_run(40))
    order = chart_of(over, NOON + 9999, forecast(over, NOON + 9999)).order
    begun = [over.targets[name].started_at or 0.0 for name in order]
    assert begun == sorted(begun)


def test_with_time_alone_only_what_runs_changes_and_the_axis_seldom() -> None:
    state = fold(halfway_run(200, seconds=200.0))
    running = {element_id("bar", name) for name, each in state.targets.items() if each.state is S.RUNNING}
    before, after = parts(state, NOON + 201), parts(state, NOON + 202)
    changed = {name for name in before if before[name] != after[name]}
    assert running <= changed
    assert changed <= running | {NOW_LINE, CRITICAL_BARS}
    axes = {chart_of(state, now, forecast(state, now)).axis for now in (NOON + 200.0 + n for n in range(60))}
    assert len(axes) == 1


def test_a_run_that_has_not_begun_and_one_without_targets_are_drawn_as_well() -> None:
    assert drawn(begin([]).state, NOON).get("class") == "gantt"
    assert drawn(RunState(), NOON).get("class") == "gantt"
    assert drawn(begin([target("a/g")]).state, NOON).get("class") == "gantt"


# --- the axis --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0.0, 0.4, 7.0, 59.0, 200.0, 3600.0, 5 * 3600.0, 86400.0 * 3, 86400.0 * 400])
@pytest.mark.parametrize("grows", [True, False])
def test_ticks_are_few_round_and_within(length: float, grows: bool) -> None:
    made = axis(NOON + 13.7, NOON + 13.7 + length, 900.0, grows=grows)
    ticks = made.ticks()
    assert len(ticks) <= MOST + 2
    assert all(made.start <= when <= made.end and when % made.step == 0 for when, _ in ticks)
    assert length < 5 or ticks
    assert made.x(made.start) == 0.0
    assert made.x(made.end + 99999) == 900.0
    assert (made.end > NOON + 13.7 + length) or not grows


def test_labels_say_as_much_as_is_needed() -> None:
    def labels(length: float) -> list[str]:
        return [label for _, label in axis(NOON, NOON + length, 900.0, grows=False).ticks()]

    assert labels(30)[:2] == ["12:00:00", "12:00:05"]
    assert labels(600)[:2] == ["12:00", "12:02"]
    assert labels(86400 * 2)[1:3] == ["18:00", "26 Nov"]
    assert labels(86400 * 30)[:2] == ["28 Nov", "02 Dec"]
