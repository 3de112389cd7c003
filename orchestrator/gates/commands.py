"""Commands on this machine: hooks, and gates that ask one."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.core.controls import GateSpec, HookSpec
from orchestrator.core.measuring import Measurement, span
from orchestrator.core.ports import Ran
from orchestrator.core.scrub import Scrubber
from orchestrator.gates.processes import Ended, run


class CommandRunner:
    """Runs commands in the manifest's folder, with the environment that the orchestrator itself was given."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._scrubber = Scrubber(environment)

    async def run(self, hook: HookSpec, facts: Mapping[str, str]) -> Ran:
        """Fulfils `core.ports.Commands`."""
        try:
            ended = await self._run(hook.command, facts, hook.timeout)
        except OSError as error:
            return Ran(ok=False, reason=f"couldn't be started: {error.strerror or error}")
        within = "" if hook.timeout is None else f" within {span(hook.timeout)}"
        reason = f"didn't end{within}, and was killed" if ended.code is None else _ending(ended.code)
        return Ran(
            ok=ended.code == 0,
            reason=reason if ended.code == 0 else _with_last_line(reason, ended.output),
            exit_code=ended.code,
            output=ended.output,
        )

    async def measure(self, gate: GateSpec, facts: Mapping[str, str]) -> Measurement:
        """0 is good, another exit code bad; a command that didn't start or was killed wasn't asked."""
        try:
            ended = await self._run(gate.settings["command"], facts, None)
        except OSError as error:
            return Measurement("unknown", f"the command couldn't be started: {error.strerror or error}")
        assert ended.code is not None  # noqa: S101 - it has no time-out of its own
        reason = _with_last_line(_ending(ended.code), ended.output)
        if ended.code < 0:
            return Measurement("unknown", reason)
        return Measurement("good" if ended.code == 0 else "bad", reason)

    async def _run(self, command: Sequence[str], facts: Mapping[str, str], seconds: float | None) -> Ended:
        environment = {**self._environment, **facts}
        ended = await run(list(command), folder=self._folder, environment=environment, seconds=seconds)
        return replace(ended, output=self._scrubber.text(ended.output))


def _ending(code: int) -> str:
    if code >= 0:
        return f"exited with {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _with_last_line(text: str, output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f"{text}: {lines[-1][-200:]}" if lines else text
