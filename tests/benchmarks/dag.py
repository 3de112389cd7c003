"""200 targets in a random graph: how near the makespan comes to the critical path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .figures import Figure
from .manifests import random_graph, write
from .sandboxes import POLL_INTERVAL, Applied, apply, moment, sandbox

TARGETS = 200
SEEDS = (1, 2)
TIME_SCALE = 20.0
RATIO = 1.15


def figures(folder: Path) -> Iterator[Figure]:
    for seed in SEEDS:
        manifest = write(folder / f"dag-{seed}.yaml", random_graph(TARGETS, seed))
        with sandbox(manifest, time_scale=TIME_SCALE) as env:
            applied = apply(manifest, env)
        makespan = moment(applied.of("run_finished")[0]) - moment(applied.of("run_started")[0])
        bare = critical_path(applied, 0.0)
        path = critical_path(applied, POLL_INTERVAL)
        yield Figure(
            name=f"graph {seed}: makespan / critical path",
            value=sum(path) and makespan / sum(path),
            at_most=RATIO,
            beside=f"{makespan:.1f} s / {sum(path):.1f} s, {len(path)} in a row; {sum(bare):.1f} s without polls",
        )


def critical_path(applied: Applied, interval: float) -> Sequence[float]:
    """The longest way through the graph: what each target on it takes, as the sandbox tells, and one poll interval."""
    started = applied.of("run_started")[0]
    needs: Mapping[str, Sequence[str]] = {target["id"]: target["needs"] for target in started["targets"]}
    seconds = {event["target"]: float(event["seconds"]) + interval for event in applied.of("deployment_ended")}
    longest: dict[str, tuple[float, ...]] = {}
    for target, its_needs in needs.items():  # the plan's order: needs first
        before = max((longest[need] for need in its_needs), key=sum, default=())
        longest[target] = (*before, seconds[target])
    return max(longest.values(), key=sum)
