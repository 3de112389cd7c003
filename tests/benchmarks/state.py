"""State of runs: what the journal costs, how many objects a run writes, how fast runs are found again.

The sandbox stands in this process, so that what is written to its S3 can be counted; the commands are measured as
processes of their own.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import anyio
import looptime
from anyio.from_thread import start_blocking_portal

from orchestrator.app.rehearsal import fleet_of
from orchestrator.core.blobs import PatientBlobs
from orchestrator.core.events import DeploymentProgressed, Record, RunStarted
from orchestrator.core.lease import LeaseKeeper
from orchestrator.core.locks import Owner
from orchestrator.core.ports import Journal
from orchestrator.core.state import RunState
from orchestrator.manifest import load
from orchestrator.sandbox.fleet import BucketSpec
from orchestrator.sandbox.options import SandboxOptions
from orchestrator.sandbox.server import Endpoint, Sandbox
from orchestrator.store.blobstore import BlobStore
from orchestrator.store.local import LocalStore
from orchestrator.testing import InstantArtifacts, Script, ScriptedCodeDeploy
from orchestrator.testing_blobs import MemoryBlobs

from .figures import Figure
from .manifests import FROM_GITHUB, independent, write
from .processes import ORCHESTRATOR, measure

sys.path.append(str(Path(__file__).parents[1]))
from world import World, target

TARGETS = 1_000
RUNS = 1_000
EVENTS = 20_000
OBJECTS = 1_200
OBJECTS_A_MINUTE = 60
MILLISECONDS_AN_EVENT = 2.0
RESUME_SECONDS = 1.0
RUNS_SECONDS = 2.0
BUCKET = "bench-releases"
STATE = f"s3://{BUCKET}/state"


def figures(folder: Path) -> Iterator[Figure]:
    yield _journal("journal in a folder: CPU of an event", partial(_local, folder / "journal"))
    yield _journal("journal over objects: CPU of an event", _objects)
    yield _watching()
    manifest = write(folder / "state.yaml", independent(TARGETS, FROM_GITHUB))
    with start_blocking_portal() as portal:
        release = load(manifest, environment="staging", variables={}, env={})
        fleet = replace(fleet_of([release], instances=3), buckets=(BucketSpec(name=BUCKET, region="eu-west-1"),))
        sandbox = Sandbox(fleet, SandboxOptions(time_scale=0.0))
        with portal.wrap_async_context_manager(sandbox.serve()) as endpoint:
            yield from _real(folder, manifest, endpoint)


# --- in this process -------------------------------------------------------------------------------------------------


def _journal(name: str, write_all: Callable[[], Coroutine[Any, Any, None]]) -> Figure:
    began = time.process_time()
    asyncio.run(write_all())
    seconds = time.process_time() - began
    return Figure(
        name=name, value=seconds / EVENTS * 1000, unit="ms", at_most=MILLISECONDS_AN_EVENT, beside=f"{EVENTS:,} events"
    )


async def _local(folder: Path) -> None:
    async with LocalStore(folder).open_journal("20260101-000000-000000", new=True) as journal:
        await _append(journal)


async def _objects() -> None:
    blobs = PatientBlobs(MemoryBlobs(), random=Random(1))  # noqa: S311 - jitter
    async with BlobStore(blobs).open_journal("20260101-000000-000000", new=True) as journal:
        await _append(journal)


async def _append(journal: Journal) -> None:
    """As the recorder does: folded, appended; and flushed as often as a thousand starts would."""
    state = RunState()
    names = [f"app-{number}/g" for number in range(TARGETS)]
    started = RunStarted(
        release="r",
        environment="e",
        manifest="m",
        manifest_digest="",
        targets=tuple({"id": name, "application": name, "deployment_group": "g"} for name in names),
        policy={},
        concurrency={},
        version="0",
        host="h",
        pid=1,
    )
    for seq in range(1, EVENTS + 1):
        progressed = DeploymentProgressed(
            target=names[seq % TARGETS], deployment_id="d-1", status="InProgress", overview={"Succeeded": seq % 3}
        )
        record = Record(seq, float(seq), "20260101-000000-000000", started if seq == 1 else progressed)
        state.apply(record)
        journal.append(record)
        if seq % 20 == 0:
            await journal.flush()


def _watching() -> Figure:
    """Twenty minutes in virtual time; the first, in which everything starts, don't count."""
    loop = looptime.new_event_loop(start=1000.0, noop_cycles=1)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        written = runner.run(_watch())
    return Figure(
        name=f"watching {TARGETS:,}: objects a minute",
        value=written,
        at_most=OBJECTS_A_MINUTE,
        beside="the busiest minute of twenty; with the renewals of the lease",
    )


async def _watch() -> float:
    attempts = MemoryBlobs()
    blobs = PatientBlobs(attempts, random=Random(1))  # noqa: S311 - jitter
    random = Random(2)  # noqa: S311 - a scenario
    targets = [target(f"t{number}/g") for number in range(TARGETS)]
    scripts = {(each.application, "g"): Script(seconds=random.uniform(300, 1200)) for each in targets}
    counts: list[int] = []
    async with BlobStore(blobs).open_journal("20260101-000000-000000", new=True) as journal:
        world = World(targets, codedeploy=ScriptedCodeDeploy(scripts), artifacts=InstantArtifacts())
        world.journal = journal  # type: ignore[assignment]
        keeper = LeaseKeeper(blobs, run="r", owner=Owner(host="h", pid=1, user="u"), keys=[each.id for each in targets])
        async with keeper, anyio.create_task_group() as tasks:
            await keeper.acquire()
            tasks.start_soon(keeper.keep)
            tasks.start_soon(_count, attempts, counts)
            await world.run()
            tasks.cancel_scope.cancel()
    return float(max(after - before for before, after in pairwise(counts[3:])))


async def _count(attempts: MemoryBlobs, counts: list[int]) -> None:
    while True:
        counts.append(attempts.calls["written"])
        await anyio.sleep(60)


# --- the command -----------------------------------------------------------------------------------------------------


def _real(folder: Path, manifest: Path, endpoint: Endpoint) -> Iterator[Figure]:
    env = endpoint.environment()
    apply = [ORCHESTRATOR, "apply", str(manifest), "--output", "plain", "--poll-interval", "500ms"]
    used = measure([*apply, "--state", STATE], env=env)
    written = endpoint.calls.total("PutObject", None, "s3")
    yield Figure(
        name=f"a run of {TARGETS:,} targets: objects",
        value=float(written),
        at_most=OBJECTS,
        beside=f"written to S3 in {used.elapsed:.0f} s, CPU {used.cpu:.1f} s",
    )
    local = folder / "local"
    measure([*apply, "--state", str(local), "--force"], env=env)
    for words, where in (("S3", STATE), ("a folder", str(local))):
        resumed = measure([ORCHESTRATOR, "resume", "--state", where], env=env)
        yield Figure(
            name=f"resume of that run, ended, in {words}",
            value=resumed.elapsed,
            unit="s",
            at_most=RESUME_SECONDS,
            beside=f"CPU {resumed.cpu:.2f} s",
        )
    _copy_runs(local)
    _copy_index(endpoint)
    for words, where in (("S3", STATE), ("a folder", str(local))):
        listed = measure([ORCHESTRATOR, "runs", "--state", where], env=env)
        yield Figure(
            name=f"runs, in {words}",
            value=listed.elapsed,
            unit="s",
            at_most=RUNS_SECONDS,
            beside=f"{listed.output.count(chr(10)):,} runs, CPU {listed.cpu:.2f} s",
        )


def _copy_runs(state: Path) -> None:
    run = next((state / "runs").iterdir())
    journal = run / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    for number in range(RUNS - 1):
        copy = run.with_name(f"20250101-000000-{number:06x}")
        copy.mkdir()
        (copy / "journal.jsonl").write_bytes(b"".join([lines[0], lines[-1]]))
    shutil.copystat(run, run)


def _copy_index(endpoint: Endpoint) -> None:
    asyncio.run(_write_index(endpoint))


async def _write_index(endpoint: Endpoint) -> None:
    from orchestrator.aws import AwsSession  # noqa: PLC0415 - heavy, and only here
    from orchestrator.aws.blobs import S3Blobs  # noqa: PLC0415 - as above
    from orchestrator.core.model import Location  # noqa: PLC0415 - as above

    async with AwsSession(endpoint_environment=endpoint.environment()) as session:
        blobs = S3Blobs(session, Location(region="eu-west-1"), bucket=BUCKET, prefix="state")
        names = await blobs.list("index/")
        run = names[0].split("/")[1]
        limit = anyio.CapacityLimiter(16)

        async def put(name: str) -> None:
            async with limit:
                await blobs.put(name, b"")

        async with anyio.create_task_group() as tasks:
            for number in range(RUNS - 1):
                for name in (names[0], names[-1]):
                    tasks.start_soon(put, name.replace(run, f"20250101-000000-{number:06x}"))
