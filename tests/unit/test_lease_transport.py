"""A run that has lost its lease starts and stops nothing more, and goes on looking."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import anyio
import pytest

from orchestrator.core.errors import RefusedError
from orchestrator.core.lease import LeaseKeeper, LeaseLostError
from orchestrator.core.leased import MUTATING, LeasedTransport
from orchestrator.core.locks import Owner
from orchestrator.core.locktable import unlock
from orchestrator.testing_blobs import MemoryBlobs

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]


class Calls:
    def __init__(self) -> None:
        self.made: list[str] = []

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        self.made.append(operation)
        return {}


def test_the_lease_is_asked_for_before_each_change_and_no_look(virtual: Virtual) -> None:
    async def play() -> None:
        blobs, calls = MemoryBlobs(), Calls()
        async with LeaseKeeper(blobs, run="r1", owner=Owner(host="h", pid=1, user="u"), keys=["a"]) as keeper:
            await keeper.acquire()
            transport = LeasedTransport(calls, keeper.ensure)
            for operation in MUTATING:
                await transport.call(operation, {})
            assert set(calls.made) == MUTATING
            await unlock(blobs)
            await anyio.sleep(20)  # a process that was stopped, and wakes up
            calls.made.clear()
            for operation in MUTATING:
                with pytest.raises(LeaseLostError) as caught:
                    await transport.call(operation, {})
                assert isinstance(caught.value, RefusedError)
            assert calls.made == []
            await transport.call("BatchGetDeployments", {})
            assert calls.made == ["BatchGetDeployments"]

    virtual(play())
