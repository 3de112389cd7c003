"""Random runs of the real engine in virtual time: whatever goes wrong, the promises hold.

`ORCHESTRATOR_SEEDS=2000` runs more of them; a seed that fails is a test of its own name, and tells its story.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import anyio
import pytest
from chaos import Chaos, MortalJournal, chaos
from invariants import ours, violations

from orchestrator.core.events import Record, record_from_dict
from orchestrator.core.state import RunState

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]

SEEDS = int(os.environ.get("ORCHESTRATOR_SEEDS", "300"))
LONGEST = 6000.0
"""Seconds of virtual time in which any of these worlds must come to its end."""
DEATHS = 3


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_promises_hold(virtual: Virtual, seed: int) -> None:
    scenario = chaos(seed)

    async def play() -> list[str]:
        with anyio.fail_after(LONGEST):
            await scenario.world.run()
        return violations(scenario)

    found = virtual(play())
    assert not found, _story(scenario, found)


@pytest.mark.parametrize("seed", range(10_000, 10_000 + SEEDS // 2))
def test_the_promises_hold_over_crashes(virtual: Virtual, seed: int) -> None:
    """The process dies at a random event, several times; each time another goes on with what was durable."""
    scenario = chaos(seed, orders=False)
    random = Random(seed)  # noqa: S311 - a scenario, not a secret

    async def play() -> list[str]:
        with anyio.fail_after(LONGEST * (DEATHS + 1)):
            for _ in range(DEATHS):
                records = scenario.world.journal.records
                await _live(scenario, dies_at=len(records) + random.randint(2, 40))
            await _live(scenario)
        return violations(scenario)

    found = virtual(play())
    assert not found, _story(scenario, found)


async def _live(scenario: Chaos, dies_at: int | None = None) -> None:
    """One process's part of the run: from the records that the one before it left, until it dies or the run ends."""
    world = scenario.world
    state = RunState()
    records = [_reread(record) for record in world.journal.records]
    for record in records:
        state.apply(record)
    world.state = state
    if state.is_finished:
        world.journal.records = records
        return
    journal = MortalJournal(records, dies_at=dies_at)
    world.journal = scenario.faults.journal = journal
    async with anyio.create_task_group() as life:
        life.start_soon(_die, journal, life.cancel_scope)
        await world.run()
        life.cancel_scope.cancel()


async def _die(journal: MortalJournal, life: anyio.CancelScope) -> None:
    await journal.died.wait()
    life.cancel()


def _reread(record: Record) -> Record:
    return record_from_dict(json.loads(record.to_json()))


def _story(scenario: Chaos, found: list[str]) -> str:
    world = scenario.world
    made = [
        f"  {each.id} {'/'.join(each.key)} {each.creator} {each.created:.1f}–{each.ends:.1f} {each.status}"
        for each in world.codedeploy.made.values()
    ]
    events = [f"  {r.seq} {r.ts % 100_000:.1f} {r.event}" for r in world.journal.records if "Progress" not in str(r)]
    plan = [f"  {t.id} needs {t.needs} after {t.after} {t.pool} {t.location}" for t in world.targets]
    head = [f"seed {scenario.seed}", f"{world.policy}", f"{world.concurrency}", f"{scenario.faults}"]
    orders = [f"orders {scenario.orders}"]
    twice = [f"  {t.id}: {[each.id for each in ours(scenario, t)]}" for t in world.targets]
    return "\n".join(["", *found, "", *head, *orders, *plan, "made:", *made, "ours:", *twice, "events:", *events])
