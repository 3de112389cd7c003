"""What measurements make of a gate."""

from __future__ import annotations

import pytest

from orchestrator.core.controls import GateSpec
from orchestrator.core.measuring import Answer, Measurement, Row, span

WORDS: dict[str, Answer] = {"g": "good", "b": "bad", "u": "unknown"}


def row(letters: str) -> Row:
    found = Row()
    for letter in letters:
        found = found.after(Measurement(WORDS[letter], f"it is {WORDS[letter]}"))
    return found


@pytest.mark.parametrize(
    ("letters", "held", "late", "verdict"),
    [
        ("", False, False, "pending"),
        ("gg", False, False, "pending"),
        ("ggg", False, False, "passed"),
        ("gbgg", False, False, "pending"),
        ("ggbggg", False, False, "passed"),
        ("ggug", False, False, "passed"),  # unknown leaves the row as it is
        ("b", False, False, "pending"),
        ("bb", False, False, "failed"),
        ("bgb", False, False, "pending"),
        ("bub", False, False, "failed"),
        ("uuuuuuuu", False, False, "pending"),  # what can't be asked is neither passed nor failed
        ("uuuuuuuu", False, True, "failed"),
        ("gg", False, True, "failed"),
        ("ggg", False, True, "passed"),  # in time or not: it is good
        ("ggg", True, False, "pending"),  # a bake goes on
        ("gg", True, True, "pending"),
        ("ggbb", True, False, "failed"),
    ],
)
def test_rows_decide(letters: str, held: bool, late: bool, verdict: str) -> None:
    spec = GateSpec(name="g", kind="http", successes=3, failures=2)
    assert row(letters).decide(spec, held=held, is_late=late) == verdict


def test_the_alarms_of_a_group_that_cannot_be_asked_do_not_hold_a_bake_up() -> None:
    lenient = GateSpec(name="g", kind="cloudwatch_alarm", is_lenient=True)
    assert row("uu").decide(lenient, held=True, is_late=False) == "pending"
    assert row("uu").decide(lenient, held=False, is_late=False) == "passed"
    assert row("ub").decide(lenient, held=False, is_late=False) == "failed"


def test_why_it_failed_names_the_last_measurement() -> None:
    once = GateSpec(name="g", kind="http", timeout=90)
    assert row("gb").why_failed(once, waited=90) == "bad: it is bad"
    twice = GateSpec(name="g", kind="http", failures=2)
    assert row("bb").why_failed(twice, waited=0) == "bad: it is bad (2 times in a row)"
    assert row("u").why_failed(once, waited=90) == "not passed within 1m30s; last measurement: unknown: it is unknown"
    assert row("").why_failed(once, waited=90).endswith("last measurement: it was never measured")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "500ms"), (45, "45s"), (300, "5m"), (5400, "1h30m"), (14400, "4h")]
)
def test_spans_are_written_as_in_a_manifest(seconds: float, text: str) -> None:
    assert span(seconds) == text
