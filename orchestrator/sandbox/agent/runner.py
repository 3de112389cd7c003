"""Runs an instance's scripts for real, inside its bubble."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
from anyio.abc import ByteReceiveStream, Process

from orchestrator.sandbox.agent.bubble import (
    Bubble,
    Machine,
    boot,
    child_number,
    kill,
    prepare_mount_points,
    reporting,
)
from orchestrator.sandbox.agent.scripts import (
    Command,
    Ended,
    Ending,
    Exited,
    LeftOpen,
    NotStarted,
    OnLine,
    Stream,
    TimedOut,
)

_LOOK = 0.02
"""Seconds between two looks at what the instance takes."""
_GRACE = 1.0
"""Seconds between TERM and the end of everything."""
_LONGEST_LINE = 64 * 1024
_ERRORS = {"No such file or directory": "ENOENT", "Permission denied": "EACCES", "Exec format error": "ENOEXEC"}


class BubbleRunner:
    """The scripts of one instance, and what they leave running."""

    def __init__(self, bubble: Bubble) -> None:
        self._bubble = bubble
        self._machine: Machine | None = None

    async def run(self, command: Command, on_line: OnLine) -> Ending:
        """As `ScriptRunner.run`. After a time-out, and where the sandbox ended it, nothing is left on the instance."""
        clean = False
        try:
            machine = await self._up()
            ending = await self._run(machine, command, on_line)
            clean = isinstance(ending, Exited | NotStarted)
        finally:
            if not clean or (self._machine is not None and await self._machine.is_idle()):
                await self.stop()
        return ending

    async def stop(self) -> None:
        """Whatever runs ends."""
        machine, self._machine = self._machine, None
        if machine is not None:
            await machine.close()

    async def _up(self) -> Machine:
        if self._machine is not None and not self._machine.is_up:
            await self.stop()
        if self._machine is None:
            self._machine = await boot(self._bubble)
        return self._machine

    async def _run(self, machine: Machine, command: Command, on_line: OnLine) -> Ending:
        prepare_mount_points(self._bubble.root)
        namespace = os.open(f"/proc/{machine.init}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

        def start(info: int) -> list[str]:
            return self._bubble.command(machine.init, namespace, info, command.argv, command.environment)

        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
        try:
            async with reporting(start, namespace, **streams) as (process, reading), process:
                leader = await child_number(reading)
                return await _Following(process, machine, leader, command, on_line).follow()
        finally:
            os.close(namespace)


@dataclass(slots=True)
class _Following:
    """One script from its start to its end."""

    process: Process
    machine: Machine
    leader: int | None
    command: Command
    on_line: OnLine
    open: set[Stream] = field(default_factory=lambda: {"stdout", "stderr"})
    why: str | None = None
    first_error: bytes | None = None

    async def follow(self) -> Ending:
        exited = False
        with anyio.move_on_after(self.command.timeout) as clock:
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch, group.cancel_scope.cancel)
                async with anyio.create_task_group() as reading:
                    reading.start_soon(self._read, "stdout", self.process.stdout)
                    reading.start_soon(self._read, "stderr", self.process.stderr)
                    await self.process.wait()
                    exited = True
                group.cancel_scope.cancel()
        if clock.cancelled_caught and not exited:
            await self._end()
            return TimedOut()
        if clock.cancelled_caught:
            return LeftOpen("stdout" if "stdout" in self.open else "stderr")
        if self.why is not None:
            await self._end()
            return Ended(self.why)
        return self._exited()

    def _exited(self) -> Ending:
        code = self.process.returncode or 0
        if self.first_error is not None:
            said = self.first_error.decode(errors="replace").strip()
            path, _, reason = said.removeprefix("bwrap: execvp ").rpartition(": ")
            return NotStarted(_ERRORS.get(reason, "EACCES"), path)
        return Exited(code)

    async def _read(self, name: Stream, stream: ByteReceiveStream | None) -> None:
        if stream is None:
            return
        rest = b""
        async for chunk in stream:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._take(name, line + b"\n")
            if len(rest) > _LONGEST_LINE:
                self._take(name, rest)
                rest = b""
        if rest:
            self._take(name, rest)
        self.open.discard(name)

    def _take(self, name: Stream, line: bytes) -> None:
        """What bubblewrap itself says when it can't execute the script is no output of the script."""
        if name == "stderr" and line.startswith(b"bwrap: execvp ") and self.first_error is None:
            self.first_error = line
        else:
            self.on_line(name, line)

    async def _watch(self, give_up: Callable[[], None]) -> None:
        while True:
            self.why = self.machine.watch.excess()
            if self.why is not None:
                self.machine.end()
                give_up()
                return
            await anyio.sleep(_LOOK)

    async def _end(self) -> None:
        """TERM to the script's process group, as the agent does it; a moment later init ends, and all with it."""
        if self.leader is not None:
            kill(self.leader, signal.SIGTERM, group=True)
        with anyio.CancelScope(shield=True), anyio.move_on_after(_GRACE):
            await self.process.wait()
            return
        self.machine.end()
