"""The live view of 1,000 targets: what a tick costs in CPU and in bytes; and what a log costs a call."""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.aws.calllog import LOGGER, CallEnd, log_call
from orchestrator.cli.logformat import Correlation, JsonFormat
from orchestrator.core.model import Location
from orchestrator.core.scrub import Scrubber
from orchestrator.sinks.frame import frame
from orchestrator.sinks.painter import Painter, Size

from .figures import Figure

sys.path.append(str(Path(__file__).parents[1]))
from bigruns import NOON, big_state

TARGETS = 1000
CALLS = 2000


def figures(_folder: Path) -> Iterator[Figure]:
    state = big_state(TARGETS)
    for columns, rows in ((80, 24), (200, 50)):

        def draw(now: float = NOON + 4000, columns: int = columns, rows: int = rows) -> object:
            return frame(state, now=now, width=columns - 1, height=rows - 1)

        name = f"a picture of {columns}×{rows}"
        yield Figure(name=name, value=_cpu(draw) * 1000, unit="ms", at_most=20, beside="four a second at most")
    size, painter = Size(200, 50), Painter(colours=True)
    first, second = (frame(state, now=NOON + 4000 + tick, width=199, height=49) for tick in (0, 1))
    whole, tick = len(painter.draw(first, [], size)), len(painter.draw(second, [], size))
    yield Figure(name="bytes of the next second's", value=float(tick), beside=f"{whole} for the first one")
    yield Figure(
        name="a log record of a call", value=_logged() / CALLS * 1000, unit="ms", at_most=0.5, beside="as JSON"
    )


def _cpu(work: Callable[[], object], rounds: int = 20) -> float:
    best = float("inf")
    for _ in range(5):
        begun = time.process_time()
        for _ in range(rounds):
            work()
        best = min(best, (time.process_time() - begun) / rounds)
    return best


def _logged() -> float:
    """CPU of so many calls, formatted and scrubbed."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(JsonFormat(Scrubber({"AWS_SECRET_ACCESS_KEY": "x" * 40})))
    handler.addFilter(Correlation(logging.DEBUG))
    logger = logging.getLogger(LOGGER)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(handler)
    end = CallEnd(outcome="ok", seconds=0.03, metadata={"RequestId": "0a1b", "HTTPStatusCode": 200}, problem=None)
    begun = time.process_time()
    for number in range(CALLS):
        log_call("codedeploy", Location(region="eu-west-1"), "GetDeployment", {"deploymentId": f"d-{number}"}, end)
    logger.removeHandler(handler)
    return time.process_time() - begun
