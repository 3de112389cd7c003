"""All simulations by name: what a seed of each plays, and its story when a promise was broken."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from random import Random
from typing import Any

import anyio
import looptime
from backwards import back_violations, backwards
from chaos import Chaos, MortalJournal, chaos
from cluster import Cluster, play_cluster
from gated import APPROVED_BY, gate_violations, gated
from invariants import ours, violations
from world import World

from orchestrator.core.approvals import Decision
from orchestrator.core.events import Record, record_from_dict
from orchestrator.core.pausing import Pauses
from orchestrator.core.phases import Phases
from orchestrator.core.state import RunState, fold
from orchestrator.testing import EPOCH

LONGEST = 6000.0
"""Seconds of virtual time in which any of these worlds must come to its end."""
DEATHS = 3
MOST_LOOKS = 2000
"""Of processes that only look in; no world has been seen to need a tenth. Virtual time alone bounds nothing here: a
look may take none."""
PATIENCE = 300.0
"""Seconds after which nobody decides anything any more."""
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


async def play_looks(seed: int) -> str:
    """Nobody stays with the run: processes look in when it is due, and some of them die."""
    scenario = chaos(seed, orders=False)
    await _look_in_until_over(scenario, seed)
    return _verdict(scenario)


async def play_looks_back(seed: int) -> str:
    """The same of releases that fail and go back."""
    scenario = backwards(seed)
    scenario.orders = ()
    await _look_in_until_over(scenario, seed)
    found = back_violations(scenario)
    return "\n".join([*found, "", *_story(scenario)]) if found else ""


async def play_looks_gates(seed: int) -> str:
    """The same of releases with gates, bakes, hooks and approvals."""
    scenario = gated(seed)
    began = anyio.current_time()
    at = {gate: (began + after, approved) for gate, (after, approved) in scenario.decisions.items()}

    async def decide(engine: Phases) -> None:
        for gate, (moment, approved) in sorted(at.items(), key=lambda item: item[1]):
            await anyio.sleep_until(moment)
            engine.approvals.decide(
                Decision(gate=gate, approved=approved, by=APPROVED_BY, given_at=EPOCH + anyio.current_time())
            )

    scenario.deaths = await _look_in_until_over(scenario.chaos, seed, meanwhile=decide)
    found = gate_violations(scenario)
    said = [f"  {moment % 100_000:.1f} {who} {gate} {answer}" for who, gate, moment, answer in scenario.witness.said]
    return "\n".join([*found, "", *_story(scenario.chaos), "answers:", *said]) if found else ""


async def _look_in_until_over(
    scenario: Chaos, seed: int, *, meanwhile: Callable[[Phases], Coroutine[Any, Any, None]] | None = None
) -> int:
    """How many of the processes have died. `meanwhile`: beside each look."""
    random = Random(seed)  # noqa: S311 - a scenario, not a secret
    world = scenario.world
    world.pauses = Pauses.for_interval(world.timing.poll_interval)
    world.meanwhile = meanwhile  # what others do goes on while nobody looks
    deaths = [random.randint(2, 60) for _ in range(random.randint(0, DEATHS))]
    died, began = 0, anyio.current_time()
    with anyio.fail_after(LONGEST * 2):
        async with anyio.create_task_group() as others:
            others.start_soon(scenario.meanwhile, None)
            looks = 0
            while not _is_over(world):
                looks += 1
                assert looks < MOST_LOOKS, f"looked in on {looks} times, and the run isn't over"
                dies_at = len(world.journal.records) + deaths.pop() if deaths and random.random() < 0.3 else None
                died += dies_at is not None
                await _live(scenario, dies_at=dies_at)
                if _waits_for_ever(world, since=began):
                    world.pauses = None  # somebody resumes it, and is told whom it waits for
                    await _live(scenario)
                    break
                if not _is_over(world):
                    await anyio.sleep(_pause(world))
            others.cancel_scope.cancel()
    return died


def _is_over(world: World) -> bool:
    state = fold(world.journal.records)
    return state.is_finished and not state.awaits_rollback


def _waits_for_ever(world: World, since: float) -> bool:
    """For people who have had all the time that they take, and a deadline that doesn't come."""
    return world.rests_until == float("inf") and anyio.current_time() > since + PATIENCE


def _pause(world: World) -> float:
    """Seconds until the next look; where only people can go on, it is looked in on all the same."""
    if world.rests_until is None:
        return 0.0
    waits_for_people = bool(world.state.gates.gates)
    assert world.rests_until < float("inf") or waits_for_people, "nothing is due any more, and the run isn't over"
    return min(120.0, max(0.0, world.rests_until - world.clock()))


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
    "looks": play_looks,
    "looks-back": play_looks_back,
    "looks-gates": play_looks_gates,
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
