"""Layered limits on what runs at once: in all, by account and region, by pool.

A target takes its place in all layers or in none: nobody holds a place in one queue while it waits in another, so a
full pool never keeps others from starting. Who has the first rank and came first is looked at first, but whoever fits
may go.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel

from orchestrator.core.model import Concurrency, Target
from orchestrator.core.ranking import NO_RANK, Rank

Layers = tuple[str, ...]


@dataclass(order=True, slots=True)
class _Waiter:
    rank: Rank
    number: int
    layers: Layers = field(compare=False)
    admitted: anyio.Event = field(compare=False)


class Slots:
    def __init__(self, concurrency: Concurrency, ranks: Mapping[str, Rank] | None = None) -> None:
        """`ranks`: by target; of those with equal ones who came first goes first."""
        self._limits = concurrency
        self._ranks = ranks or {}
        self._used: Counter[str] = Counter()
        self._holders: set[str] = set()
        self._waiting: dict[Layers, list[_Waiter]] = {}
        """By what they need, each a heap by rank and arrival: thousands may wait, and only the first of each is looked
        at when something is set free."""
        self._numbers = 0
        self._closed = False

    @asynccontextmanager
    async def hold(self, target: Target) -> AsyncIterator[None]:
        """Waits for a place and keeps it for the block."""
        self._numbers += 1
        rank = self._ranks.get(target.id, NO_RANK)
        waiter = _Waiter(rank, self._numbers, self._layers(target), anyio.Event())
        heapq.heappush(self._waiting.setdefault(waiter.layers, []), waiter)
        try:
            await anyio.lowlevel.checkpoint()  # others who come in the same moment are looked at, too
            self._admit()
            await waiter.admitted.wait()
            self._holders.add(target.id)
            yield
        finally:
            self._holders.discard(target.id)
            if waiter.admitted.is_set():
                self._used.subtract(waiter.layers)
                self._admit()
            else:
                self._waiting[waiter.layers].remove(waiter)
                heapq.heapify(self._waiting[waiter.layers])

    @contextmanager
    def keep(self, target: Target) -> Iterator[None]:
        """A place for what runs already, as in a resumed run: it counts, whether there is room or not."""
        layers = self._layers(target)
        self._used.update(layers)
        try:
            yield
        finally:
            self._used.subtract(layers)
            self._admit()

    def has_room(self, target: Target) -> bool:
        """Whether the target would get its place, were it to come now."""
        return not any(self._is_full(layer) for layer in self._layers(target))

    def holds(self, target: str) -> bool:
        """Whether the target has its place."""
        return target in self._holders

    def close(self) -> None:
        """The run starts nothing new: nobody waits for a place any longer, all are let in to find that out."""
        self._closed = True
        self._admit()

    def _admit(self) -> None:
        while (waiter := self._first_who_fits()) is not None:
            heapq.heappop(self._waiting[waiter.layers])
            self._used.update(waiter.layers)
            waiter.admitted.set()

    def _first_who_fits(self) -> _Waiter | None:
        heads = (
            queue[0]
            for layers, queue in self._waiting.items()
            if queue and not any(self._is_full(layer) for layer in layers)
        )
        return min(heads, default=None)

    def _is_full(self, layer: str) -> bool:
        limit = None if self._closed else self._limit(layer)
        return limit is not None and self._used[layer] >= limit

    def _limit(self, layer: str) -> int | None:
        kind, _, name = layer.partition(" ")
        match kind:
            case "pool":
                return self._limits.pools.get(name)
            case "region":
                return self._limits.per_region
            case _:
                return self._limits.deployments

    @staticmethod
    def _layers(target: Target) -> Layers:
        pool = (f"pool {target.pool}",) if target.pool is not None else ()
        return ("deployments", f"region {target.location}", *pool)
