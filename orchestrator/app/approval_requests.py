"""Decisions of people on their way to the process that carries a run on, which may not be there yet."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict

import anyio

from orchestrator.app.requests import LOOK_EVERY
from orchestrator.core.approvals import Approvals, Decision
from orchestrator.core.blobs import Blobs
from orchestrator.core.errors import StateError
from orchestrator.core.events import WarningRaised
from orchestrator.core.recorder import Recorder


def name_of(run: str, gate: str) -> str:
    return f"requests/{run}.approval.{gate}.json"


async def leave(blobs: Blobs, run: str, decision: Decision) -> None:
    """Raises `ConflictError` when somebody's decision on the gate lies there already, and `StateError`."""
    await blobs.put(name_of(run, decision.gate), json.dumps(asdict(decision)).encode(), absent=True)


async def waiting(blobs: Blobs, run: str, gate: str) -> Decision | None:
    """A decision that no process has taken yet."""
    found = await blobs.get(name_of(run, gate))
    return None if found is None else _parse(found.content)


class DecisionTaker:
    """The side of the process that carries the run on."""

    def __init__(self, blobs: Blobs, approvals: Approvals, recorder: Recorder) -> None:
        self._blobs = blobs
        self._approvals = approvals
        self._recorder = recorder

    async def look(self) -> None:
        """Takes what lies there. One that can't be taken is told as a warning. Raises `StateError`."""
        for gate in self._approvals.names:
            name = name_of(self._recorder.run, gate)
            found = await self._blobs.get(name)
            if found is None:
                continue
            decision = _parse(found.content)
            refused = "it can't be read" if decision is None else self._approvals.decide(decision)
            if refused is not None:
                who = "" if decision is None else f" of {decision.by}"
                self._recorder.record(WarningRaised(message=f"the decision{who} on gate {gate} is refused: {refused}"))
            await self._recorder.commit()  # who asked is told by the request's going
            await self._blobs.delete(name)

    async def run(self) -> None:
        """Looks again and again. Never returns; cancel it."""
        while True:
            await anyio.sleep(LOOK_EVERY)
            with suppress(StateError):  # the next look may reach it; what the journal can't take ends the run anyway
                await self.look()


def _parse(content: bytes) -> Decision | None:
    try:
        return Decision(**json.loads(content))
    except (ValueError, TypeError):
        return None
