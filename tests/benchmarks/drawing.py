"""CPU of drawing a run of 1,000 targets: the layout of its graph, its page, what changes in it, and its report."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from orchestrator.core import events as ev
from orchestrator.web.assets import sheet
from orchestrator.web.chronicle import read_chronicle
from orchestrator.web.dag import structure_of
from orchestrator.web.dagplan import plan_dag
from orchestrator.web.folding import Structure, Wish
from orchestrator.web.pages import fragments, run_page
from orchestrator.web.report import report
from orchestrator.web.view import RunView

from .figures import Figure

sys.path.append(str(Path(__file__).parents[1]))
from bigruns import NOON, halfway_run

T = TypeVar("T")

TARGETS = 1_000
ROUNDS = 5
NOW = NOON + 210.0


def figures(_: Path) -> Iterator[Figure]:
    state, chronicle = read_chronicle(halfway_run(TARGETS))
    view = RunView(run=state.run, state=state, told=chronicle.told, alive=True)
    structure = structure_of(state)
    beside = "elkjs takes 4 s, dagre and mermaid 20 s (measured at the start of the project)"
    yield Figure(name="layout, a release with twins", value=_layout(structure), unit="s", at_most=0.15, beside=beside)
    yield Figure(name="layout, nothing but single ones", value=_layout(_chain_like()), unit="s", at_most=0.15)
    page, made = _best(lambda: run_page(view, NOW))
    yield Figure(name="page", value=page, unit="s", at_most=0.15, beside=f"{len(made) / 1e6:.1f} MB of HTML")
    before = dict(fragments(view, NOW))
    again, parts = _best(lambda: fragments(view, NOW))
    yield Figure(
        name="all parts, nothing has changed", value=again, unit="s", at_most=0.05, beside=f"{len(parts):,} parts"
    )
    running = next(each for each in state.targets.values() if each.overview and not each.state.is_final)
    event = ev.DeploymentProgressed(
        target=running.id, deployment_id=running.deployment_id or "", status="InProgress", overview={"Succeeded": 4}
    )
    state.apply(ev.Record(state.last_seq + 1, NOW, state.run, event))
    began = time.process_time()
    after = fragments(view, NOW)
    took = time.process_time() - began
    changed = sum(len(part) for name, part in after.items() if before[name] != part)
    yield Figure(
        name="all parts, after an event", value=took, unit="s", at_most=0.1, beside=f"{changed:,} bytes differ"
    )
    css = sheet("style.css") + sheet("drawing.css")
    seconds, document = _best(lambda: report(view, NOW, css=css, version="0"))
    yield Figure(name="report", value=seconds, unit="s", at_most=1.0, beside=f"{len(document) / 1e6:.1f} MB")


def _best(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds of CPU, and what came of it."""
    found = []
    made = work()
    for _ in range(ROUNDS):
        began = time.process_time()
        made = work()
        found.append(time.process_time() - began)
    return min(found), made


def _layout(structure: Structure) -> float:
    """Each round of another structure: the same one would be remembered."""
    found = []
    for number in range(ROUNDS):
        other = (replace(structure[0], application=f"round-{number}"), *structure[1:])
        began = time.process_time()
        plan_dag(other)
        found.append(time.process_time() - began)
    return min(found)


def _chain_like() -> Structure:
    """Each needs one or two of the forty before it, in a pattern that gives no two the same."""
    names = [f"s{number}/g" for number in range(TARGETS)]
    steps = [(1 + number * 7 % 40, 1 + number * 3 % 29) for number in range(TARGETS)]
    needs = [tuple({names[max(0, number - step)]: None for step in steps[number]}) for number in range(TARGETS)]
    return tuple(Wish(name, name[:-2], "g", needs[number] if number else ()) for number, name in enumerate(names))
