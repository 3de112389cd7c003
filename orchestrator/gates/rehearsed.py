"""A rehearsal touches nothing outside its sandbox: what would be asked or run there is only named."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.controls import GateSpec, HookSpec
from orchestrator.core.measuring import Measurement
from orchestrator.core.model import Location
from orchestrator.core.ports import Gates, Ran

NOT_ASKED = "rehearsal: not asked, taken as good"
NOT_RUN = "was not run: this is a rehearsal"


class RehearsedGates:
    """Alarms are those of the sandbox, and are looked at; everything else is good."""

    def __init__(self, real: Gates) -> None:
        self._real = real

    async def measure(self, gate: GateSpec, location: Location | None, facts: Mapping[str, str]) -> Measurement:
        if gate.kind == "cloudwatch_alarm":
            return await self._real.measure(gate, location, facts)
        return Measurement("good", NOT_ASKED)


class RehearsedCommands:
    async def run(self, hook: HookSpec, facts: Mapping[str, str]) -> Ran:  # noqa: ARG002 - the port's signature
        return Ran(ok=True, reason=NOT_RUN)
