"""All simulations by name: what a seed of each plays, and its story when a promise was broken."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable, Mapping
from random import Random

import anyio
import looptime
from backwards import back_violations, backwards
from chaos import Chaos, MortalJournal, chaos
from cluster import Cluster, play_cluster
from gated import gate_violations, gated
from invariants import ours, violations

from orchestrator.core.events import Record, record_from_dict
from orchestrator.core.state import RunState

LONGEST = 6000.0
"""Seconds of virtual time in which any of these worlds must come to its end."""
DEATHS = 3
LIVES = 3
"""Processes that go on one after the other with a run that waits for people."""


async def play_faults(seed: int) -> str:
    """Calls go wrong, people cancel."""
    scenario = chaos(seed)
    with anyio.fail_after(LONGEST):
        await scenario.world.run()
    return _verdict(scenario)


async def play_crashes(seed: int) -> str:
    """The process dies at a random event, several times; each time another goes on with what was durable, at once."""
    scenario = chaos(seed, orders=False)
    random = Random(seed)  # noqa: S311 - a scenario, not a secret
    with anyio.fail_after(LONGEST * (DEATHS + 1)):
        for _ in range(DEATHS):
            records = scenario.world.journal.records
            await _live(scenario, dies_at=len(records) + random.randint(2, 40))
        await _live(scenario)
    return _verdict(scenario)


async def play_rollbacks(seed: int) -> str:
    """Releases that fail or are cancelled go back, over deaths of the process in either half."""
    scenario = backwards(seed)
    random = Random(seed)  # noqa: S311 - a scenario, not a secret
    with anyio.fail_after(LONGEST * (DEATHS + 2)):
        for _ in range(random.randint(0, DEATHS)):
            records = scenario.world.journal.records
            await _live(scenario, dies_at=len(records) + random.randint(2, 60))
        await _live(scenario)
        if scenario.world.state.detached is not None:
            scenario.orders = ()
            await _live(scenario)
    found = back_violations(scenario)
    children = [
        line
        for name, journal in scenario.world.children.items()
        for line in [f"journal of {name}:", *(f"  {r.seq} {r.ts % 100_000:.1f} {r.event}" for r in journal.records)]
    ]
    return "\n".join([*found, "", *_story(scenario), *children]) if found else ""


async def play_gates(seed: int) -> str:
    """Gates, bakes, hooks and approvals, over deaths of the process and people who take their time."""
    scenario = gated(seed)
    chaos = scenario.chaos
    random = Random(seed)  # noqa: S311 - a scenario, not a secret
    with anyio.fail_after(LONGEST * (DEATHS + LIVES)):
        scenario.deaths = random.randint(0, DEATHS)
        for _ in range(scenario.deaths):
            await _live(chaos, dies_at=len(chaos.world.journal.records) + random.randint(2, 60))
        for _ in range(LIVES):
            await _live(chaos)
            chaos.orders = ()
    found = gate_violations(scenario)
    said = [f"  {moment % 100_000:.1f} {who} {gate} {answer}" for who, gate, moment, answer in scenario.witness.said]
    ran = [f"  {moment % 100_000:.1f} {command}" for _, command, moment in scenario.witness.begun]
    story = [*_story(chaos), "answers:", *said, "commands:", *ran, f"decisions {scenario.decisions}"]
    return "\n".join([*found, "", *story]) if found else ""


async def play_leases(seed: int) -> str:
    """State in a bucket, leases, rivals, processes that die at any await or freeze and wake up again."""
    with anyio.fail_after(LONGEST * 5):
        found, cluster = await play_cluster(seed)
    return _cluster_story(found, cluster) if found else ""


SIMULATIONS: Mapping[str, Callable[[int], Awaitable[str]]] = {
    "faults": play_faults,
    "crashes": play_crashes,
    "rollbacks": play_rollbacks,
    "gates": play_gates,
    "leases": play_leases,
}


def play(name: str, seed: int) -> str:
    """Plays one seed in virtual time. Empty when all promises were kept, else the story, with how to replay it."""
    loop = looptime.new_event_loop(start=1000.0, noop_cycles=1)
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            story = runner.run(_awaited(name, seed))
    except Exception:  # noqa: BLE001 - whatever the engine raises is a violation with this seed's name
        story = traceback.format_exc()
    return f"{name} seed {seed}; again: {replay(name, seed)}\n{story}" if story else ""


def replay(name: str, seed: int) -> str:
    """The command that plays it again."""
    return f"python tests/simulate.py --only {name} --seed {seed}"


async def _awaited(name: str, seed: int) -> str:
    return await SIMULATIONS[name](seed)


# --- crashes --------------------------------------------------------------------------------------------------------


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


# --- stories --------------------------------------------------------------------------------------------------------


def _verdict(scenario: Chaos) -> str:
    found = violations(scenario)
    return "\n".join([*found, "", *_story(scenario)]) if found else ""


def _cluster_story(found: list[str], cluster: Cluster) -> str:
    notes = sorted(note for process in cluster.processes for note in process.notes)
    fates = [f"  {process.name} {process.fate}" for process in cluster.processes]
    stories = [line for each in cluster.runs for line in ["", f"run {each.world.run_id}", *_story(each)]]
    return "\n".join([*found, "", "processes:", *fates, *(f"  {note}" for note in notes), *stories])


def _story(scenario: Chaos) -> list[str]:
    world = scenario.world
    made = [
        f"  {each.id} {'/'.join(each.key)} {each.creator} {each.created:.1f}–{each.ends:.1f} {each.status}"
        for each in world.codedeploy.made.values()
    ]
    events = [f"  {r.seq} {r.ts % 100_000:.1f} {r.event}" for r in world.journal.records if "Progress" not in str(r)]
    plan = [f"  {t.id} needs {t.needs} after {t.after} {t.pool} {t.location}" for t in world.targets]
    head = [f"{world.policy}", f"{world.concurrency}", f"{scenario.faults}", f"orders {scenario.orders}"]
    mine = [f"  {t.id}: {[each.id for each in ours(scenario, t)]}" for t in world.targets]
    return [*head, *plan, "made:", *made, "ours:", *mine, "events:", *events]
