"""Runs `bench_rehearsal` in a process of its own, so that this one stays small."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from .figures import Figure
from .processes import PYTHON, measure

DEPLOYMENTS = 300.0
LOOKS = 500.0
MEGABYTES = 300.0


def figures(_folder: Path) -> Iterator[Figure]:
    found: dict[str, float] = json.loads(measure([PYTHON, "-m", "tests.benchmarks.bench_rehearsal", "--json"]).output)
    yield Figure(
        name="deployments a second of CPU",
        value=found["deployments"],
        at_least=DEPLOYMENTS,
        beside=f"{found['succeeded']:,.0f} of 1,000 succeeded",
    )
    yield Figure(name="BatchGetDeployments a second of CPU", value=found["looks"], at_least=LOOKS)
    yield Figure(name="peak memory", value=found["peak"], unit="MB", at_most=MEGABYTES)
