"""Shipped fakes for what gates and hooks ask of the world, in the caller's (virtual) time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import anyio

from orchestrator.core.controls import GateSpec, HookSpec
from orchestrator.core.measuring import Answer, Measurement
from orchestrator.core.model import Location
from orchestrator.core.ports import Ran
from orchestrator.core.stages import Outside


@dataclass(kw_only=True)
class ScriptedGates:
    """Each gate gives its answers one after the other, and the last of them for ever; without any it is good."""

    answers: Mapping[str, Sequence[Answer]] = field(default_factory=dict)
    seconds: float = 0.1
    """What one measurement takes; endless makes a gate that never answers."""
    asked: list[tuple[str, float]] = field(default_factory=list)
    """Gate, and when it was asked, on anyio's clock."""
    facts: list[Mapping[str, str]] = field(default_factory=list)
    locations: list[Location | None] = field(default_factory=list)

    async def measure(self, gate: GateSpec, location: Location | None, facts: Mapping[str, str]) -> Measurement:
        self.asked.append((gate.name, anyio.current_time()))
        self.facts.append(facts)
        self.locations.append(location)
        await anyio.sleep(self.seconds)
        script = self.answers.get(gate.name, ("good",))
        number = sum(name == gate.name for name, _ in self.asked) - 1
        verdict = script[min(number, len(script) - 1)]
        return Measurement(verdict, f"scripted {verdict}")


@dataclass(kw_only=True)
class ScriptedCommands:
    """Commands that take `seconds` and end with the exit code that stands here for their first word, else with 0."""

    codes: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 1.0
    ran: list[tuple[str, ...]] = field(default_factory=list)
    """Those that have begun."""
    ended: dict[tuple[str, ...], int] = field(default_factory=lambda: defaultdict(int))
    """How often each has come to its end."""
    facts: list[Mapping[str, str]] = field(default_factory=list)

    async def run(self, hook: HookSpec, facts: Mapping[str, str]) -> Ran:
        self.ran.append(hook.command)
        self.facts.append(facts)
        await anyio.sleep(self.seconds)
        self.ended[hook.command] += 1
        code = self.codes.get(hook.command[0], 0)
        return Ran(ok=code == 0, reason=f"exited with {code}", exit_code=code, output=f"output of {hook.command[0]}\n")


def nothing_outside() -> Outside:
    """Gates that are all good, and commands that all succeed."""
    return Outside(gates=ScriptedGates(), commands=ScriptedCommands())
