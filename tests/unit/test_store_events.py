"""Any event survives its journal."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core import events as ev
from orchestrator.core.model import Outcome, TargetState
from orchestrator.store.reading import parse_journal

_KINDS = [
    cls
    for cls in vars(ev).values()
    if isinstance(cls, type) and issubclass(cls, ev.Event) and cls not in {ev.Event, ev.TargetEvent, ev.UnknownEvent}
]

_numbers = st.floats(allow_nan=False, allow_infinity=False)
_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | _numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_objects = st.dictionaries(st.text(), _json, max_size=3)

_VALUES: Mapping[Any, st.SearchStrategy[Any]] = {
    str: st.text(),
    str | None: st.none() | st.text(),
    int: st.integers(),
    int | None: st.none() | st.integers(),
    float: _numbers,
    float | None: st.none() | _numbers,
    bool: st.booleans(),
    tuple[str, ...]: st.lists(st.text(), max_size=3).map(tuple),
    tuple[str, ...] | None: st.none() | st.lists(st.text(), max_size=3).map(tuple),
    Mapping[str, Any]: _objects,
    Mapping[str, Any] | None: st.none() | _objects,
    Mapping[str, float]: st.dictionaries(st.text(), _numbers, max_size=3),
    Mapping[str, int]: st.dictionaries(st.text(), st.integers(), max_size=3),
    tuple[Mapping[str, Any], ...]: st.lists(_objects, max_size=3).map(tuple),
    TargetState: st.sampled_from(TargetState),
    Outcome: st.sampled_from(Outcome),
}


def _any_event(cls: type[ev.Event]) -> st.SearchStrategy[ev.Event]:
    hints = get_type_hints(cls)
    return st.builds(cls, **{field.name: _VALUES[hints[field.name]] for field in dataclasses.fields(cls)})


@pytest.mark.parametrize("kind", _KINDS, ids=ev.event_type)
@given(data=st.data())
def test_any_event_survives_its_journal(kind: type[ev.Event], data: st.DataObject) -> None:
    record = ev.Record(1, 1_700_000_000.0, "run", data.draw(_any_event(kind)))
    line = record.to_json()
    assert "\n" not in line
    assert parse_journal(line.encode("ascii") + b"\n", Path("journal")).records == (record,)


def test_an_event_of_a_newer_version_is_kept_and_written_as_it_was() -> None:
    line = b'{"v":1,"seq":1,"ts":"2026-11-24T00:00:00.000Z","run":"r","type":"gate_opened","gate":"cab","n":[1]}'
    (record,) = parse_journal(line + b"\n", Path("journal")).records
    assert isinstance(record.event, ev.UnknownEvent)
    assert record.to_json().encode() == line
