"""A release as parts, and its journals read as one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine
from dataclasses import replace
from random import Random
from typing import Any

import anyio
import pytest
from world import HERE, World, target

from orchestrator.core import events as ev
from orchestrator.core.controls import Controls, GateSpec
from orchestrator.core.merging import PART_OF, PARTS
from orchestrator.core.model import Concurrency, Location, Outcome, Target, TargetState
from orchestrator.core.notification_specs import NotificationSpec
from orchestrator.core.outcome import outcome_of
from orchestrator.core.parts import part_id, split
from orchestrator.core.plan import Plan, Step, order, step_to_dict
from orchestrator.core.ports import Journal
from orchestrator.core.recorder import Recorder
from orchestrator.core.state import RunState, fold
from orchestrator.store.blobstore import BlobStore
from orchestrator.store.whole import WholeRuns
from orchestrator.testing import EventLog, MemoryJournal, Script, ScriptedCodeDeploy, wall_clock
from orchestrator.testing_blobs import MemoryBlobs

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]


def plan_of(targets: list[Target], **more: Any) -> Plan:
    steps = tuple(Step(target=each) for each in order(targets))
    return Plan(release="r", environment="e", manifest="m", manifest_digest="", steps=steps, **more)


def place(number: int) -> Location:
    return Location(region="eu-west-1", role_arn=f"arn:aws:iam::{number:012d}:role/deploy")


def ids(plan: Plan, concurrency: Concurrency | None = None, most: int = 16) -> list[list[str]]:
    return [[step.target.id for step in part.steps] for part in split(plan, concurrency or Concurrency(), most)]


def test_accounts_and_regions_are_parts() -> None:
    targets = [target(f"a{number}/g", location=place(number % 3)) for number in range(7)]
    assert ids(plan_of(targets)) == [["a0/g", "a3/g", "a6/g"], ["a1/g", "a4/g"], ["a2/g", "a5/g"]]


@pytest.mark.parametrize("edge", ["needs", "after"])
def test_who_waits_for_another_is_in_its_part(edge: str) -> None:
    targets = [target("a/g", location=place(1)), target("b/g", location=place(2), **{edge: ["a/g"]})]
    assert ids(plan_of(targets)) == [["a/g", "b/g"]]


def test_a_pool_ties_only_where_it_has_a_limit() -> None:
    targets = [target(f"{name}/g", location=place(number), pool="db") for number, name in enumerate("ab")]
    assert ids(plan_of(targets)) == [["a/g"], ["b/g"]]
    assert ids(plan_of(targets), Concurrency(pools={"db": 1})) == [["a/g", "b/g"]]


def test_gates_of_the_run_itself_hold_it_together() -> None:
    targets = [target("a/g", location=place(1)), target("b/g", location=place(2))]
    gate = GateSpec(name="cab", kind="approval", settings={})
    assert ids(plan_of(targets, controls=Controls(gates_before=(gate,)))) == [["a/g", "b/g"]]


def test_who_is_told_of_a_run_is_told_of_all_of_it() -> None:
    targets = [target("a/g", location=place(1)), target("b/g", location=place(2))]
    told = NotificationSpec(name="team", kind="slack", events=("finished",), settings={"channel": "x"})
    assert ids(plan_of(targets, notifications=(told,))) == [["a/g", "b/g"]]


def test_what_the_release_limits_is_divided_and_never_more_in_all() -> None:
    random = Random(1)  # noqa: S311 - scenarios, no secrets
    for _ in range(300):
        targets = [target(f"t{n}/g", location=place(random.randint(1, 30))) for n in range(random.randint(1, 60))]
        limit, most = random.choice([None, 1, 2, 5, 12, 100]), random.randint(1, 20)
        parts = split(plan_of(targets), Concurrency(deployments=limit), most)
        assert len(parts) <= most
        named = [step.target.id for part in parts for step in part.steps]
        assert sorted(named) == sorted(each.id for each in targets), "each target is in one part"
        where = [{step.target.location for step in part.steps} for part in parts]
        assert not any(one & other for one, other in itertools.combinations(where, 2)), "a budget is one part's"
        shares = [part.concurrency.deployments for part in parts]
        if limit is None:
            assert shares == [None] * len(parts)
        else:
            assert all(share is not None and share >= 1 for share in shares)
            assert sum(share or 0 for share in shares) <= limit


# --- read as one -----------------------------------------------------------------------------------------------------

RUN = "20261126-010101-abcdef"
THERE = Location(region="us-east-1")


class Told(EventLog):
    """What a view was told, with the state that it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: list[int] = []

    def handle(self, record: ev.Record, state: RunState) -> None:
        super().handle(record, state)
        self.numbers.append(record.seq)
        assert record.run == RUN
        assert state.last_seq == record.seq


def started(plan: Plan, **options: Any) -> ev.RunStarted:
    return ev.RunStarted(
        release="r",
        environment="e",
        manifest="m",
        manifest_digest="",
        targets=tuple(step_to_dict(step) for step in plan.steps),
        policy={},
        concurrency={},
        version="0",
        host="h",
        pid=1,
        options=options,
    )


async def record(store: BlobStore, run: str, *events: ev.Event, new: bool = False) -> None:
    async with store.open_journal(run, new=new) as journal:
        state = fold(journal.found.records)
        recorder = Recorder(run=run, state=state, journal=journal, sinks=[], clock=wall_clock)
        for event in events:
            recorder.record(event)


async def carry_out(store: BlobStore, run: str, world: World) -> None:
    """A part, by the engine itself."""
    async with store.open_journal(run, new=False) as journal:
        records = list(journal.found.records)
        await replace(world, run_id=run, journal=_Kept(journal), state=fold(records)).run()


class _Kept(MemoryJournal):
    """The part's journal, as the world wants it."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def append(self, record: ev.Record) -> None:
        self._journal.append(record)

    async def flush(self) -> None:
        await self._journal.flush()

    async def publish(self) -> None:
        await self._journal.publish()


def worlds() -> tuple[list[Target], dict[str, World]]:
    here = [target("a/g", location=HERE), target("b/g", location=HERE, needs=["a/g"])]
    there = [target("c/g", location=THERE), target("d/g", location=THERE, needs=["c/g"])]
    failing = ScriptedCodeDeploy({("c", "g"): Script(status="Failed", seconds=3.0)})
    return [*here, *there], {"p1": World(here), "p2": World(there, codedeploy=failing)}


async def begin(store: BlobStore, targets: list[Target], parts: dict[str, World]) -> list[str]:
    names = [part_id(RUN, number) for number in range(1, len(parts) + 1)]
    await record(store, RUN, started(plan_of(targets), **{PARTS: names}), new=True)
    for name, world in zip(names, parts.values(), strict=True):
        await record(store, name, started(plan_of(list(world.targets)), **{PART_OF: RUN}), new=True)
    return names


def test_a_run_and_its_parts_are_one_run(virtual: Virtual) -> None:
    async def play() -> None:
        targets, parts = worlds()
        store = BlobStore(MemoryBlobs())
        runs = WholeRuns(store)
        names = await begin(store, targets, parts)
        told = Told()
        tail = runs.tail(RUN, [told])
        await tail.read()
        assert {str(each.state) for each in tail.state.targets.values()} == {"pending"}
        async with anyio.create_task_group() as tasks:
            for name, world in zip(names, parts.values(), strict=True):
                tasks.start_soon(carry_out, store, name, world)
        await record(store, RUN, ev.RunFinished(outcome=Outcome.FAILED, exit_code=3))
        await tail.read()
        found = await runs.load_run(RUN)
        states = {name: str(each.state) for name, each in found.targets.items()}
        assert states == {"a/g": "succeeded", "b/g": "succeeded", "c/g": "failed", "d/g": "skipped"}
        assert {name: str(each.state) for name, each in tail.state.targets.items()} == states
        assert found.outcome is tail.state.outcome is outcome_of(found) is Outcome.FAILED
        assert found.targets["d/g"].blocked_by == ("c/g",)
        assert told.numbers == list(range(1, found.last_seq + 1))
        assert sum(isinstance(event, ev.RunStarted) for event in told.events) == 1
        assert isinstance(told.events[-1], ev.RunFinished)

    virtual(play())


def test_parts_aren_t_listed_and_a_beginning_means_the_run(virtual: Virtual) -> None:
    async def play() -> None:
        targets, parts = worlds()
        store = BlobStore(MemoryBlobs())
        names = await begin(store, targets, parts)
        runs = WholeRuns(store)
        assert [each.run for each in await runs.list_runs()] == [RUN]
        assert await runs.find_run(None) == await runs.find_run(RUN[:10]) == RUN
        assert await runs.find_run(names[1]) == names[1]
        assert [each.run for each in await store.list_runs()] == sorted([RUN, *names], reverse=True)

    virtual(play())


def test_a_part_that_is_resumed_brings_back_its_own_targets_only(virtual: Virtual) -> None:
    async def play() -> None:
        targets, parts = worlds()
        store = BlobStore(MemoryBlobs())
        first, second = await begin(store, targets, parts)
        for name, mine in ((first, "a/g"), (second, "c/g")):
            await record(store, name, ev.TargetFinished(target=mine, state=TargetState.ERRORED, reason="lost"))
        await record(store, second, ev.RunResumed(version="0", host="h", pid=1))
        state = await WholeRuns(store).load_run(RUN)
        assert {name: str(each.state) for name, each in state.targets.items() if name in {"a/g", "c/g"}} == {
            "a/g": "errored",
            "c/g": "pending",
        }

    virtual(play())
