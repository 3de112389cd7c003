"""Leases in virtual time: who may hold what, who takes over, and what is left behind."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

import anyio
import pytest

from orchestrator.core.blobs import Blob, PatientBlobs
from orchestrator.core.errors import AnswerLostError, CredentialsError, ExitCode, StateError
from orchestrator.core.lease import LeaseKeeper, LeaseLostError
from orchestrator.core.locks import LOCKS, Holder, LockedError, LockTable, Owner, describe_key, target_key
from orchestrator.core.locktable import holders, unlock
from orchestrator.testing_blobs import MemoryBlobs

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]

API = target_key("111111111111", "eu-west-1", "shop-api", "fleet")
WEB = target_key("111111111111", "eu-west-1", "shop-web", "fleet")
HOST = Owner(host="ci-1", pid=7, user="ann")


class Machines:
    """Processes with a bucket in common; each may have faults of its own."""

    def __init__(self) -> None:
        self.objects: dict[str, Blob] = {}
        self.told: list[Sequence[Holder]] = []

    def attempts(self) -> MemoryBlobs:
        return MemoryBlobs(self.objects)

    def keeper(
        self, run: str, *keys: str, attempts: MemoryBlobs | None = None, wall_clock: float = 1_700_000_000.0
    ) -> LeaseKeeper:
        blobs = PatientBlobs(attempts or self.attempts(), random=Random(1))  # noqa: S311 - jitter, not a secret
        return LeaseKeeper(blobs, run=run, owner=HOST, keys=keys, clock=lambda: wall_clock, on_wait=self.told.append)

    def left(self) -> list[str]:
        """What stands there besides an empty table."""
        table = LockTable.parse(self.objects.get(LOCKS), "memory:")
        return [*table.holders, *(name for name in self.objects if name != LOCKS)]


@pytest.fixture
def machines() -> Machines:
    return Machines()


@asynccontextmanager
async def living(keeper: LeaseKeeper) -> AsyncIterator[None]:
    """A keeper that renews. Outside of this it does nothing, as a process that was stopped."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keeper.keep)
        yield
        tasks.cancel_scope.cancel()


# --- two who want the same -------------------------------------------------------------------------------------------


def test_what_nobody_holds_is_held_at_once_and_released(virtual: Virtual, machines: Machines) -> None:
    async def play() -> None:
        async with machines.keeper("r1", API) as keeper:
            assert not keeper.is_held()
            await keeper.acquire()
            assert keeper.is_held()
            (holder,) = await holders(machines.attempts())
            assert (holder.run, holder.keys, holder.owner) == ("r1", (API,), HOST)
        assert not keeper.is_held()
        assert machines.left() == []
        assert anyio.current_time() - 1000 < 0.1

    virtual(play())


def test_other_targets_are_no_hindrance(virtual: Virtual, machines: Machines) -> None:
    async def play() -> None:
        async with machines.keeper("r1", API) as first, machines.keeper("r2", WEB) as second:
            await first.acquire()
            await second.acquire()
            assert first.is_held()
            assert second.is_held()

    virtual(play())


def test_a_living_holder_is_named_with_exit_code_6(virtual: Virtual, machines: Machines) -> None:
    async def play() -> None:
        async with machines.keeper("r1", API, WEB) as first, living(first):
            await first.acquire()
            began = anyio.current_time()
            second = machines.keeper("r2", API)
            with pytest.raises(LockedError) as caught:
                await second.acquire()
            assert anyio.current_time() - began <= 12  # one renewal shows that it lives
            error = caught.value
            assert error.exit_code is ExitCode.BLOCKED
            assert error.message == (
                "shop-api/fleet in eu-west-1 (111111111111) is held by run r1, since 2023-11-14T22:13:20Z, "
                "process 7 of ann on ci-1"
            )
            assert error.hint is not None
            assert "--lock-wait" in error.hint
            assert "orchestrator unlock r1" in error.hint
            assert [[holder.run for holder in told] for told in machines.told] == [["r1"]]
            assert first.is_held()
            assert len(machines.left()) == 2  # the first's entry and sign of life

    virtual(play())


def test_a_second_process_of_the_same_run_is_told_so(virtual: Virtual, machines: Machines) -> None:
    async def play() -> None:
        async with machines.keeper("r1", API) as first, living(first):
            await first.acquire()
            with pytest.raises(LockedError, match=r"run r1 is being carried on by process 7 of ann on ci-1"):
                await machines.keeper("r1", WEB).acquire()  # with a changed manifest, so with no target in common

    virtual(play())


def test_who_waits_gets_it_when_it_is_released(virtual: Virtual, machines: Machines) -> None:
    async def play() -> None:
        first, second = machines.keeper("r1", API), machines.keeper("r2", API)
        await first.acquire()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first.keep)
            tasks.start_soon(second.acquire, 600.0)
            await anyio.sleep(300)
            assert first.is_held()
            assert not second.is_held()
            await first.release()
        assert 300 <= anyio.current_time() - 1000 < 315
        assert second.is_held()

    virtual(play())


def test_waiting_ends_after_lock_wait(virtual: Virtual, machines: Machines) -> None:
    async def play() -> None:
        async with machines.keeper("r1", API) as first, living(first):
            await first.acquire()
            with pytest.raises(LockedError):
                await machines.keeper("r2", API).acquire(120)
            assert 120 <= anyio.current_time() - 1000 < 125

    virtual(play())


def test_all_or_none(virtual: Virtual, machines: Machines) -> None:
    """Two that want each other's targets in turn: none ever holds a part, so there is no deadlock."""

    async def play() -> None:
        held: list[tuple[str, ...]] = []

        async def use(run: str, *keys: str) -> None:
            async with machines.keeper(run, *keys) as keeper:
                await keeper.acquire(3600)
                async with living(keeper):
                    held.append(keys)
                    await anyio.sleep(60)
                    assert keeper.is_held()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(use, "r1", API, WEB)
            tasks.start_soon(use, "r2", WEB, API)
            tasks.start_soon(use, "r3", API)
            tasks.start_soon(use, "r4", WEB)
        assert len(held) == 4
        assert machines.left() == []

    virtual(play())


def test_a_thousand_targets_are_one_write(virtual: Virtual, machines: Machines) -> None:
    async def play() -> None:
        attempts = machines.attempts()
        keys = [target_key("1" * 12, "eu-west-1", f"app-{number}", "fleet") for number in range(1000)]
        async with machines.keeper("r1", *keys, attempts=attempts) as keeper:
            await keeper.acquire()
            assert attempts.calls["put"] == 3  # sign of life, table, first renewal
            async with living(keeper):
                with pytest.raises(LockedError, match="and 995 more are held by run r1"):
                    await machines.keeper("r2", *keys).acquire()

    virtual(play())


# --- the dead, and those who only seemed so --------------------------------------------------------------------------


def test_the_dead_are_taken_over_after_30_s_without_lock_wait(virtual: Virtual, machines: Machines) -> None:
    async def play() -> None:
        dead = machines.keeper("r1", API)
        await dead.acquire()
        second = machines.keeper("r1", API)  # the same run, resumed
        await second.acquire()
        assert 30 <= anyio.current_time() - 1000 < 35
        assert second.is_held()
        assert [holder.run for holder in await holders(machines.attempts())] == ["r1"]
        await second.release()
        assert machines.left() == []

    virtual(play())


def test_clocks_of_the_wall_do_not_matter(virtual: Virtual, machines: Machines) -> None:
    """A holder whose clock is a year behind is no less alive, and one from the future no less dead."""

    async def play() -> None:
        past = machines.keeper("r1", API, wall_clock=1.0)
        await past.acquire()
        async with living(past):
            with pytest.raises(LockedError):
                await machines.keeper("r2", API, wall_clock=4_000_000_000.0).acquire(100)
            assert past.is_held()
        future = machines.keeper("r3", WEB, wall_clock=4_000_000_000.0)
        await future.acquire()
        began = anyio.current_time()
        heir = machines.keeper("r4", WEB, wall_clock=1.0)
        await heir.acquire()
        assert anyio.current_time() - began < 35
        assert heir.is_held()

    virtual(play())


def test_a_holder_that_wakes_up_has_lost(virtual: Virtual, machines: Machines) -> None:
    async def play() -> None:
        sleeper, heir = machines.keeper("r1", API), machines.keeper("r2", API)
        await sleeper.acquire()
        await anyio.sleep(20)
        assert not sleeper.is_held()  # it stops believing well before anybody may take over
        await heir.acquire()
        async with living(sleeper), living(heir):
            await anyio.sleep(1)
            assert sleeper.lost.is_set()
            with pytest.raises(LeaseLostError, match="another process has taken over") as caught:
                await sleeper.ensure()
            assert caught.value.code == "LeaseLost"
            await anyio.sleep(100)
            assert heir.is_held()
        await sleeper.release()
        assert heir.is_held()
        assert [holder.run for holder in await holders(machines.attempts())] == ["r2"]
        await heir.release()
        assert machines.left() == []

    virtual(play())


def test_a_holder_that_wakes_up_in_time_goes_on(virtual: Virtual, machines: Machines) -> None:
    async def play() -> None:
        sleeper, other = machines.keeper("r1", API), machines.keeper("r2", API)
        await sleeper.acquire()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other.acquire, 50.0)
            await anyio.sleep(29)
            assert not sleeper.is_held()
            await sleeper.ensure()  # the call that it was about to make waits for a renewal
            assert sleeper.is_held()
            tasks.cancel_scope.cancel()
        assert not other.is_held()

    virtual(play())


def test_a_holder_that_wakes_up_while_it_is_being_taken_over_keeps_its_lease(
    virtual: Virtual, machines: Machines
) -> None:
    """Its renewal arrives after the last look at it, and before the end mark."""

    async def play() -> None:
        sleeper = machines.keeper("r1", API)
        await sleeper.acquire()
        attempts = machines.attempts()

        async def wake_it(operation: str, name: str) -> None:
            if operation == "put" and "r1." in name:
                await sleeper.ensure()

        attempts.before = wake_it
        with pytest.raises(LockedError):
            await machines.keeper("r2", API, attempts=attempts).acquire()
        assert anyio.current_time() - 1000 >= 30
        assert sleeper.is_held()
        async with living(sleeper):
            await anyio.sleep(100)
            assert sleeper.is_held()
        await sleeper.release()
        assert machines.left() == []

    virtual(play())


def test_of_many_heirs_one_takes_over(virtual: Virtual, machines: Machines) -> None:
    async def play() -> None:
        await machines.keeper("r1", API).acquire()
        heirs = [machines.keeper(f"r{number}", API) for number in range(2, 8)]

        async def inherit(heir: LeaseKeeper) -> None:
            with suppress(LockedError):
                await heir.acquire()
                await heir.keep()

        async with anyio.create_task_group() as tasks:
            for heir in heirs:
                tasks.start_soon(inherit, heir)
            await anyio.sleep(60)
            assert sum(heir.is_held() for heir in heirs) == 1
            tasks.cancel_scope.cancel()

    virtual(play())


def test_a_takeover_that_died_half_way_is_finished_by_the_next(virtual: Virtual, machines: Machines) -> None:
    async def play() -> None:
        await machines.keeper("r1", API).acquire()
        attempts = machines.attempts()

        async def die_before_the_table(operation: str, name: str) -> None:
            if (operation, name) == ("put", LOCKS):
                await anyio.sleep_forever()

        attempts.before = die_before_the_table
        with anyio.move_on_after(45):
            await machines.keeper("r2", API, attempts=attempts)._acquire(2000.0)
        began = anyio.current_time()
        third = machines.keeper("r3", API)
        await third.acquire()
        assert anyio.current_time() - began < 1  # an end mark needs no watching
        assert third.is_held()

    virtual(play())


def test_a_sign_of_life_that_was_deleted_by_hand_is_watched_like_any_other(
    virtual: Virtual, machines: Machines
) -> None:
    async def play() -> None:
        robbed = machines.keeper("r1", API)
        await robbed.acquire()
        del machines.objects[next(name for name in machines.objects if name != LOCKS)]
        second = machines.keeper("r2", API)
        await second.acquire()
        assert anyio.current_time() - 1000 >= 30
        async with living(robbed):
            await anyio.sleep(1)
        assert robbed.lost.is_set()
        assert second.is_held()

    virtual(play())


# --- what gets lost on the way ---------------------------------------------------------------------------------------


def lose_every(number: int, operation: str) -> Callable[[str, str], Coroutine[Any, Any, None]]:
    count = 0

    async def hook(called: str, name: str) -> None:
        nonlocal count
        await anyio.sleep(0.1)
        if called == operation:
            count += 1
            if count % number == 0:
                raise AnswerLostError("connection reset", operation=operation)

    return hook


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("every", [2, 3])
def test_lost_answers_lose_no_lease(virtual: Virtual, machines: Machines, where: str, every: int) -> None:
    async def play() -> None:
        attempts = machines.attempts()
        setattr(attempts, where, lose_every(every, "put"))
        async with machines.keeper("r1", API, attempts=attempts) as keeper:
            await keeper.acquire()
            async with living(keeper):
                for _ in range(100):
                    await anyio.sleep(10)
                    assert keeper.is_held()
                assert not keeper.lost.is_set()
        assert machines.left() == []

    virtual(play())


def test_a_renewal_given_up_but_carried_out_is_ones_own(virtual: Virtual, machines: Machines) -> None:
    async def play() -> None:
        attempts = machines.attempts()
        async with machines.keeper("r1", API, attempts=attempts) as keeper:
            await keeper.acquire()

            async def never_answer(operation: str, name: str) -> None:
                if operation == "put":
                    await anyio.sleep_forever()

            attempts.after = never_answer
            with anyio.move_on_after(1):
                await keeper.renew()
            attempts.after = lose_every(1000, "put")
            await anyio.sleep(25)
            await keeper.ensure()
            assert keeper.is_held()

    virtual(play())


def test_an_outage_stops_the_run_from_starting_things_until_it_ends(virtual: Virtual, machines: Machines) -> None:
    async def play() -> None:
        attempts = machines.attempts()
        async with machines.keeper("r1", API, attempts=attempts) as keeper:
            await keeper.acquire()
            async with living(keeper):

                async def down(operation: str, name: str) -> None:
                    raise AnswerLostError("could not connect")

                up, attempts.before = attempts.before, down
                await anyio.sleep(25)
                assert not keeper.is_held()
                with pytest.raises(LeaseLostError, match="could not be renewed in time"):
                    await keeper.ensure()
                attempts.before = up
                await anyio.sleep(60)
                assert keeper.is_held()  # nobody has taken over: the renewal that got through proves it

    virtual(play())


def test_without_rights_it_says_so_at_once(virtual: Virtual, machines: Machines) -> None:
    async def play() -> None:
        attempts = machines.attempts()

        async def denied(operation: str, name: str) -> None:
            if operation == "put":
                raise CredentialsError(
                    "not yours", operation="PutObject", code="AccessDenied", hint="allow s3:PutObject"
                )

        attempts.before = denied
        with pytest.raises(StateError, match="AccessDenied") as caught:
            await machines.keeper("r1", API, attempts=attempts).acquire()
        assert caught.value.hint == "allow s3:PutObject"

    virtual(play())


def test_a_table_that_cannot_be_read_is_said(virtual: Virtual, machines: Machines) -> None:
    async def play() -> None:
        for content in (
            b"",
            b"[]",
            b'{"version":1}',
            b'{"version":2,"holders":{}}',
            b'{"version":1,"holders":{"a":{}}}',
        ):
            machines.attempts().write(LOCKS, content)
            with pytest.raises(StateError, match=r"memory:/locks\.json"):
                await machines.keeper("r1", API).acquire()
            assert [*machines.objects] == [LOCKS]

    virtual(play())


# --- leaving nothing behind ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", range(1, 13))
@pytest.mark.parametrize("where", ["before", "after"])
def test_cancelled_at_any_call_of_acquire_it_leaves_nothing(
    virtual: Virtual, machines: Machines, where: str, step: int
) -> None:
    async def play() -> None:
        dead = machines.keeper("r0", API)
        await dead.acquire()
        await anyio.sleep(30)
        attempts = machines.attempts()
        scope = anyio.CancelScope()
        calls = 0

        async def cancel_here(operation: str, name: str) -> None:
            nonlocal calls
            calls += 1
            if calls == step:
                scope.cancel()
            await anyio.lowlevel.checkpoint()

        setattr(attempts, where, cancel_here)
        keeper = machines.keeper("r1", API, attempts=attempts)
        with scope:
            await keeper.acquire()
        await keeper.release()
        assert not keeper.is_held()
        assert [name for name in machines.left() if "r1." in name] == []

    virtual(play())


def test_a_table_write_that_arrives_after_it_was_cancelled_comes_too_late(virtual: Virtual, machines: Machines) -> None:
    async def play() -> None:
        late: list[tuple[str, bytes, bool, str | None]] = []

        class Slow(MemoryBlobs):
            async def put(self, name: str, content: bytes, *, absent: bool = False, match: str | None = None) -> str:
                if name == LOCKS and not late:
                    late.append((name, content, absent, match))
                    await anyio.sleep_forever()
                return await super().put(name, content, absent=absent, match=match)

        attempts = Slow(machines.objects)
        with anyio.move_on_after(1):
            await machines.keeper("r1", API, attempts=attempts).acquire()
        name, content, absent, match = late[0]
        with pytest.raises(StateError):
            attempts.write(name, content, absent=absent, match=match)
        assert machines.left() == []

    virtual(play())


# --- unlock ----------------------------------------------------------------------------------------------------------


def test_unlock_takes_the_locks_of_one_run_away(virtual: Virtual, machines: Machines) -> None:
    async def play() -> None:
        first, second = machines.keeper("r1", API), machines.keeper("r2", WEB)
        await first.acquire()
        await second.acquire()
        blobs = PatientBlobs(machines.attempts(), random=Random(1))  # noqa: S311 - jitter, not a secret
        assert [holder.run for holder in await unlock(blobs, "nobody")] == []
        (gone,) = await unlock(blobs, "r1")
        assert (gone.run, gone.keys) == ("r1", (API,))
        async with living(first), living(second):
            await anyio.sleep(11)
            assert first.lost.is_set()
            assert second.is_held()
            async with machines.keeper("r3", API) as third:
                await third.acquire()
        assert [holder.run for holder in await unlock(blobs)] == ["r2"]
        assert machines.left() == []

    virtual(play())


def test_after_release_nothing_is_written_any_more(virtual: Virtual, machines: Machines) -> None:
    async def play() -> None:
        keeper = machines.keeper("r1", API)
        await keeper.acquire()
        async with living(keeper):
            await keeper.release()
            await anyio.sleep(100)
        with pytest.raises(LeaseLostError):
            await keeper.ensure()
        assert machines.left() == []

    virtual(play())


def test_keys_are_shown_as_people_know_them() -> None:
    role = "arn:aws:iam::222222222222:role/team/deploy"
    assert describe_key(target_key(role, "eu-west-1", "app", "fleet")) == f"app/fleet in eu-west-1 ({role})"
    assert describe_key("odd") == "odd"
    table = LockTable.parse(Blob(json.dumps({"version": 1, "holders": {}}).encode(), "t"), "x")
    assert table.holders == {}
