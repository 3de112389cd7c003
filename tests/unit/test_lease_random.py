"""Random contenders for the same targets, with lost, late and slow calls and frozen processes: never two live holders.

A seed that fails is a test of its own name. `ORCHESTRATOR_SEEDS=2000` runs more of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from random import Random
from typing import Any

import anyio
import pytest

from orchestrator.core.blobs import Blob, BlobPatience, ConflictError, PatientBlobs
from orchestrator.core.errors import AnswerLostError, OrchestratorError, StateError, ThrottledError
from orchestrator.core.lease import LeaseKeeper
from orchestrator.core.locks import LOCKS, LockTable, Owner
from orchestrator.core.locktable import unlock
from orchestrator.testing_blobs import MemoryBlobs

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]

SEEDS = int(os.environ.get("ORCHESTRATOR_SEEDS", "100"))
KEYS = ("a", "b", "c")
LONGEST = 3600.0


class FoulBlobs(MemoryBlobs):
    """A bucket behind a network where anything may be lost, late or slow."""

    def __init__(self, world: World, *, foul: float) -> None:
        super().__init__(world.objects)
        self._world = world
        self._random = world.random
        self._foul = foul
        self.frozen_until = 0.0

    async def get(self, name: str) -> Blob | None:
        await self._way()
        found = self.objects.get(name)
        await self._way()
        return found

    async def put(self, name: str, content: bytes, *, absent: bool = False, match: str | None = None) -> str:
        if self._random.random() < self._foul / 3:
            # The answer is lost, and the write arrives much later, long after its sender has given it up.
            delay = self._random.choice([0.5, 5.0, 40.0, 70.0])
            self._world.tasks.start_soon(self._write_later, delay, name, content, absent, match)
            await self._way()
            raise AnswerLostError("connection reset")
        await self._way()
        tag = self.write(name, content, absent=absent, match=match)
        await self._way()
        return tag

    async def delete(self, name: str) -> None:
        await self._way()
        self.objects.pop(name, None)
        await self._way()

    async def _write_later(self, delay: float, name: str, content: bytes, absent: bool, match: str | None) -> None:
        await anyio.sleep(delay)
        with suppress(ConflictError):
            self.write(name, content, absent=absent, match=match)

    async def _way(self) -> None:
        await anyio.sleep(self._random.choice([0.0, 0.01, 0.1, 0.1, 1.0, 4.0 if self._foul else 0.0]))
        await anyio.sleep(max(0.0, self.frozen_until - anyio.current_time()))
        if self._random.random() < self._foul:
            raise self._random.choice([AnswerLostError, ThrottledError])("rehearsal")


class World:
    def __init__(self, seed: int, tasks: anyio.abc.TaskGroup) -> None:
        self.random = Random(seed)  # noqa: S311 - a scenario, not a secret
        self.tasks = tasks
        self.objects: dict[str, Blob] = {}
        self.keepers: list[tuple[frozenset[str], LeaseKeeper]] = []
        self.held = 0
        self.overlaps: list[str] = []

    def look(self) -> None:
        """The promise, asked of every process at this moment."""
        for key in KEYS:
            believers = [keeper._me.id for keys, keeper in self.keepers if key in keys and keeper.is_held()]
            if len(believers) > 1:
                self.overlaps.append(f"{anyio.current_time():.2f}: {key} is held by {believers}")

    async def watch(self) -> None:
        while True:
            self.look()
            await anyio.sleep(0.5)

    async def live(self, number: int) -> None:
        """One process: it comes some time, works a while, and goes, dies or is cancelled."""
        random = self.random
        await anyio.sleep(random.uniform(0, 200))
        keys = frozenset(random.sample(KEYS, random.randint(1, len(KEYS))))
        blobs = FoulBlobs(self, foul=random.choice([0.0, 0.0, 0.05, 0.3]))
        patient = PatientBlobs(blobs, random=random, patience=BlobPatience(seconds=random.choice([5.0, 60.0])))
        owner = Owner(host=f"h{number}", pid=number, user="u")
        run = f"r{random.randint(1, 4)}"
        keeper = LeaseKeeper(patient, run=run, owner=owner, keys=keys, nonce=lambda: f"{random.getrandbits(64):x}")
        self.keepers.append((keys, keeper))
        how = random.choice(["releases", "dies", "is cancelled"])
        with anyio.CancelScope() as life:
            if how == "is cancelled":
                life.deadline = anyio.current_time() + random.uniform(0, 60)
            with suppress(OrchestratorError):
                await self._work(keeper, blobs, dies=how == "dies")
        if how != "dies":
            await keeper.release()
            assert not keeper.is_held()

    async def _work(self, keeper: LeaseKeeper, blobs: FoulBlobs, *, dies: bool) -> None:
        random = self.random
        await keeper.acquire(random.choice([0.0, 10.0, 600.0]))
        self.held += 1
        self.look()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keeper.keep)
            for _ in range(random.randint(1, 5)):
                await anyio.sleep(random.uniform(0, 20))
                if random.random() < 0.2:
                    blobs.frozen_until = anyio.current_time() + random.choice([5.0, 25.0, 32.0, 90.0])
                with suppress(OrchestratorError):
                    await keeper.ensure()
                    self.look()
            if random.random() < 0.1:
                with suppress(StateError):
                    await unlock(PatientBlobs(MemoryBlobs(self.objects), random=random), "nobody")
            tasks.cancel_scope.cancel()
        if not dies:
            await keeper.release()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_never_two_live_holders_of_one_target(virtual: Virtual, seed: int) -> None:
    async def play() -> World:
        with anyio.fail_after(LONGEST):
            async with anyio.create_task_group() as network, anyio.create_task_group() as watching:
                world = World(seed, network)
                watching.start_soon(world.watch)
                async with anyio.create_task_group() as processes:
                    for number in range(world.random.randint(2, 7)):
                        processes.start_soon(world.live, number)
                # Whatever they did: a newcomer gets all targets in the time that it takes to be sure of the dead.
                newcomer = LeaseKeeper(
                    PatientBlobs(MemoryBlobs(world.objects), random=world.random),
                    run="last",
                    owner=Owner(host="h", pid=1, user="u"),
                    keys=KEYS,
                )
                world.keepers.append((frozenset(KEYS), newcomer))
                began = anyio.current_time()
                await newcomer.acquire(300)
                assert anyio.current_time() - began < 200
                world.look()
                watching.cancel_scope.cancel()
        table = LockTable.parse(world.objects.get(LOCKS), "memory:")
        assert [holder.run for holder in table.holders.values()] == ["last"]
        return world

    world = virtual(play())
    assert not world.overlaps, (seed, world.overlaps)


def test_the_scenarios_are_no_walk_over(virtual: Virtual) -> None:
    """Most processes do get their lease at some time, or the promise would be kept by nobody holding anything."""

    async def play(seed: int) -> int:
        async with anyio.create_task_group() as network, anyio.create_task_group() as processes:
            world = World(seed, network)
            for number in range(5):
                processes.start_soon(world.live, number)
        return world.held

    assert sum(virtual(play(seed)) for seed in range(20)) > 40
