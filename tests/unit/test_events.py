"""Records: what is read back, what is kept though unknown, what is refused. (Round trips: test_store_events.)"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core import events as ev
from orchestrator.core.model import Outcome, TargetState
from orchestrator.core.state import RunState
from orchestrator.core.times import format_time, parse_time

GOOD: dict[str, Any] = {"v": 1, "seq": 1, "ts": "2026-11-24T01:47:58.000Z", "run": "r1", "type": "run_resumed"}
RESUMED = {"version": "1", "host": "h", "pid": 7}


def test_every_class_has_its_own_name_in_snake_case() -> None:
    classes = [
        cls
        for cls in vars(ev).values()
        if isinstance(cls, type) and issubclass(cls, ev.Event) and cls not in {ev.Event, ev.TargetEvent}
    ]
    names = [ev.event_type(cls) for cls in classes]
    assert len(set(names)) == len(names) > 20
    assert all(name == name.lower() and " " not in name for name in names)
    assert ev.event_type(ev.DeploymentStarted) == "deployment_started"


def test_enums_come_back_as_enums() -> None:
    for event in (
        ev.TargetFinished(target="a/g", state=TargetState.TIMED_OUT, blocked_by=("b/g",)),
        ev.RunFinished(outcome=Outcome.ROLLED_BACK, exit_code=4),
    ):
        again = ev.record_from_dict(json.loads(ev.Record(1, 1.0, "r1", event).to_json()))
        assert again.event == event
        assert isinstance(getattr(again.event, "state", TargetState.FAILED), TargetState)


def test_an_unknown_type_is_kept_and_changes_nothing() -> None:
    data = {**GOOD, "type": "moon_rose", "target": "a/g", "phase": {"percent": 7}}
    record = ev.record_from_dict(data)
    assert isinstance(record.event, ev.UnknownEvent)
    assert json.loads(record.to_json()) == data
    state = RunState()
    state.apply(record)
    assert (state.last_seq, state.targets) == (1, {})


def test_unknown_fields_are_ignored() -> None:
    record = ev.record_from_dict({**GOOD, **RESUMED, "moon": "waxing"})
    assert record.event == ev.RunResumed(version="1", host="h", pid=7)


def test_fields_with_defaults_may_be_missing() -> None:
    record = ev.record_from_dict({**GOOD, "type": "target_finished", "target": "a/g", "state": "failed"})
    assert record.event == ev.TargetFinished(target="a/g", state=TargetState.FAILED)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_format_is_refused_by_its_number(version: object) -> None:
    with pytest.raises(ValueError, match=f"format version {version!r}; this orchestrator reads version 1"):
        ev.record_from_dict({**GOOD, "v": version})


@pytest.mark.parametrize(
    "data",
    [
        {},
        [],
        "text",
        None,
        *({name: value for name, value in GOOD.items() if name != gone} for gone in GOOD),
        {**GOOD, **RESUMED, "seq": None},
        {**GOOD, **RESUMED, "seq": "first"},
        {**GOOD, **RESUMED, "ts": 5},
        {**GOOD, **RESUMED, "ts": "yesterday"},
        GOOD,  # the event's own fields are missing
        {**GOOD, "type": "target_finished", "target": "a/g", "state": "levitating"},
    ],
)
def test_what_is_no_record_is_a_value_error(data: Any) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        ev.record_from_dict(data)


@given(st.floats(0, 4e9))
def test_times_keep_their_milliseconds(seconds: float) -> None:
    text = format_time(seconds)
    assert abs(parse_time(text) - seconds) < 0.0011
    assert format_time(parse_time(text)) == text


def test_a_record_is_one_line() -> None:
    line = ev.Record(1, 1.0, "r1", ev.WarningRaised(message="two\nlines\u2028and more")).to_json()
    assert len(line.splitlines()) == 1
