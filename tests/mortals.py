"""One process of a run whose state is in a bucket: it has a lease, and may die, freeze or lose answers at any await."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any, Protocol, cast

import anyio
from chaos import Chaos
from world import World

from orchestrator.core.blobs import Blob, BlobPatience, ConflictError, PatientBlobs
from orchestrator.core.errors import AnswerLostError, CallError, OrchestratorError, ThrottledError
from orchestrator.core.events import Record
from orchestrator.core.lease import LeaseKeeper
from orchestrator.core.leased import MUTATING, LeasedTransport
from orchestrator.core.locks import Owner, target_key
from orchestrator.core.phases import Phases
from orchestrator.core.runs import FencedError
from orchestrator.core.state import RunState
from orchestrator.store.blobstore import BlobStore
from orchestrator.testing import MemoryJournal, ScriptedCodeDeploy, wall_clock
from orchestrator.testing_blobs import MemoryBlobs

LOCK_WAIT = 600.0


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What becomes of a process. Steps are awaits at its border: a call on its way out, or its answer on its way in."""

    dies_at_step: int | None = None
    dies_after: float | None = None
    freezes_at_step: int | None = None
    frozen_for: float = 0.0
    once_holding: bool = False
    """Steps and seconds count from the moment at which it has its lease; False: from its start."""
    foul: float = 0.0
    """The share of the bucket's calls that go wrong."""
    slow: float = 0.1
    """The longest way to the bucket, in seconds."""
    skew: float = 0.0
    """Seconds by which its wall clock is ahead."""


class Surroundings(Protocol):
    """What processes have in common."""

    random: Random
    objects: dict[str, Blob]
    network: anyio.abc.TaskGroup

    @property
    def codedeploy(self) -> ScriptedCodeDeploy: ...

    def took_over(self, process: Process) -> None: ...

    def sends(self, process: Process, operation: str, parameters: Mapping[str, Any]) -> None: ...

    def fenced(self, process: Process) -> None: ...

    def opened(self, process: Process, records: Sequence[Record]) -> None: ...


class Process:
    """One process's part of a run, wired as `orchestrator.app` does it."""

    def __init__(self, around: Surroundings, chaos: Chaos, number: int, fate: Fate) -> None:
        self.around, self.chaos, self.fate = around, chaos, fate
        self.name = f"{chaos.world.run_id}#{number}"
        self.keys = frozenset(target_key("1", t.location.region, t.application, "g") for t in chaos.world.targets)
        self.away = anyio.Event()
        """Set when it has ended, however, or was frozen: time for another one."""
        self.dead = False
        self.superseded_by: str | None = None
        """Who has got a lease on a target of ours since we got ours."""
        self.ended_well = False
        self.state = RunState()
        self.notes: list[str] = []
        self._life = anyio.CancelScope()
        self._steps = 0
        self._counts = False
        self._frozen_until = 0.0
        blobs = PatientBlobs(_Way(self), random=around.random, patience=BlobPatience(seconds=20.0))
        self._store = BlobStore(blobs, writer=self._word)
        owner = Owner(host=self.name, pid=number, user="u")
        run = chaos.world.run_id
        self._keeper = LeaseKeeper(blobs, run=run, owner=owner, keys=self.keys, nonce=self._word)

    def _word(self) -> str:
        return f"{self.around.random.getrandbits(64):x}"

    async def live(self) -> None:
        """Returns when it has ended; its failures are its own, bugs are not."""
        try:
            with self._life:
                if not self.fate.once_holding:
                    self._meet_fate()
                await self._work()
                self.ended_well = not self.dead
        except* FencedError as fenced:
            self._note(repr(fenced.exceptions))
            self.around.fenced(self)
        except* OrchestratorError as group:
            self._note(repr(group.exceptions))
        finally:
            self._note("died" if self.dead else "ended")
            self.away.set()

    async def step(self) -> None:
        """One await at the border of the process."""
        self._steps += self._counts
        if self._steps == self.fate.dies_at_step:
            self.die()
        if self._steps == self.fate.freezes_at_step:
            self._note(f"freezes for {self.fate.frozen_for:.0f} s")
            self._frozen_until = anyio.current_time() + self.fate.frozen_for
            self.away.set()
        if anyio.current_time() < self._frozen_until:
            await anyio.sleep_until(self._frozen_until)
        if self.dead:
            # Whatever is shielded from the cancellation finds that nothing it does has an effect any more.
            raise CallError("this process is dead")

    def die(self) -> None:
        self.dead = True
        self._life.cancel()

    def _meet_fate(self) -> None:
        self._counts = True
        if self.fate.dies_after is not None:
            self.around.network.start_soon(self._die_later, self.fate.dies_after)

    async def _die_later(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self.away.wait()
        if not self.ended_well:
            self.die()

    def _note(self, text: str) -> None:
        self.notes.append(f"{anyio.current_time():.2f} {self.name} {text}")

    # --- its work ----------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        run = self.chaos.world.run_id
        async with self._keeper:
            await self._keeper.acquire(LOCK_WAIT)
            self._note("has the lease")
            if self.fate.once_holding:
                self._meet_fate()
            self.around.took_over(self)
            new = not any(name.startswith(f"runs/{run}/") for name in self.around.objects)
            async with self._store.open_journal(run, new=new) as journal:
                self.around.opened(self, journal.found.records)
                for record in journal.found.records:
                    self.state.apply(record)
                if not self.state.is_finished:
                    await self._world(cast("MemoryJournal", journal)).run()

    def _world(self, journal: MemoryJournal) -> World:
        leased = LeasedTransport(_Line(self), self._keeper.ensure)
        return replace(
            self.chaos.world,
            journal=journal,
            state=self.state,
            transport=_Gate(self, leased),
            clock=lambda: wall_clock() + self.fate.skew,
            meanwhile=self._keep_the_lease,
        )

    async def _keep_the_lease(self, engine: Phases) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keeper.keep)
            tasks.start_soon(self._leave_when_lost, engine)

    async def _leave_when_lost(self, engine: Phases) -> None:
        await self._keeper.lost.wait()
        self._note("lost its lease")
        engine.leave("the lease was lost")


class _Gate:
    """Above the lease: where a process that is frozen stands still, before it asks for its lease."""

    def __init__(self, process: Process, leased: LeasedTransport) -> None:
        self._process, self._leased = process, leased

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        await self._process.step()
        answer = await self._leased.call(operation, parameters)
        await self._process.step()
        return answer


class _Line:
    """Below the lease: what goes out here reaches CodeDeploy."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._process.dead:
            raise CallError("this process is dead")
        if operation in MUTATING:
            self._process.around.sends(self._process, operation, parameters)
        return await self._process.around.codedeploy.call(operation, parameters)


class _Way(MemoryBlobs):
    """The bucket as this process sees it: slow, with 409s, lost answers, echoes, and writes that arrive much later."""

    def __init__(self, process: Process) -> None:
        super().__init__(process.around.objects, before=self._out, after=self._back)
        self._process = process
        self._random = process.around.random

    async def put(self, name: str, content: bytes, *, absent: bool = False, match: str | None = None) -> str:
        await self._begin("put", name)
        write = partial(self.write, name, content, absent=absent, match=match)
        if self._goes_wrong(0.3):
            delay = self._random.choice([0.5, 5.0, 40.0, 70.0])
            self._process.around.network.start_soon(_later, delay, write)
            await self.after("put", name)
            raise AnswerLostError("connection reset", operation="PutObject")
        tag = write()
        await self.after("put", name)
        if (absent or match is not None) and self._goes_wrong(0.2):
            raise ConflictError("the HTTP client sent it twice")
        return tag

    async def _out(self, _operation: str, _name: str) -> None:
        await self._wait()
        if self._goes_wrong(0.5):
            code = self._random.choice(["ConditionalRequestConflict", "ServiceUnavailable"])
            raise AnswerLostError("409 or 503", operation="PutObject", code=code)

    async def _back(self, _operation: str, _name: str) -> None:
        await self._wait()
        if self._goes_wrong(0.5):
            raise self._random.choice([AnswerLostError, ThrottledError])("the answer was lost")

    async def _wait(self) -> None:
        await anyio.sleep(self._random.uniform(0.0, self._process.fate.slow))
        await self._process.step()

    def _goes_wrong(self, share: float) -> bool:
        return self._random.random() < self._process.fate.foul * share


async def _later(delay: float, write: Callable[[], str]) -> None:
    await anyio.sleep(delay)
    with suppress(ConflictError):
        write()
