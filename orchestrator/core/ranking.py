"""Who gets a free place first: by priority, then who has most of the release still behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from orchestrator.core.model import Target
from orchestrator.core.plan import order

Rank = tuple[float, float]
"""Smaller goes first."""

NO_RANK: Rank = (0.0, 0.0)


def ranks(targets: Sequence[Target], durations: Mapping[str, float]) -> dict[str, Rank]:
    """By target. `durations`: seconds that deployments took in earlier runs, by target; may be empty.

    The longest way is that of the durations from a target to the end of the release, over all that waits for it. A
    target that was never deployed counts as the middle one of the others; where nothing is known, all count the same.
    """
    usual = median(durations.values()) if durations else 1.0
    longest: dict[str, float] = {}
    for target in reversed(order(targets)):
        way = durations.get(target.id, usual) + longest.get(target.id, 0.0)
        longest[target.id] = way
        for name in (*target.needs, *target.after):
            longest[name] = max(longest.get(name, 0.0), way)
    return {target.id: (-float(target.priority), -round(longest[target.id], 3)) for target in targets}
