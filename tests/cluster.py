"""One or two runs over the same targets, each carried on by one process after the other: dead, frozen and live ones."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import anyio
from chaos import TIMING, Chaos, chaos
from invariants import violations
from mortals import Fate, Process

from orchestrator.core.blobs import Blob
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.events import Record
from orchestrator.core.model import Policy
from orchestrator.core.state import RunState
from orchestrator.store.blobstore import BlobStore
from orchestrator.testing import MemoryJournal, Script, ScriptedCodeDeploy
from orchestrator.testing_blobs import MemoryBlobs

FATED = 4
"""Processes of a run that may meet a fate; those after them have a quiet life, so that it always ends."""


@dataclass
class Cluster:
    """All that the processes of one seed share."""

    random: Random
    runs: Sequence[Chaos]
    network: anyio.abc.TaskGroup
    objects: dict[str, Blob] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    wrongs: list[str] = field(default_factory=list)
    seen: dict[str, list[str]] = field(default_factory=dict)
    """The durable records of each run, as whoever opened it last found them."""

    @property
    def codedeploy(self) -> ScriptedCodeDeploy:
        return self.runs[0].world.codedeploy

    async def play(self) -> None:
        for seconds, group, script in self.runs[0].foreign:
            self.network.start_soon(self._visit, seconds, group, script)
        async with anyio.create_task_group() as tasks:
            for each in self.runs:
                each.one_clock = False
                each.faults.is_durable = self._is_durable
                tasks.start_soon(self._carry, each)

    async def _visit(self, seconds: float, group: str, script: Script) -> None:
        await anyio.sleep(seconds)
        if not self.codedeploy.is_busy(group, "g"):
            self.codedeploy.create(group, "g", creator="autoscaling", script=script)

    async def _carry(self, run: Chaos) -> None:
        """Somebody starts a process of the run, and another one when that is gone, until the run has ended."""
        if run is not self.runs[0]:
            await anyio.sleep(self.random.uniform(0, 90))
        async with anyio.create_task_group() as processes:
            for number in itertools.count(1):
                process = Process(self, run, number, _fate(self.random, number))
                self.processes.append(process)
                processes.start_soon(process.live)
                with anyio.move_on_after(self.random.choice([1e9, 1e9, 1e9, 50.0])):  # some start another one too early
                    await process.away.wait()
                await anyio.sleep(self.random.choice([0.0, 1.0, 20.0, 60.0]))
                if (await self.read(run)).is_finished:
                    break

    async def read(self, run: Chaos) -> RunState:
        """What stands in the bucket; it's put into the run's world, too, where the invariants look."""
        name = run.world.run_id
        state, records = RunState(), []
        if any(each.startswith(f"runs/{name}/") for each in self.objects):
            records = list((await BlobStore(MemoryBlobs(self.objects)).read_run(name)).records)
        for record in records:
            state.apply(record)
        run.world.state = state
        run.world.journal = MemoryJournal()
        run.world.journal.records, run.world.journal.durable = records, len(records)
        return state

    # --- what the processes tell -------------------------------------------------------------------------------------

    def took_over(self, process: Process) -> None:
        process.superseded_by = None
        for other in self.processes:
            if other is not process and not other.keys.isdisjoint(process.keys):
                other.superseded_by = process.name

    def sends(self, process: Process, operation: str, parameters: Mapping[str, Any]) -> None:
        if process.superseded_by is not None:
            self.wrongs.append(
                f"{anyio.current_time():.2f} {process.name} sends {operation} {parameters.get('applicationName', '')} "
                f"although {process.superseded_by} has the lease"
            )

    def fenced(self, process: Process) -> None:
        """Late writes of those before it may fence a process; but whoever was alone can only have met its own echo."""
        first = next(each for each in self.processes if each.chaos is process.chaos)
        if process is first and process.superseded_by is None:
            self.wrongs.append(f"{process.name} was fenced although nobody else goes on with its run")

    def opened(self, process: Process, records: Sequence[Record]) -> None:
        lines = [record.to_json() for record in records]
        before = self.seen.get(process.chaos.world.run_id, [])
        if lines[: len(before)] != before:
            self.wrongs.append(f"{process.name} finds another journal than the process before it")
        self.seen[process.chaos.world.run_id] = lines

    def _is_durable(self, token: str) -> bool:
        run = token.removeprefix("orchestrator:").split("/")[0]
        mark = f'"token":"{token}"'.encode()
        return any(mark in blob.content for name, blob in self.objects.items() if name.startswith(f"runs/{run}/"))

    # --- afterwards --------------------------------------------------------------------------------------------------

    async def judge(self) -> list[str]:
        found = list(self.wrongs)
        for each in self.runs:
            await self.read(each)
            self._see_that_nothing_vanished(each)
            found += [f"{each.world.run_id}: {wrong}" for wrong in violations(each)]
            mine = [process for process in self.processes if process.chaos is each and process.ended_well]
            if mine and mine[-1].state.is_finished and _essence(mine[-1].state) != _essence(each.world.state):
                found.append(f"{mine[-1].name}: its state is not the fold of the journal")
        return found

    def _see_that_nothing_vanished(self, run: Chaos) -> None:
        lines = [record.to_json() for record in run.world.journal.records]
        before = self.seen.get(run.world.run_id, [])
        if lines[: len(before)] != before:
            self.wrongs.append(f"{run.world.run_id}: what was durable has changed")


def _essence(state: RunState) -> dict[str, Any]:
    """What must survive the journal; its times are rounded to milliseconds."""
    targets = {name: (run.state, run.reason, run.deployment_id, run.intent) for name, run in state.targets.items()}
    return {"outcome": state.outcome, "seq": state.last_seq, "targets": targets}


async def play_cluster(seed: int) -> tuple[list[str], Cluster]:
    """Plays the seed to its end; the violations, and what there is to look at."""
    random = Random(seed)  # noqa: S311 - a scenario, not a secret
    runs = [chaos(seed, orders=False)]
    if random.random() < 0.4:
        runs.append(_rival(runs[0], random))
    async with anyio.create_task_group() as network:
        cluster = Cluster(random, runs, network)
        try:
            await cluster.play()
            found = await cluster.judge()
        except* OrchestratorError as group:  # the journal can't be read
            found = [*cluster.wrongs, f"the journal is damaged: {group.exceptions!r}"]
        network.cancel_scope.cancel()
    return found, cluster


def _rival(run: Chaos, random: Random) -> Chaos:
    """Another run with some of the same targets."""
    chosen = random.sample(list(run.world.targets), random.randint(1, len(run.world.targets)))
    names = {each.id for each in chosen}
    targets = [
        replace(
            each,
            needs=tuple(need for need in each.needs if need in names),
            after=tuple(name for name in each.after if name in names),
        )
        for each in run.world.targets
        if each.id in names
    ]
    policy = Policy(on_failure="continue", if_active=run.world.policy.if_active)
    return Chaos(
        run.seed,
        replace(run.world, targets=targets, policy=policy, run_id="r2", state=RunState(), timing=TIMING),
        run.faults,
        (),
        (),
    )


def _fate(random: Random, number: int) -> Fate:
    if number > FATED:
        return Fate()
    how = random.choice(["lives", "dies", "dies", "dies at a step", "dies at a step", "dies at a step", "freezes"])
    step = random.choice([random.randint(1, 60), random.randint(30, 400)])
    return Fate(
        dies_at_step=step if how == "dies at a step" else None,
        dies_after=random.uniform(0, 150) if how == "dies" else None,
        freezes_at_step=step if how == "freezes" else None,
        once_holding=random.random() < 0.8,
        frozen_for=random.choice([5.0, 25.0, 60.0, 120.0, 120.0]),
        foul=random.choice([0.0, 0.0, 0.05, 0.3]),
        slow=random.choice([0.02, 0.1, 0.1, 3.0]),
        skew=random.choice([0.0, 0.0, -60.0, 60.0, 200.0]) if number > 1 else 0.0,
    )
