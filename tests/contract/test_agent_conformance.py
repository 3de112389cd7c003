"""Every case of the real agent's that doesn't hang on its machine, on an instance of the sandbox, hooks really run."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from agent_cases import Outcome, Play, Shelf, play
from conformance.bundles import Case, load_cases

from orchestrator.sandbox.agent.bubble import Tools
from orchestrator.sandbox.agent.fleet import InstanceAgents

CASES = [case for case in load_cases() if not case["environment"]]
TOPICS = sorted({case["topic"] for case in CASES})
AT_ONCE = 8


@pytest.fixture(scope="module")
def found(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What each case differs in, by its id."""
    if os.getuid() != 0:
        pytest.skip("the agent gave its verdicts as root: owners and closed files would differ for anybody else")
    folder = tmp_path_factory.mktemp("fleet")
    differences: dict[str, list[str]] = {}

    async def play_all() -> None:
        room = anyio.CapacityLimiter(AT_ONCE)

        async def one(case: Case) -> None:
            async with room:
                shelf, place = Shelf(), folder / case["id"]
                place.mkdir()
                agents = InstanceAgents(folder=place / "instances", bundles=shelf, tools=tools)
                differences[case["id"]] = compare(case, await play(case, agents, shelf, place))

        async with anyio.create_task_group() as group:
            for case in CASES:
                group.start_soon(one, case)

    anyio.run(play_all)
    return differences


def test_there_are_cases_enough() -> None:
    assert len(CASES) > 400
    assert sum(case["expect"]["verdict"] == "reject" for case in CASES) > 200


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_instance_decides_as_the_agent(found: dict[str, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    """Verdict, failing event, code of the script's error, scripts with their output, and what stands there after."""
    score: dict[str, list[bool]] = defaultdict(list)
    for case in CASES:
        score[case["topic"]].append(not found[case["id"]])
    with capsys.disabled():
        print("\n" + ", ".join(f"{topic} {sum(score[topic])}/{len(score[topic])}" for topic in TOPICS))
    assert {name: what for name, what in found.items() if what} == {}


def compare(case: Case, played: Play) -> list[str]:
    """Where the two differ, each as a sentence."""
    differences: list[str] = []
    steps: Sequence[Case] = case.get("steps", [case])
    for number, (step, outcome) in enumerate(zip(steps, played.outcomes, strict=True)):
        differences += [f"step {number}: {said}" for said in _compare_step(step["expect"], outcome)]
    if "created" in case["expect"]:
        differences += _compare_files({entry["path"]: entry for entry in case["expect"]["created"]}, played.created)
    return differences


def _compare_step(expected: Case, outcome: Outcome) -> list[str]:
    differences = [
        f"{name} is {getattr(outcome, name)}, not {expected.get(name)} ({outcome.message})"
        for name in ("verdict", "event", "script_error")
        if getattr(outcome, name) != expected.get(name)
    ]
    if "scripts" in expected:
        scripts = [_without_omitted(got, want) for got, want in zip(outcome.scripts, expected["scripts"], strict=False)]
        wanted = [{key: said for key, said in want.items() if "omitted" not in key} for want in expected["scripts"]]
        if scripts != wanted or len(outcome.scripts) != len(wanted):
            differences.append(f"scripts are {outcome.scripts}, not {wanted}")
    return differences


def _without_omitted(got: dict[str, Any], want: Case) -> dict[str, Any]:
    return {key: said for key, said in got.items() if f"{key}_omitted" not in want}


def _compare_files(expected: dict[str, Case], created: dict[str, dict[str, Any]]) -> list[str]:
    differences = [f"{path} is missing" for path in expected.keys() - created.keys()]
    differences += [f"{path} shouldn't be there" for path in created.keys() - expected.keys()]
    for path in expected.keys() & created.keys():
        got = {key: created[path].get(key) for key in expected[path]}
        if got != dict(expected[path]):
            differences.append(f"{path} is {got}, not {dict(expected[path])}")
    return differences
