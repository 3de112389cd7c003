"""Wires what gates and hooks ask of the world."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.aws import AwsSession
from orchestrator.core.model import Location
from orchestrator.core.plan import Plan
from orchestrator.core.stages import Outside
from orchestrator.gates import Asker, CommandRunner, RehearsedCommands, RehearsedGates


def outside_of(plan: Plan, session: AwsSession, env: Mapping[str, str], *, rehearsal: bool) -> Outside:
    """For one run. `env`: what this process was given, which commands get, too."""

    async def cloudwatch(location: Location, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        return await session.call("cloudwatch", location, operation, parameters)

    folder = Path(plan.manifest).parent
    commands = CommandRunner(folder, env)
    asker = Asker(cloudwatch=cloudwatch, commands=commands, environment=env, home=_home(plan))
    if rehearsal:
        return Outside(gates=RehearsedGates(asker), commands=RehearsedCommands(), rehearsal=True)
    return Outside(gates=asker, commands=commands)


def _home(plan: Plan) -> Location:
    """The first target's account and region speak for the run."""
    return next((step.target.location for step in plan.steps), Location(region=""))
