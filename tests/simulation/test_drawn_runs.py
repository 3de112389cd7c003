"""Random runs of the real engine, drawn at random moments of theirs: whatever happened, there is a page of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random

import anyio
import looptime
import pytest
from backwards import backwards
from chaos import Chaos, chaos
from gated import gated
from markup import read

from orchestrator.core.events import Record
from orchestrator.core.spans import spans_of
from orchestrator.core.state import RunState
from orchestrator.web.chronicle import read_chronicle
from orchestrator.web.links import element_id
from orchestrator.web.pages import fragments, run_page
from orchestrator.web.report import report
from orchestrator.web.view import RunView

SEEDS = 8
MOMENTS = 2

WORLDS: dict[str, Callable[[int], Chaos]] = {
    "faults": chaos,
    "rollbacks": backwards,
    "gates": lambda seed: gated(seed).chaos,
}


def played(scenario: Chaos) -> Sequence[Record]:
    """The journal of the run, played in virtual time to its end."""

    async def live() -> None:
        with anyio.fail_after(6000.0):
            await scenario.world.run()

    loop = looptime.new_event_loop(start=1000.0, noop_cycles=1)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(live())
    return scenario.world.journal.records


@pytest.mark.parametrize("name", WORLDS)
def test_a_run_can_be_drawn_at_any_moment_of_it(name: str) -> None:
    random = Random(name)  # noqa: S311 - moments, no secrets
    for seed in range(60_000, 60_000 + SEEDS):
        records = played(WORLDS[name](seed))
        for moment in [len(records), *(random.randint(1, len(records)) for _ in range(MOMENTS))]:
            state, chronicle = read_chronicle(records[:moment])
            view = RunView(run=state.run, state=state, told=chronicle.told, alive=moment < len(records))
            check(view, (state.last_ts or 0.0) + random.random() * 100)


def check(view: RunView, now: float) -> None:
    document = read(run_page(view, now))
    ids = {each.attributes["id"] for each in document if "id" in each.attributes}
    assert set(fragments(view, now)) <= ids
    for name in view.state.targets:
        assert {element_id(kind, name) for kind in ("node", "bar", "target")} <= ids
    assert len(read(report(view, now, css="", version="0")).one("section", id="each").all("details")) == len(
        ids & _rows(view)
    )
    for name in view.state.targets:
        assert_contiguous(view.state, name, now)


def _rows(view: RunView) -> set[str]:
    return {element_id("target", name) for name in view.state.targets}


def assert_contiguous(state: RunState, name: str, now: float) -> None:
    """Between two spans there is time only where the target had ended, and a resume took it up again."""
    target = state.targets[name]
    ends = [when for reached, when in target.history if reached.is_final]
    for before, after in zip(spans_of(target, state, now), spans_of(target, state, now)[1:], strict=False):
        assert before.end <= after.start
        assert before.end == after.start or before.end in ends
