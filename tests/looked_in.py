"""A launched run in virtual time: the real conductor, engine, leases and journals over objects in memory; no Lambda."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from random import Random

import anyio
from world import FoundJournal, World

from orchestrator.core.approvals import Decision
from orchestrator.core.blobs import PatientBlobs
from orchestrator.core.bundle_events import RevisionPinned
from orchestrator.core.conducting import Conductor, Launched, Look, Order, is_over, report
from orchestrator.core.controls import controls_to_dict
from orchestrator.core.events import Record, ReleaseRollbackRequested, RunResumed, RunStarted
from orchestrator.core.lease import LeaseKeeper
from orchestrator.core.locks import Owner, target_key
from orchestrator.core.merging import PART_OF, PARTS
from orchestrator.core.model import GitHubRevision, Location, Target, revision_to_api
from orchestrator.core.outcome import outcome_of
from orchestrator.core.parts import Part, part_id, split
from orchestrator.core.pausing import Pauses, must_reopen
from orchestrator.core.phases import Phases
from orchestrator.core.plan import Plan, Step, order, step_to_dict
from orchestrator.core.ports import Journal, Transport
from orchestrator.core.recorder import Recorder
from orchestrator.core.state import RunState, fold
from orchestrator.store.blobstore import BlobStore
from orchestrator.store.whole import WholeRuns
from orchestrator.testing import MemoryJournal, ScriptedCodeDeploy, wall_clock
from orchestrator.testing_blobs import MemoryBlobs

RUN = "20261126-010101-abcdef"
LOOK_SECONDS = 120.0
TO_S3 = 0.02
"""Seconds to S3 and back."""


@dataclass
class Kept(MemoryJournal):
    """A part's journal, as the world wants it."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def append(self, record: Record) -> None:
        self._journal.append(record)

    async def flush(self) -> None:
        await self._journal.flush()

    async def publish(self) -> None:
        await self._journal.publish()


@dataclass
class SplitWorld(World):
    """Each account and region with a CodeDeploy of its own."""

    places: Mapping[Location, ScriptedCodeDeploy] = field(default_factory=dict)

    def transport_to(self, location: Location) -> Transport:
        return self.places[location]


@dataclass(kw_only=True)
class Figures:
    """What a run has cost."""

    looks: int = 0
    rounds: int = 0
    alive: float = 0.0
    """Seconds of virtual time in which a process was there."""
    cpu: float = 0.0
    """Seconds of this machine's CPU for all looks, the fake CodeDeploy's own included."""
    operations: int = 0
    executions: int = 1
    largest_result: int = 0
    result_bytes: int = 0
    pauses: list[int] = field(default_factory=list)
    woken: int = 0


@dataclass
class LaunchedRun:
    """One launched run, from its launch to its end."""

    world: SplitWorld
    decisions: dict[str, float] = field(default_factory=dict)
    """When people approve, in seconds after the launch."""
    dies: Callable[[int], bool] = lambda _look: False
    """Whether the process of the look with this number is lost in the middle of it."""
    seed: int = 1
    blobs: MemoryBlobs = field(default_factory=lambda: MemoryBlobs(before=_on_its_way))
    figures: Figures = field(default_factory=Figures)
    parts: dict[str, Part] = field(default_factory=dict)
    children: dict[str, dict[str, FoundJournal]] = field(default_factory=dict)
    """Of each part, the journals of its rollbacks."""
    began: float = 0.0

    def __post_init__(self) -> None:
        self.random = Random(self.seed)  # noqa: S311 - jitter
        self.store = BlobStore(PatientBlobs(self.blobs, random=self.random))
        self.runs = WholeRuns(self.store)

    # --- launching ---------------------------------------------------------------------------------------------------

    async def run(self) -> RunState:
        """Returns the run's state at its end."""
        launched = await self.launch()
        while await self._execute(launched) == "continued":
            self.figures.executions += 1
        return await self.runs.load_run(RUN)

    async def launch(self) -> Launched:
        self.began = anyio.current_time()
        plan = Plan(
            release="r",
            environment="prod",
            manifest="r.yaml",
            manifest_digest="",
            steps=tuple(Step(target=each) for each in order(self.world.targets)),
            controls=self.world.controls,
        )
        divided = split(plan, self.world.concurrency)
        names = [part_id(RUN, number) for number in range(1, len(divided) + 1)] if len(divided) > 1 else [RUN]
        self.parts = dict(zip(names, divided, strict=True))
        for name, part in self.parts.items():
            await self._begin(name, part.of(plan), {PART_OF: RUN})
        if len(names) > 1:
            await self._begin(RUN, plan, {PARTS: names})
        return Launched(run=RUN, state="s3://b/s", parts=tuple(names))

    async def _execute(self, launched: Launched) -> str:
        conductor = Conductor(launched, self)
        try:
            return await conductor.run()
        finally:
            self.figures.operations += conductor.operations

    async def _begin(self, run: str, plan: Plan, options: Mapping[str, object]) -> None:
        async with self.store.open_journal(run, new=True) as journal:
            recorder = Recorder(run=run, state=RunState(), journal=journal, sinks=[], clock=wall_clock)
            recorder.record(
                RunStarted(
                    release=plan.release,
                    environment=plan.environment,
                    manifest=plan.manifest,
                    manifest_digest="",
                    targets=tuple(step_to_dict(step) for step in plan.steps),
                    policy={},
                    concurrency={},
                    controls=controls_to_dict(plan.controls),
                    version="0",
                    host="h",
                    pid=1,
                    options=options,
                )
            )
            for event in _pinned(plan):
                recorder.record(event)

    # --- core.conducting.Worker --------------------------------------------------------------------------------------

    async def look(self, orders: Sequence[Order]) -> Sequence[Look]:
        self.figures.rounds += 1
        began = anyio.current_time()
        found: dict[str, Look] = {}

        async def one(order: Order) -> None:
            found[order.run] = await self._until_it_lives(order)

        async with anyio.create_task_group() as tasks:
            for each in orders:
                tasks.start_soon(one, each)
        self.figures.alive += anyio.current_time() - began
        return [found[each.run] for each in orders]

    async def pause(self, seconds: int, *, wakeable: bool) -> bool:
        self.figures.pauses.append(seconds)
        now = anyio.current_time()
        asked = [self.began + at for at in self.decisions.values() if self.began + at > now]
        if wakeable and asked and min(asked) < now + seconds:
            await anyio.sleep_until(min(asked))
            self.figures.woken += 1
            return True
        await anyio.sleep(seconds)
        return False

    async def finish(self) -> str:
        return str(outcome_of(await self.runs.load_run(RUN)))

    async def go_on_afresh(self, generation: int) -> None:
        pass

    # --- a look ------------------------------------------------------------------------------------------------------

    async def _until_it_lives(self, order: Order) -> Look:
        """A step whose worker is lost is done again; its lease has to be waited for."""
        while True:
            self.figures.looks += 1
            cpu = time.process_time()
            if not self.dies(self.figures.looks):
                look = await self._look(order)
                self.figures.cpu += time.process_time() - cpu
                size = len(json.dumps(look.to_dict()))
                self.figures.largest_result = max(self.figures.largest_result, size)
                self.figures.result_bytes += size
                return look
            with anyio.move_on_after(self.random.uniform(0.1, 5.0)):
                await self._look(order)

    async def _look(self, order: Order) -> Look:
        async with AsyncExitStack() as stack:
            journal = await stack.enter_async_context(self.store.open_journal(order.run, new=False))
            state = fold(journal.found.records)
            if is_over(state, order):
                return report(state, None, wall_clock())
            keys = [
                target_key(each.location.role_arn or "1", each.location.region, each.application_name, "g")
                for each in self._targets(order.run)
            ]
            keeper = LeaseKeeper(
                PatientBlobs(self.blobs, random=self.random),
                run=order.run,
                owner=Owner(host="h", pid=1, user="u"),
                keys=keys,
                nonce=lambda: f"{self.random.getrandbits(64):x}",
            )
            await stack.enter_async_context(keeper)
            await keeper.acquire(0.0)
            assert await journal.is_current()
            recorder = Recorder(run=order.run, state=state, journal=journal, sinks=[], clock=wall_clock)
            if must_reopen(state, wall_clock()):
                recorder.record(RunResumed(version="0", host="h", pid=2))
            if order.go_back is not None and state.rollback is None:
                recorder.record(ReleaseRollbackRequested(reason=order.go_back))
            world = self._world(order, Kept(journal), state, keeper)
            await world.run()
            return report(state, world.rests_until, wall_clock())

    def _targets(self, run: str) -> list[Target]:
        return [step.target for step in self.parts[run].steps]

    def _world(self, order: Order, journal: Kept, state: RunState, keeper: LeaseKeeper) -> SplitWorld:
        async def meanwhile(engine: Phases) -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(keeper.keep)
                tasks.start_soon(self._decide, engine)
                await anyio.sleep(LOOK_SECONDS)
                engine.leave("its time is over", pause=True)

        return replace(
            self.world,
            targets=self._targets(order.run),
            run_id=order.run,
            journal=journal,
            state=state,
            children=self.children.setdefault(order.run, {}),
            concurrency=self.parts[order.run].concurrency,
            pauses=Pauses.for_interval(self.world.timing.poll_interval, failed_elsewhere=order.failed_elsewhere),
            meanwhile=meanwhile,
        )

    async def _decide(self, engine: Phases) -> None:
        for gate, at in sorted(self.decisions.items(), key=lambda item: item[1]):
            await anyio.sleep_until(self.began + at)
            if gate in engine.approvals.names:
                engine.approvals.decide(Decision(gate=gate, approved=True, by="somebody", given_at=wall_clock()))


async def _on_its_way(_operation: str, _name: str) -> None:
    await anyio.sleep(TO_S3)


def _pinned(plan: Plan) -> Iterator[RevisionPinned]:
    """As the launch has made it ready."""
    revision = revision_to_api(GitHubRevision(repository="acme/x", commit_id="a" * 40))
    for step in plan.steps:
        yield RevisionPinned(
            application=step.target.application,
            region=step.target.location.region,
            targets=(step.target.id,),
            revision=revision,
        )


def calls(run: LaunchedRun) -> Counter[str]:
    """CodeDeploy's, by operation, over all places."""
    return sum((place.calls for place in run.world.places.values()), Counter())
