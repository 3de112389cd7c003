"""What libraries log stays out of the output; our own warnings are a line on stderr each."""

from __future__ import annotations

import logging
import sys


def configure_logging(*, debug: bool) -> None:
    """Once in a process.

    What goes wrong at AWS is an event or an error of ours already; the libraries would say it again, with a traceback
    in the middle of the live table. With `debug` they may, from a warning up.
    """
    theirs = Stderr(logging.WARNING)
    theirs.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logging.getLogger().addHandler(theirs if debug else logging.NullHandler())
    ours = Stderr(logging.WARNING)
    ours.setFormatter(OneLine("warning: %(message)s"))
    logger = logging.getLogger("orchestrator")
    logger.addHandler(ours)
    logger.propagate = False


class Stderr(logging.Handler):
    """Looks stderr up at each record: the live table puts a stream of its own there."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
        except (OSError, ValueError):
            return  # nobody reads it any more


class OneLine(logging.Formatter):
    """Without tracebacks, and on one line."""

    def format(self, record: logging.LogRecord) -> str:
        record.message = " ".join(record.getMessage().split())
        return self.formatMessage(record)
