"""Logs, where they are asked for; else what libraries log stays out of the output, and our warnings are a line each.

Nothing of it is ever written to stdout.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from orchestrator.core.errors import UsageError
from orchestrator.wording.text import write_line

Format = Literal["text", "json"]
LEVELS = ("debug", "info", "warning", "error")

_NEVER = logging.CRITICAL + 1
OURS = "orchestrator"
EVENTS, CALLS = "orchestrator.events", "orchestrator.aws.calls"
"""The loggers of `sinks.eventlog` and `aws.calllog`, which not every command imports."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LogOptions:
    file: Path | None = None
    """None: stderr."""
    format: Format | None = None
    level: str | None = None

    @property
    def are_wanted(self) -> bool:
        return any((self.file, self.format, self.level))


def configure_logging(*, debug: bool) -> None:
    """Once in a process.

    What goes wrong at AWS is an event or an error of ours already; the libraries would say it again, with a traceback
    in the middle of the live view. With `debug` they may, from a warning up.
    """
    theirs = Stderr(logging.WARNING)
    theirs.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logging.getLogger().addHandler(theirs if debug else logging.NullHandler())
    ours = Stderr(logging.WARNING)
    ours.setFormatter(OneLine("warning: %(message)s"))
    logger = logging.getLogger(OURS)
    logger.addHandler(ours)
    logger.propagate = False
    for name in (EVENTS, CALLS):  # people are told of both otherwise
        logging.getLogger(name).setLevel(_NEVER)


def start_log(options: LogOptions, env: Mapping[str, str]) -> None:
    """Writes a log from here on. Raises `UsageError` when its file can't be opened."""
    if not options.are_wanted:
        return
    from orchestrator.cli.logformat import Correlation, JsonFormat, TextFormat  # noqa: PLC0415 - only when asked for
    from orchestrator.core.scrub import Scrubber  # noqa: PLC0415 - as above

    level = logging.getLevelNamesMapping()[(options.level or "info").upper()]
    handler: logging.Handler = Stderr(logging.DEBUG) if options.file is None else LogFile(options.file)
    handler.setFormatter((JsonFormat if options.format == "json" else TextFormat)(Scrubber(env)))
    handler.addFilter(Correlation(level))
    ours = logging.getLogger(OURS)
    if options.file is None:  # warnings would be there twice
        for each in ours.handlers[:]:
            ours.removeHandler(each)
    ours.addHandler(handler)
    ours.setLevel(logging.DEBUG)
    for name in (EVENTS, CALLS):
        logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger().addHandler(handler)


class Stderr(logging.Handler):
    """Looks stderr up at each record: the live view puts a stream of its own there."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
        except (OSError, ValueError):
            return  # nobody reads it any more


class LogFile(logging.Handler):
    """Appends to a file that only its owner may read; when it can't be written any more it says so, once."""

    def __init__(self, path: Path) -> None:
        super().__init__(logging.DEBUG)
        self._path = path
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            message = f"--log-file: can't write {path}: {error.strerror or error}"
            raise UsageError(message, hint="name a file in a folder that exists and may be written") from None
        self._stream: TextIO = os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")
        self._broken = False

    def close(self) -> None:
        with suppress(OSError):  # what a full disk didn't take was complained about when it was written
            self._stream.close()
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        if self._broken or write_line(self._stream, self.format(record)):
            return
        self._broken = True
        write_line(sys.stderr, f"warning: {self._path} can't be written any more; it goes on without a log")


class OneLine(logging.Formatter):
    """Without tracebacks, and on one line."""

    def format(self, record: logging.LogRecord) -> str:
        record.message = " ".join(record.getMessage().split())
        return self.formatMessage(record)
