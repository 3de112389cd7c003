"""The views of a run: lines or a live table for people, JSON for programs, metrics for Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from orchestrator.core.ports import CallObserver, Sink
from orchestrator.sinks.output import Output

Task = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewOptions:
    output: Output = "plain"
    events: Path | None = None
    metrics_listen: str | None = None
    metrics_textfile: Path | None = None
    pushgateway: str | None = None


@dataclass(frozen=True, slots=True)
class Views:
    sinks: Sequence[Sink]
    tasks: Sequence[Task] = field(default=())
    """What has to run beside the engine; never returns, cancel it."""
    observer: CallObserver | None = None


@asynccontextmanager
async def open_views(options: ViewOptions, *, stdout: TextIO, stderr: TextIO) -> AsyncIterator[Views]:
    """Raises `UsageError` when a file can't be written or a port is taken."""
    sinks: list[Sink] = []
    tasks: list[Task] = []
    observer: CallObserver | None = None

    def complain(line: str) -> None:
        stderr.write(f"{line}\n")
        stderr.flush()

    async with AsyncExitStack() as stack:
        if options.output == "live":
            from orchestrator.sinks.live import LiveSink  # noqa: PLC0415 - rich only where it's looked at

            live = LiveSink(stderr)
            sinks.append(live)
            tasks.append(live.run)
        else:
            from orchestrator.sinks.plain import PlainSink  # noqa: PLC0415 - as above

            plain = PlainSink(stderr)
            sinks.append(plain)
            tasks.append(plain.run)
        if options.output == "json" or options.events is not None:
            from orchestrator.sinks.jsonlines import JsonLinesSink, open_events  # noqa: PLC0415 - as above

            if options.output == "json":
                sinks.append(JsonLinesSink(stdout, name="stdout", complain=complain))
            if options.events is not None:
                sinks.append(stack.enter_context(open_events(options.events, complain=complain)))
        yield Views(sinks, tasks, observer)
