"""A release as parts that don't depend on one another: each can go on by itself, with its own lease and journal.

Targets belong together where one waits for the other, where they share a pool with a limit, or an account and region:
its budget of calls is one. What the release limits as a whole is divided among the parts.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from orchestrator.core.controls import NO_CONTROLS
from orchestrator.core.model import Concurrency
from orchestrator.core.plan import Plan, Step

MOST = 16
"""Parts of one release: each costs reads and writes of its own, and a process can look in on so many at a time."""


@dataclass(frozen=True, slots=True)
class Part:
    steps: tuple[Step, ...]
    """In the plan's order."""
    concurrency: Concurrency

    def of(self, plan: Plan) -> Plan:
        return replace(plan, steps=self.steps)


def part_id(run: str, number: int) -> str:
    """The id of the run that carries out the part with this number, from 1."""
    return f"{run}-p{number}"


def split(plan: Plan, concurrency: Concurrency, most: int = MOST) -> list[Part]:
    """The parts, largest first.

    One where the run has gates or hooks of its own, or notifications: they are about all of its targets.
    """
    if plan.controls != NO_CONTROLS or plan.notifications or not plan.steps:
        return [Part(plan.steps, concurrency)]
    limit = min(most, concurrency.deployments or most)
    groups = _packed(_components(plan.steps, concurrency), max(1, limit))
    shares = _shares(concurrency.deployments, [len(group) for group in groups])
    place = {step.target.id: index for index, step in enumerate(plan.steps)}
    return [
        Part(
            tuple(sorted(group, key=lambda step: place[step.target.id])),
            replace(concurrency, deployments=share),
        )
        for group, share in zip(groups, shares, strict=True)
    ]


def _components(steps: Sequence[Step], concurrency: Concurrency) -> list[list[Step]]:
    """By union-find over everything that ties targets together."""
    known = {step.target.id for step in steps}
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for step in steps:
        for tie in _ties(step, known, concurrency):
            parent[root(tie)] = root(step.target.id)
    found: dict[str, list[Step]] = {}
    for step in steps:
        found.setdefault(root(step.target.id), []).append(step)
    return list(found.values())


def _ties(step: Step, known: Iterable[str], concurrency: Concurrency) -> Iterator[str]:
    target = step.target
    yield from (name for name in (*target.needs, *target.after) if name in known)
    yield f"location {target.location}"
    if target.pool is not None and concurrency.pools.get(target.pool) is not None:
        yield f"pool {target.pool}"


def _packed(groups: list[list[Step]], most: int) -> list[list[Step]]:
    """At most so many, of sizes as even as can be: the largest go first, each to where there is least so far."""
    largest_first = sorted(groups, key=len, reverse=True)
    heap = [(len(group), number, group) for number, group in enumerate(largest_first[:most])]
    heapq.heapify(heap)
    for group in largest_first[most:]:
        size, number, least = heap[0]
        least.extend(group)
        heapq.heapreplace(heap, (size + len(group), number, least))
    return [group for _, _, group in sorted(heap, key=lambda each: (-each[0], each[1]))]


def _shares(limit: int | None, sizes: Sequence[int]) -> list[int | None]:
    """Of `limit` places for parts of these sizes: in proportion, at least one each, never more than `limit` in all."""
    if limit is None:
        return [None] * len(sizes)
    shares = [max(1, limit * size // sum(sizes)) for size in sizes]
    while sum(shares) > limit:
        shares[shares.index(max(shares))] -= 1
    return list(shares)
