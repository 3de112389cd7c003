"""Which kind of gate is asked how. Fulfils `core.ports.Gates`."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.controls import GateSpec
from orchestrator.core.measuring import Measurement
from orchestrator.core.model import Location
from orchestrator.gates import alarms, http, prometheus
from orchestrator.gates.alarms import CallCloudWatch
from orchestrator.gates.commands import CommandRunner

__all__ = ["Asker", "CallCloudWatch"]


class Asker:
    def __init__(
        self, *, cloudwatch: CallCloudWatch, commands: CommandRunner, environment: Mapping[str, str], home: Location
    ) -> None:
        """`home`: where the run's own gates look, which belong to no target."""
        self._cloudwatch = cloudwatch
        self._commands = commands
        self._environment = environment
        self._home = home

    async def measure(self, gate: GateSpec, location: Location | None, facts: Mapping[str, str]) -> Measurement:
        match gate.kind:
            case "cloudwatch_alarm":
                return await alarms.measure(gate, location or self._home, self._cloudwatch)
            case "prometheus":
                return await prometheus.measure(gate, self._environment)
            case "http":
                return await http.measure(gate)
            case "command":
                return await self._commands.measure(gate, facts)
            case "approval":
                return Measurement("unknown", "people decide this one")
