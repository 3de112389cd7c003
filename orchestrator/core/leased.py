"""A transport that asks for the lease right before every call that changes something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from orchestrator.core.ports import Transport

MUTATING = frozenset({"ContinueDeployment", "CreateDeployment", "StopDeployment", "RegisterApplicationRevision"})


class LeasedTransport:
    """A `core.ports.Transport`. The journal's fence protects the journal; this protects CodeDeploy.

    It stands below the limiter: between the answer of `ensure` and the request nothing waits any more.
    """

    def __init__(self, transport: Transport, ensure: Callable[[], Awaitable[None]]) -> None:
        """`ensure`: `LeaseKeeper.ensure`, which raises `LeaseLostError` (a `RefusedError`: nothing was sent)."""
        self._transport = transport
        self._ensure = ensure

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation in MUTATING:
            await self._ensure()
        return await self._transport.call(operation, parameters)
