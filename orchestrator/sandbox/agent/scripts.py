"""What it means to run a script on an instance: the order to do it, how it may end, and the log of it."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Literal, Protocol

Stream = Literal["stdout", "stderr"]
OnLine = Callable[[Stream, bytes], None]
"""Takes each line of output as it comes, with its line feed if it has one."""

TAIL = 2048
"""Characters; what the service shows of a script's output stays below."""
_LOG_LIMIT = 16 * 1024 * 1024
"""Bytes that one lifecycle event may write to the logs on the instance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A script to run."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    timeout: float
    """Seconds of real time, from its start until its outputs are closed."""


@dataclass(frozen=True, slots=True)
class Exited:
    code: int


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The kernel refused to execute it."""

    error: str
    """As errno names it: ENOENT."""
    path: str

    def __str__(self) -> str:
        number = getattr(errno, self.error, 0)
        return f"Errno::{self.error} with message {os.strerror(number)} - {self.path}"


@dataclass(frozen=True, slots=True)
class TimedOut:
    pass


@dataclass(frozen=True, slots=True)
class LeftOpen:
    """It has ended, but something that it started holds an output."""

    stream: Stream


@dataclass(frozen=True, slots=True)
class Ended:
    """Ended by the sandbox: it took too much of something."""

    why: str


Ending = Exited | NotStarted | TimedOut | LeftOpen | Ended


class ScriptRunner(Protocol):
    """Runs scripts on one instance, one at a time."""

    async def run(self, command: Command, on_line: OnLine) -> Ending:
        """Cancelled, it leaves nothing running."""
        ...


@dataclass(slots=True)
class ScriptLog:
    """The two logs on the instance, and the tail that the service is told.

    Chunks are whole: the tail is as many of the last ones as stay below 2048 characters together.
    """

    files: Sequence[tuple[BinaryIO, str]]
    """Open log files; each with what its lines begin with after the time."""
    chunks: list[str] = field(default_factory=list)
    written: int = 0

    def add(self, text: bytes) -> None:
        self.chunks.append(text.decode(errors="replace"))
        room, kept = TAIL, len(self.chunks)
        while kept and len(self.chunks[kept - 1]) < room:
            kept -= 1
            room -= len(self.chunks[kept])
        del self.chunks[:kept]
        self._write(text)

    def tail(self) -> str:
        return "".join(self.chunks)

    def _write(self, text: bytes) -> None:
        self.written += len(text)
        if self.written > _LOG_LIMIT:
            return
        now = time.strftime("%Y-%m-%d %H:%M:%S").encode()
        for file, prefix in self.files:
            line = text if not prefix else text.strip() + b"\n"
            file.write(now + b" " + prefix.encode() + line)
            file.flush()
