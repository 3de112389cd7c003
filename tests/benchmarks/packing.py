"""Packing beside the code that `aws deploy push` packs with, each in a process of its own, in alternating rounds.

Both walk and pack, from the page cache to a temporary file. Ours also hashes what it packs, and compares that with the
digest from before, whose time is shown beside. So is the CPU of both: where other things run on the machine, the ratio
of times falls, for ours uses all cores; the ratio of CPU stays.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .figures import Figure
from .processes import PYTHON, measure

BASELINE = """
import json, sys, time
from awscli.customizations.codedeploy.push import Push
push = Push.__new__(Push)
began, cpu = time.perf_counter(), time.process_time()
with push._compress(sys.argv[1]) as archive:
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu": used, "bytes": archive.seek(0, 2)}))
"""
MEMORY, GOAL = 220.0, 150
"""Megabytes."""


@dataclass(frozen=True, slots=True)
class Way:
    format: str
    compression: str
    at_least: float | None
    """Times the speed of the baseline; None: no target."""
    size: float | None
    """At most, of the baseline's; None: no target."""


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    make: str
    """The name of the tree in `trees`."""
    rounds: int
    ways: Sequence[Way]


CASES = (
    Case(
        "200 MB, 3,000 files",
        "mixed",
        5,
        (
            Way("tgz", "fast", 10, 1.10),
            Way("zip", "fast", 10, 1.10),
            Way("tgz", "small", 4.5, 1.0),
            Way("zip", "small", 4.5, 1.0),
        ),
    ),
    Case("20,000 small files", "small", 5, (Way("tgz", "fast", 4, None), Way("zip", "fast", None, None))),
    Case("1 GB, hardly compresses", "dense", 3, (Way("tgz", "fast", 18, None), Way("zip", "fast", 18, None))),
)


def figures(folder: Path) -> Iterator[Figure]:
    aws = os.environ.get("ORCHESTRATOR_TEST_AWS") or shutil.which("aws")
    python = Path(aws).with_name("python") if aws else None
    if python is None or not python.exists():
        yield Figure(name="packing", value=None, beside="no awscli in a Python of its own to compare with")
        return
    peak = 0.0
    for case in CASES:
        source = folder / "source"
        measure([PYTHON, "-m", "tests.benchmarks.trees", case.make, str(source)])  # this process must stay small
        for figure, memory in _compare(case, source, python):
            peak = max(peak, memory)
            yield figure
        shutil.rmtree(source)
    yield Figure(name="peak memory of all", value=peak, unit="MB", at_most=MEMORY, beside=f"goal {GOAL} MB")


def _compare(case: Case, source: Path, python: Path) -> Iterator[tuple[Figure, float]]:
    theirs: list[dict[str, Any]] = []
    ours: dict[Way, list[dict[str, Any]]] = {way: [] for way in case.ways}
    peaks: dict[Way, float] = dict.fromkeys(case.ways, 0.0)
    for _ in range(case.rounds):
        theirs.append(json.loads(measure([str(python), "-c", BASELINE, str(source)], cwd=source).output))
        for way in case.ways:
            command = [PYTHON, "-m", "tests.benchmarks.packer", str(source), way.format, way.compression]
            usage = measure(command)
            ours[way].append(json.loads(usage.output))
            peaks[way] = max(peaks[way], usage.peak)
    baseline = _median(theirs, "seconds")
    for way in case.ways:
        seconds = _median(ours[way], "seconds")
        size = ours[way][0]["bytes"] / theirs[0]["bytes"]
        beside = f"{seconds:.2f} s, aws {baseline:.2f} s; "
        beside += f"CPU {_median(ours[way], 'cpu'):.2f} s, aws {_median(theirs, 'cpu'):.2f} s; "
        beside += f"digest {_median(ours[way], 'digest'):.2f} s; size × {size:.3f}; {peaks[way]:.0f} MB"
        name = f"{case.name}: {way.format} {way.compression}"
        yield Figure(name=name, value=baseline / seconds, unit="×", at_least=way.at_least, beside=beside), peaks[way]
        if way.size is not None:
            yield Figure(name="  its size", value=size, unit="×", at_most=way.size), peaks[way]


def _median(rounds: Sequence[dict[str, Any]], what: str) -> float:
    return statistics.median(float(each[what]) for each in rounds)
