"""`bundle check` against the agent: every strict case of tests/conformance, and a second opinion on single values."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest
from conformance.bundles import is_strict, load_cases
from conformance.score import Result, judge, table
from conformance.variants import FILES, document, entries, load_variants

from orchestrator.bundle.appspec import check_appspec
from orchestrator.bundle.entries import Contents

STRICT = [case for case in load_cases() if is_strict(case)]
TOPICS = sorted({case["topic"] for case in STRICT})
FIELDS = sorted({field for field, _, _ in load_variants()})


def test_nothing_is_left_out() -> None:
    assert len(load_cases()) == 507
    assert len(STRICT) == 394
    assert len(load_variants()) > 1000


@pytest.mark.filterwarnings("ignore:Duplicate name")  # zipfile's, of a case that is about that
@pytest.mark.parametrize("topic", TOPICS)
def test_the_agents_verdict_its_reason_and_the_hazards(topic: str, tmp_path: Path) -> None:
    results = [judge(case, tmp_path) for case in STRICT if case["topic"] == topic]
    print(table(results))
    assert [_told(result) for result in results if not result.agrees] == []
    assert [_told(result) for result in results if not result.names_the_reason] == []
    assert [_told(result) for result in results if not result.warns_of_the_hazard] == []


def _told(result: Result) -> tuple[str, str, list[str], list[str]]:
    return result.case["id"], str(result.case["expect"]), list(result.errors), list(result.warnings)


@pytest.mark.parametrize("field", FIELDS)
def test_a_second_opinion_on_single_values(field: str) -> None:
    contents = Contents(entries())

    def heads(names: Collection[str], limit: int, /) -> Mapping[str, bytes]:
        return {name: FILES[name][:limit] for name in names}

    wrong = []
    for each, value, accepted in load_variants():
        if each == field:
            report = check_appspec(document(field, value).encode(), contents, file="f", heads=heads)
            if report.ok != accepted:
                wrong.append((value, accepted, [str(finding) for finding in report.errors]))
    assert wrong == []


def test_the_table_counts_what_is_wrong() -> None:
    case = next(case for case in STRICT if case.get("hazard"))
    right = Result(case=case, errors=[], warnings=[case["hazard"]])
    wrong = Result(case=case, errors=["script_missing"], warnings=[])
    *_, last = table([right, wrong]).splitlines()
    assert re.split(r" +", last) == ["all", "2", "1", "1", "1/2"]
