"""Starts commands and measures them: CPU, peak memory and time of a whole process, as the kernel counts them.

This process stays small on purpose: a child's peak memory can't be counted lower than what its parent held when it
was started.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

PYTHON = sys.executable
ORCHESTRATOR = str(Path(sys.executable).with_name("orchestrator"))
ROOT = Path(__file__).parents[2]

ROUNDS = 5
LINES_OF_AN_ERROR = 5


class CommandError(Exception):
    """A command under measurement didn't do what it should."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What a process took. Seconds, and megabytes (10^6 bytes)."""

    cpu: float
    peak: float
    elapsed: float
    output: str
    """What it wrote to stdout."""


def last_lines(stream: TextIO) -> str:
    """Of what a command wrote to stderr."""
    stream.seek(0)
    return "\n".join(f"  {line}" for line in stream.read().splitlines()[-LINES_OF_AN_ERROR:])


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment, without what would lead a command to a real account or to other options."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ORCHESTRATOR_"))}
    return kept | dict(more or {})


def measure(command: Sequence[str], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> Usage:
    """Runs the command to its end. Raises `CommandError` unless it succeeds."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        began = time.monotonic()
        process = subprocess.Popen(  # waited for below, by what also tells what it took
            command, cwd=cwd, env=clean_environment(env), stdin=subprocess.DEVNULL, stdout=output, stderr=errors
        )
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        elapsed = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            what = f"{' '.join([Path(command[0]).name, *command[1:2]])} … ended with {process.returncode}"
            raise CommandError(f"{what}:\n{last_lines(errors)}")
        output.seek(0)
        return Usage(
            cpu=used.ru_utime + used.ru_stime,
            peak=used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6,  # macOS counts in bytes
            elapsed=elapsed,
            output=output.read(),
        )


def cpu_of(command: Sequence[str], *, cwd: Path = ROOT, rounds: int = ROUNDS) -> float:
    """The median; a first run, which warms the caches, doesn't count."""
    measure(command, cwd=cwd)
    return statistics.median(measure(command, cwd=cwd).cpu for _ in range(rounds))
