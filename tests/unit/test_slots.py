"""Places under several limits at once: who gets one, and when."""

from __future__ import annotations

import anyio
import pytest
from world import target

from orchestrator.core.model import Concurrency, Location, Target
from orchestrator.core.slots import Slots

pytestmark = pytest.mark.anyio

FAR = Location(region="us-east-1")


async def holder(slots: Slots, who: Target, order: list[str], until: anyio.Event | None = None) -> None:
    async with slots.hold(who):
        order.append(who.application)
        if until is not None:
            await until.wait()


async def test_places_go_by_arrival_whatever_the_layers() -> None:
    slots, order, busy = Slots(Concurrency(deployments=1, pools={"database": 1})), list[str](), anyio.Event()
    waiting = [
        target("far/g", location=FAR),
        target("near/g"),
        target("pooled/g", pool="database"),
        target("far2/g", location=FAR),
        target("near2/g"),
    ]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(holder, slots, target("first/g"), order, busy)
        await anyio.wait_all_tasks_blocked()
        for each in waiting:
            tasks.start_soon(holder, slots, each, order)
        await anyio.wait_all_tasks_blocked()
        assert order == ["first"]
        busy.set()
    assert order == ["first", "far", "near", "pooled", "far2", "near2"]


async def test_whoever_fits_goes_past_those_who_do_not() -> None:
    slots, order, busy = Slots(Concurrency(per_region=1)), list[str](), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(holder, slots, target("near/g"), order, busy)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(holder, slots, target("near2/g"), order)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(holder, slots, target("far/g", location=FAR), order)
        await anyio.wait_all_tasks_blocked()
        assert order == ["near", "far"]
        busy.set()
    assert order == ["near", "far", "near2"]


async def test_one_who_gives_up_takes_no_place() -> None:
    slots, order, busy = Slots(Concurrency(deployments=1)), list[str](), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(holder, slots, target("first/g"), order, busy)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0) as impatient:
            await holder(slots, target("impatient/g"), order)
        tasks.start_soon(holder, slots, target("last/g"), order)
        await anyio.wait_all_tasks_blocked()
        busy.set()
        await anyio.wait_all_tasks_blocked()
        assert impatient.cancelled_caught
        assert order == ["first", "last"]


async def test_closing_lets_all_in() -> None:
    slots, order, busy = Slots(Concurrency(deployments=1, per_region=1)), list[str](), anyio.Event()
    async with anyio.create_task_group() as tasks:
        for name in ("a", "b", "c"):
            tasks.start_soon(holder, slots, target(f"{name}/g"), order, busy)
        await anyio.wait_all_tasks_blocked()
        assert order == ["a"]
        slots.close()
        await anyio.wait_all_tasks_blocked()
        assert order == ["a", "b", "c"]
        busy.set()


async def test_what_runs_already_counts_whether_there_is_room_or_not() -> None:
    slots, order = Slots(Concurrency(deployments=2)), list[str]()
    async with anyio.create_task_group() as tasks:
        with slots.keep(target("one/g")), slots.keep(target("two/g")), slots.keep(target("three/g")):
            tasks.start_soon(holder, slots, target("new/g"), order)
            await anyio.wait_all_tasks_blocked()
            assert not order, "all places are taken"
        assert not order, "a place is free, and whoever waits for it has still to wake"
    assert order == ["new"]


async def test_a_place_given_to_one_who_is_just_leaving_goes_on_to_the_next() -> None:
    slots, order, busy = Slots(Concurrency(deployments=1)), list[str](), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(holder, slots, target("first/g"), order, busy)
        await anyio.wait_all_tasks_blocked()
        with anyio.CancelScope() as leaving:
            async with anyio.create_task_group() as inner:
                inner.start_soon(holder, slots, target("leaver/g"), order)
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(holder, slots, target("next/g"), order)
                await anyio.wait_all_tasks_blocked()
                busy.set()
                leaving.cancel()
    assert "next" in order


async def test_closed_lets_everybody_in() -> None:
    slots, order, busy = Slots(Concurrency(deployments=1, pools={"database": 1})), list[str](), anyio.Event()
    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(holder, slots, target(f"a{number}/g", pool="database"), order, busy)
        await anyio.wait_all_tasks_blocked()
        assert len(order) == 1
        slots.close()
        await anyio.wait_all_tasks_blocked()
        assert len(order) == 5
        busy.set()
