"""Layered limits on what runs at once: in all, by account and region, by pool.

A target takes its place in all layers or in none: nobody holds a place in one queue while it waits in another, so a
full pool never keeps others from starting. Who came first is looked at first, but whoever fits may go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from orchestrator.core.model import Concurrency, Target


@dataclass(eq=False, slots=True)
class _Waiter:
    target: Target
    admitted: anyio.Event


class Slots:
    def __init__(self, concurrency: Concurrency) -> None:
        self._limits = concurrency
        self._used: Counter[str] = Counter()
        self._waiting: list[_Waiter] = []
        self._closed = False

    @asynccontextmanager
    async def hold(self, target: Target) -> AsyncIterator[None]:
        """Waits for a place and keeps it for the block."""
        waiter = _Waiter(target, anyio.Event())
        self._waiting.append(waiter)
        self._admit()
        try:
            await waiter.admitted.wait()
            yield
        finally:
            if waiter.admitted.is_set():
                self._used.subtract(self._layers(target))
                self._admit()
            else:
                self._waiting.remove(waiter)

    def close(self) -> None:
        """The run starts nothing new: nobody waits for a place any longer, all are let in to find that out."""
        self._closed = True
        self._admit()

    def full_layer(self, target: Target) -> str | None:
        """What the target would have to wait for, in words; None when there is room."""
        return next((str(layer) for layer in self._layers(target) if self._is_full(layer)), None)

    def _admit(self) -> None:
        still: list[_Waiter] = []
        for waiter in self._waiting:
            layers = self._layers(waiter.target)
            if any(self._is_full(layer) for layer in layers):
                still.append(waiter)
            else:
                self._used.update(layers)
                waiter.admitted.set()
        self._waiting = still

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
    def _layers(target: Target) -> list[str]:
        pool = [f"pool {target.pool}"] if target.pool is not None else []
        return ["deployments", f"region {target.location}", *pool]
