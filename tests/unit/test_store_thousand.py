"""How many objects a run of 1,000 targets writes: at most 1,200 in all, at most 60 a minute while it only watches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, cast

import anyio
import pytest
from world import World, target

from orchestrator.core.blobs import PatientBlobs
from orchestrator.core.model import Concurrency, Outcome
from orchestrator.core.timing import Timing
from orchestrator.store.blobstore import BlobStore
from orchestrator.testing import Script, ScriptedCodeDeploy
from orchestrator.testing_blobs import MemoryBlobs

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]

TARGETS = 1000


@pytest.mark.parametrize(
    ("at_once", "seconds", "layer"), [(TARGETS, 60.0, TARGETS), (12, 90.0, TARGETS), (200, 30.0, 100)]
)
def test_a_thousand_targets_write_few_objects(virtual: Virtual, at_once: int, seconds: float, layer: int) -> None:
    """At once, a few at a time for two hours, and ten layers of a hundred."""
    random = Random(3)  # noqa: S311 - a scenario, not a secret
    written: Counter[int] = Counter()
    started: Counter[int] = Counter()

    async def play() -> None:
        async def slow(operation: str, _name: str) -> None:
            await anyio.sleep(0.05)
            written[int(anyio.current_time() // 60)] += operation == "put"

        blobs = MemoryBlobs(before=slow)
        store = BlobStore(PatientBlobs(blobs, random=random))
        targets = [
            target(f"app-{number}/g", needs=[f"app-{number - layer}/g"] if number >= layer else [])
            for number in range(TARGETS)
        ]
        scripts = {(f"app-{n}", "g"): Script(seconds=seconds * random.uniform(0.7, 1.3)) for n in range(TARGETS)}
        world = World(
            targets,
            codedeploy=ScriptedCodeDeploy(scripts),
            concurrency=Concurrency(deployments=at_once),
            timing=Timing.for_interval(5.0),
        )
        async with store.open_journal("r1", new=True) as journal:
            world.journal = cast("Any", journal)  # the rig's field is typed for its own fake
            await world.run()
        for made in world.codedeploy.made.values():
            started[int(made.created // 60)] += 1
        state = await store.load_run("r1")
        assert state.outcome is Outcome.SUCCEEDED
        assert state.last_seq == world.state.last_seq

    virtual(play())
    assert sum(written.values()) <= 1200
    for minute, count in written.items():
        assert count <= 65 + started[minute], "60 to watch, what starts, and a part or mark"
