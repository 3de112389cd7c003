"""One command as a process group of its own: its output bounded, its end certain."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT

import anyio
from anyio.abc import ByteReceiveStream, Process

TAIL = 4096
"""Bytes of output that are kept: the last ones."""

PATIENCE = 5.0
"""Seconds between TERM and KILL."""

LAST_OUTPUT = 1.0
"""Seconds that output is still read after the end: a child that goes on may hold the pipe for ever."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    code: int | None
    """None: its time was up, and it was killed; negative: another signal ended it."""
    output: str


async def run(
    command: Sequence[str], *, folder: Path, environment: Mapping[str, str], seconds: float | None = None
) -> Ended:
    """No shell is involved, stdin is empty, both streams go into one. Raises OSError when it can't be started.

    When its time is up, or the caller is cancelled, the command and its children get TERM, and KILL after `PATIENCE`.
    """
    tail = _Tail()
    ended = False
    process = await anyio.open_process(
        command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, cwd=folder, env=environment, start_new_session=True
    )
    try:
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as tasks:
                assert process.stdout is not None  # noqa: S101 - it is a pipe, as asked for
                tasks.start_soon(tail.read, process.stdout)
                await process.wait()
                ended = True
                with anyio.move_on_after(LAST_OUTPUT):
                    await tail.is_whole.wait()
                tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            if not ended:
                await _end(process)
            await process.aclose()
    return Ended(code=process.returncode if ended else None, output=tail.text)


class _Tail:
    def __init__(self) -> None:
        self._kept = b""
        self._cut = False
        self.is_whole = anyio.Event()

    async def read(self, stream: ByteReceiveStream) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for chunk in stream:
                self._cut = self._cut or len(self._kept) + len(chunk) > TAIL
                self._kept = (self._kept + chunk)[-TAIL:]
        self.is_whole.set()

    @property
    def text(self) -> str:
        return ("…" if self._cut else "") + self._kept.decode("utf-8", "replace").replace("\0", "")


async def _end(process: Process) -> None:
    """The whole group: what it has started goes with it."""
    _signal(process.pid, signal.SIGTERM)
    with anyio.move_on_after(PATIENCE):
        await process.wait()
    _signal(process.pid, signal.SIGKILL)  # also those of its children that TERM didn't reach
    await process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
