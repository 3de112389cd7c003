"""Runs `bench_batchget` in a process of its own, so that this one stays small."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from .figures import Figure
from .processes import PYTHON, measure

BASELINE = "botocore's own parser"
MILLISECONDS = 1.5
BASELINE_MILLISECONDS = 3.0
"""What the baseline takes on the machine that the target was set on."""


def figures(_folder: Path) -> Iterator[Figure]:
    found: dict[str, float] = json.loads(measure([PYTHON, "-m", "tests.benchmarks.bench_batchget", "--json"]).output)
    baseline = found.pop(BASELINE)
    yield Figure(name=f"{BASELINE} (baseline)", value=baseline, unit="ms")
    for way, milliseconds in found.items():
        there = milliseconds / baseline * BASELINE_MILLISECONDS
        times = f"{baseline / milliseconds:.1f} × as quick; {there:.2f} ms where that takes 3 ms"
        yield Figure(name=way, value=milliseconds, unit="ms", at_most=MILLISECONDS, beside=times)
