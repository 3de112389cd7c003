"""What this process gets from its surroundings: its streams, and whether it shall say more than usual."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress

from orchestrator.sinks.taming import Tamed

DEBUG = "ORCHESTRATOR_DEBUG"
"""The variable that shows tracebacks and what libraries log."""


def wants_debug(env: Mapping[str, str]) -> bool:
    return env.get(DEBUG, "").lower() not in {"", "0", "false", "no"}


def open_streams() -> None:
    """Makes stdin, stdout and stderr usable, whoever started us.

    One that was closed (`<&-`, some daemons) is None in Python, and its number would go to the next file that is
    opened, the journal for one. And a character that the terminal's encoding lacks must not end a release.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            _open_nowhere(number)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))
    for stream, errors in ((sys.stdout, "replace"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def tame_streams() -> None:
    """In a CI system that takes orders from a job's output: names, reasons and logs must give it none.

    A stream into a file of its own stays as it is: nobody obeys that.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        with suppress(OSError, ValueError):
            number = stream.fileno()
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raw = io.BufferedWriter(io.FileIO(number, "w", closefd=False))
                settings = {"encoding": stream.encoding, "errors": stream.errors, "line_buffering": name == "stderr"}
                setattr(sys, name, Tamed(raw, **settings))


def _open_nowhere(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
