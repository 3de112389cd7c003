"""The budget: its rate, its order, and what a waiter that goes away leaves behind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import anyio
import pytest

from orchestrator.core.limiter import AGEING, CUT, SLOW_START_CUT, SLOW_START_GROWTH, Budget, Priority, Ticket

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]
START = 1000.0


class CountingClock:
    """anyio's clock, which counts how often it is looked at: a busy loop shows."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        assert self.looks < 100_000, "a busy loop"
        return anyio.current_time()


async def call(budget: Budget, priority: Priority, done: list[tuple[str, float]], name: str = "") -> None:
    await budget.acquire(priority)
    done.append((name, anyio.current_time() - START))


async def settle() -> None:
    """Lets every task come to where it waits; no time passes."""
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


# --- the rate -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.2, 1.0, 7.3, 40.0, 300.0])
def test_calls_are_spaced_by_the_rate(virtual: Virtual, rate: float) -> None:
    done: list[tuple[str, float]] = []
    clock = CountingClock()

    async def play() -> None:
        budget = Budget(rate=rate, ceiling=1000.0, clock=clock)
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(call, budget, Priority.POLL, done)

    virtual(play())
    times = [moment for _, moment in done]
    assert times[-1] == pytest.approx(49 / rate, rel=0.05)
    burst = max(1.0, rate * 0.05)
    assert all(sum(1 for each in times if begin <= each < begin + 1) <= rate + burst + 1 for begin in times)
    assert clock.looks < 50 * 12


def test_an_idle_budget_saves_nothing_up_for_a_burst(virtual: Virtual) -> None:
    done: list[tuple[str, float]] = []

    async def play() -> None:
        budget = Budget(rate=5.0)
        await anyio.sleep(3600)
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(call, budget, Priority.POLL, done)

    virtual(play())
    assert all(later - earlier > 0.19 for (_, earlier), (_, later) in pairwise(done))


# --- finding the rate -----------------------------------------------------------------------------------------------


async def pressed(budget: Budget) -> Ticket:
    """A call that somebody waits behind."""
    ticket = await budget.acquire(Priority.POLL)
    budget.succeeded()
    return ticket


def test_the_rate_grows_until_the_first_throttle_and_then_slowly(virtual: Virtual) -> None:
    async def play() -> None:
        budget = Budget(rate=5.0, ceiling=1000.0)
        tickets = [await pressed(budget) for _ in range(10)]
        assert budget.rate == pytest.approx(5.0 * SLOW_START_GROWTH**10)
        before = budget.rate
        assert budget.throttled(tickets[-1])
        assert budget.rate == pytest.approx(before * SLOW_START_CUT)
        halved, began = budget.rate, anyio.current_time()
        while anyio.current_time() - began < 10:
            await pressed(budget)
        assert halved * 1.05 < budget.rate < halved * 1.15

    virtual(play())


def test_calls_that_were_under_way_cut_the_rate_once(virtual: Virtual) -> None:
    async def play() -> None:
        budget = Budget(rate=10.0)
        tickets = [await budget.acquire(Priority.POLL) for _ in range(5)]
        assert [budget.throttled(ticket) for ticket in tickets] == [True, False, False, False, False]
        assert budget.throttles == 5
        rate = budget.rate
        assert budget.throttled(await budget.acquire(Priority.POLL))
        assert budget.rate == pytest.approx(rate * CUT)

    virtual(play())


def test_the_rate_keeps_between_floor_and_ceiling(virtual: Virtual) -> None:
    async def play() -> None:
        budget = Budget(rate=1.0, floor=0.5, ceiling=2.0)
        for _ in range(20):
            await pressed(budget)
        assert budget.rate == 2.0
        for _ in range(20):
            budget.throttled(await budget.acquire(Priority.POLL))
        assert budget.rate == 0.5
        assert Budget(rate=9.0, ceiling=2.0).rate == 2.0

    virtual(play())


def test_calls_that_nobody_waits_behind_teach_nothing(virtual: Virtual) -> None:
    async def play() -> None:
        budget = Budget(rate=5.0)
        for _ in range(50):
            await budget.acquire(Priority.POLL)
            await anyio.sleep(30)
            budget._refill()
            budget.succeeded()
        assert budget.rate == 5.0

    virtual(play())


def test_against_a_server_few_calls_are_throttled(virtual: Virtual) -> None:
    """A server of 10 calls a second, pressed for minutes."""
    served = refused = 0

    async def client(budget: Budget, tokens: list[float]) -> None:
        nonlocal served, refused
        while anyio.current_time() < START + 150:
            ticket = await budget.acquire(Priority.POLL)
            await anyio.sleep(0.05)
            now = anyio.current_time()
            tokens[0], tokens[1] = min(10.0, tokens[0] + (now - tokens[1]) * 10.0), now
            if tokens[0] < 1:
                refused += 1
                budget.throttled(ticket)
            else:
                tokens[0] -= 1
                served += 1
                budget.succeeded()

    async def play() -> None:
        budget = Budget()
        tokens = [10.0, START]
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(client, budget, tokens)

    virtual(play())
    assert refused <= 0.03 * (served + refused)
    assert served >= 0.7 * 10 * 150


# --- the order ------------------------------------------------------------------------------------------------------


async def _queue(budget: Budget, names: list[tuple[str, Priority]], done: list[tuple[str, float]]) -> None:
    async with anyio.create_task_group() as tasks:
        for name, priority in names:
            tasks.start_soon(call, budget, priority, done, name)
            await settle()


def test_the_urgent_go_first_and_equals_by_arrival(virtual: Virtual) -> None:
    done: list[tuple[str, float]] = []
    names = [
        ("now", Priority.LIST),
        ("list", Priority.LIST),
        ("poll", Priority.POLL),
        ("poll2", Priority.POLL),
        ("create", Priority.CREATE),
        ("stop", Priority.STOP),
        ("stop2", Priority.STOP),
    ]

    async def play() -> None:
        await _queue(Budget(rate=1.0), names, done)

    virtual(play())
    assert [name for name, _ in done] == ["now", "stop", "stop2", "create", "poll", "poll2", "list"]


def test_waiting_makes_up_for_priority(virtual: Virtual) -> None:
    """Creates come in faster than they can be served, and the list has its turn after what its class is worth."""
    done: list[tuple[str, float]] = []

    async def play() -> None:
        budget = Budget(rate=1.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, budget, Priority.LIST, done, "now")
            await settle()
            tasks.start_soon(call, budget, Priority.LIST, done, "list")
            for number in range(60):
                tasks.start_soon(call, budget, Priority.CREATE, done, f"create {number}")
                await anyio.sleep(0.5)

    virtual(play())
    (waited,) = [moment for name, moment in done if name == "list"]
    longest = (Priority.LIST - Priority.CREATE) * AGEING
    assert waited <= 2 * longest + 3, "as many as came in that time are served first, two a second at one a second"


def test_a_stop_waits_behind_nobody_however_long_they_have_waited(virtual: Virtual) -> None:
    done: list[tuple[str, float]] = []

    async def play() -> None:
        budget = Budget(rate=0.25)
        async with anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(call, budget, Priority.POLL, done, f"poll {number}")
            await anyio.sleep(60)
            tasks.start_soon(call, budget, Priority.STOP, done, "stop")

    virtual(play())
    (moment,) = [moment for name, moment in done if name == "stop"]
    assert moment <= 60 + 1 / 0.25


# --- waiters that go away -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("goes", [0, 3, 9])
def test_a_waiter_that_goes_away_takes_no_token_and_stalls_nobody(virtual: Virtual, goes: int) -> None:
    done: list[tuple[str, float]] = []

    async def impatient(budget: Budget) -> None:
        with anyio.move_on_after(0.4):
            await call(budget, Priority.POLL, done, "impatient")

    async def play() -> None:
        budget = Budget(rate=1.0)
        await budget.acquire(Priority.POLL)
        async with anyio.create_task_group() as tasks:
            for number in range(10):
                if number == goes:
                    tasks.start_soon(impatient, budget)
                else:
                    tasks.start_soon(call, budget, Priority.POLL, done, str(number))

    virtual(play())
    assert [name for name, _ in done] == [str(number) for number in range(10) if number != goes]
    assert done[-1][1] == pytest.approx(9.0, abs=0.1)


def test_when_all_go_away_the_next_is_served_at_once(virtual: Virtual) -> None:
    async def play() -> None:
        budget = Budget(rate=1.0)
        await budget.acquire(Priority.POLL)
        with anyio.move_on_after(0.5):
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(budget.acquire, Priority.LIST)
        with anyio.fail_after(0.6):
            await budget.acquire(Priority.LIST)

    virtual(play())


def test_a_storm_of_comings_and_goings_loses_nothing(virtual: Virtual) -> None:
    served: list[tuple[str, float]] = []
    clock = CountingClock()

    async def one(budget: Budget, number: int) -> None:
        await anyio.sleep(number * 0.037)
        with contextlib.suppress(TimeoutError), anyio.fail_after(0.1 + (number * 7919 % 100) / 10):
            await call(budget, Priority(number % 4), served)

    async def play() -> None:
        budget = Budget(rate=5.0, clock=clock)
        async with anyio.create_task_group() as tasks:
            for number in range(400):
                tasks.start_soon(one, budget, number)

    virtual(play())
    seconds = served[-1][1]
    assert len(served) >= 5.0 * min(seconds, 14.0) * 0.98
    assert not any(later < earlier for (_, earlier), (_, later) in pairwise(served))
