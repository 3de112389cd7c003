"""1,000 independent targets: what the process of `apply` takes, and how often it looks."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from pathlib import Path

from .figures import Figure
from .manifests import FROM_FOLDER, FROM_GITHUB, independent, write
from .sandboxes import POLL_INTERVAL, Applied, apply, moment, sandbox

TARGETS = 1_000
CPU_SECONDS = 25.0
MEGABYTES = 250.0
MORE_CALLS = 1.2
BATCH = 25
SOONEST = 0.8
"""Of a poll interval: a change that is seen later than that after the first of a look belongs to the next look."""

VARIANTS = (
    ("at once, from GitHub", FROM_GITHUB, 0.0),
    ("at once, each with a bundle", FROM_FOLDER, 0.0),
    ("15 s each in 3 s, from GitHub", FROM_GITHUB, 5.0),
)
"""In words, the revision, and the sandbox's time scale. A deployment to all instances at once takes some 15 s."""


def figures(folder: Path) -> Iterator[Figure]:
    for number, (words, revision, time_scale) in enumerate(VARIANTS):
        manifest = write(folder / f"thousand-{number}.yaml", independent(TARGETS, revision))
        with sandbox(manifest, time_scale=time_scale) as env:
            applied = apply(manifest, env)
        yield from _figures(words, applied)


def _figures(words: str, applied: Applied) -> Iterator[Figure]:
    usage = applied.usage
    succeeded = sum(event["state"] == "succeeded" for event in applied.of("target_finished"))
    yield Figure(
        name=f"{words}: CPU",
        value=usage.cpu,
        unit="s",
        at_most=CPU_SECONDS,
        beside=f"{succeeded:,} succeeded in {usage.elapsed:.1f} s, {len(applied.events):,} events",
    )
    yield Figure(name="  peak memory", value=usage.peak, unit="MB", at_most=MEGABYTES)
    polls, needed = _looks(applied)
    yield Figure(
        name="  BatchGetDeployments calls",
        value=None if applied.calls is None else float(applied.calls),
        at_most=math.floor(MORE_CALLS * needed),
        beside=f"{needed:,} would do, over {polls} looks"
        if applied.calls is not None
        else "the metrics don't count them",
    )


def _looks(applied: Applied) -> tuple[int, int]:
    """How many looks there were, and the calls that they needed: one for 25 of what ran.

    From outside, a look is known by the first change that it saw; with so many deployments every look sees one.
    """
    started = sorted(moment(event) for event in applied.of("deployment_started"))
    ended = sorted(moment(event) for event in applied.of("deployment_ended"))
    seen = sorted([*ended, *(moment(event) for event in applied.of("deployment_progressed"))])
    looks, calls, next_look = 0, 0, 0.0
    for change in seen:
        if change >= next_look:
            running = bisect_right(started, change) - bisect_left(ended, change)
            looks, calls, next_look = looks + 1, calls + math.ceil(running / BATCH), change + SOONEST * POLL_INTERVAL
    return looks, calls
