"""The views of a run: lines or a live table for people, JSON for programs, metrics for Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TextIO

from orchestrator.app.promptness import Promptness
from orchestrator.core.errors import UsageError
from orchestrator.core.events import Event, Record, RunResumed, RunStarted
from orchestrator.core.ports import CallObserver, Sink
from orchestrator.core.recorder import Recorder
from orchestrator.core.state import RunState
from orchestrator.sinks.dialects import dialect_of
from orchestrator.sinks.eventlog import event_log
from orchestrator.sinks.otel import asks_for_traces, check_protocol
from orchestrator.sinks.output import Output

Task = Callable[[], Coroutine[Any, Any, None]]
Rates = Mapping[tuple[str, str], float]
"""Calls a second by (service, region)."""


class Console(Sink, Protocol):
    """The view for people, on stderr."""

    def say(self, text: str) -> None:
        """A line that is no event."""
        ...

    async def run(self) -> None:
        """What it has to do beside handling events; never returns, cancel it."""
        ...

    def finish(self) -> None:
        """Says what it has kept back."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewOptions:
    output: Output = "plain"
    events: Path | None = None
    metrics_listen: str | None = None
    metrics_textfile: Path | None = None
    pushgateway: str | None = None
    pushgateway_cleanup: bool = False
    """Leave nothing of the run there when it has ended."""
    metrics_detail: Literal["target", "run"] = "target"
    """run: no series of single targets."""
    env: Mapping[str, str] = field(default_factory=dict)
    """What this process was given: terminals and CI systems say there what they are."""
    sinks: tuple[Sink, ...] = ()
    """Others that want to be told."""
    serve: str | None = None
    """HOST:PORT of the page."""
    report: Path | None = None

    @property
    def measures(self) -> bool:
        return any((self.metrics_listen, self.metrics_textfile, self.pushgateway))


@dataclass(kw_only=True, slots=True)
class Views:
    """All that looks at one run."""

    console: Console
    sinks: list[Sink] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    """What has to run beside the engine; never returns, cancel it."""
    observer: CallObserver | None = None
    rates: Callable[[], Rates] = dict
    """Set once the budgets are known."""
    promptness: Promptness = field(default_factory=Promptness)
    openings: list[Callable[[RunState], Event]] = field(default_factory=list)
    """Events that views add when this process takes the run up."""
    historians: list[Callable[[Iterable[Record]], None]] = field(default_factory=list)
    """Those that want to know of a run what came before this process."""

    def take_up(self, recorder: Recorder) -> None:
        """This process goes on with the run from here; its first event is recorded."""
        for opening in self.openings:
            recorder.record(opening(recorder.state))

    def remember(self, records: Iterable[Record]) -> None:
        """What the run's journal holds already; before its first event of this process."""
        for tell in self.historians:
            tell(records)


@asynccontextmanager
async def open_views(
    options: ViewOptions, *, stdout: TextIO, stderr: TextIO, state: str | None = None
) -> AsyncIterator[Views]:
    """`state`: where the runs are kept, as `--state`.

    Raises `UsageError` when a file can't be written or a port is taken.
    """
    # The rates' source is known later, so it's looked up each time.
    console = _console(options, stderr, lambda: views.rates())  # noqa: PLW0108
    views = Views(console=console, sinks=[console, *options.sinks], tasks=[console.run])
    views.sinks.append(views.promptness)
    log = event_log()
    if log is not None:
        views.sinks.append(log)
    async with AsyncExitStack() as stack:
        stack.callback(console.finish)
        if options.output == "json" or options.events is not None:
            from orchestrator.sinks.jsonlines import JsonLinesSink, open_events  # noqa: PLC0415 - only when asked for

            if options.output == "json":
                views.sinks.append(JsonLinesSink(stdout, name="stdout", complain=console.say))
            if options.events is not None:
                views.sinks.append(stack.enter_context(open_events(options.events, complain=console.say)))
        if options.measures:
            await _add_metrics(views, options, stack)
        if asks_for_traces(options.env):
            _add_traces(views, options.env, stack)
        if options.serve is not None:
            await _add_page(views, options.serve, state, options.env, stack)
        if options.report is not None:
            await _add_report(views, options.report, state, options.env, stack)
        yield views


def _add_traces(views: Views, env: Mapping[str, str], stack: AsyncExitStack) -> None:
    try:
        check_protocol(env)
        from orchestrator.sinks.tracing import Tracing, library_complaints  # noqa: PLC0415 - an extra, and heavy
    except (UsageError, ModuleNotFoundError) as error:
        why = error if isinstance(error, UsageError) else f"no module {error.name}: install orchestrator[otel]"
        views.console.say(f"warning: traces are asked for by OTEL_ variables: {why}; the release goes on without")
        return
    complaints, tracing = stack.enter_context(library_complaints()), Tracing(env)
    views.sinks.append(tracing)
    views.openings.append(tracing.begin)
    stack.push_async_callback(tracing.finish, views.console.say, complaints)


async def _add_page(
    views: Views, listen: str, state: str | None, env: Mapping[str, str], stack: AsyncExitStack
) -> None:
    from orchestrator.app.serving import page_beside, serving  # noqa: PLC0415 - aiohttp's server only when asked for

    url, sink = await stack.enter_async_context(page_beside(serving(listen, state, env, option="--serve")))
    views.sinks.append(sink)
    views.historians.append(sink.remember)
    views.console.say(f"page at {url}")


async def _add_report(
    views: Views, path: Path, state: str | None, env: Mapping[str, str], stack: AsyncExitStack
) -> None:
    from orchestrator.app.reporting import report_beside  # noqa: PLC0415 - only when asked for

    seen = await stack.enter_async_context(report_beside(path, state, env, views.console.say))
    views.sinks.append(seen)
    views.historians.append(seen.remember)


def _console(options: ViewOptions, stderr: TextIO, rates: Callable[[], Rates]) -> Console:
    if options.output == "live":
        from orchestrator.sinks.live import LiveSink  # noqa: PLC0415 - only where there is a terminal

        return LiveSink(stderr, rates=rates, env=options.env)
    dialect = dialect_of(options.env)
    if dialect is not None:
        from orchestrator.sinks.blocks import BlockSink  # noqa: PLC0415 - only in CI

        return BlockSink(stderr, dialect)
    from orchestrator.sinks.plain import PlainSink  # noqa: PLC0415 - as above

    return PlainSink(stderr)


async def _add_metrics(views: Views, options: ViewOptions, stack: AsyncExitStack) -> None:
    from orchestrator.sinks.exports import Exporter, read_last_success, to_textfile  # noqa: PLC0415 - only when asked for
    from orchestrator.sinks.gateway import to_gateway  # noqa: PLC0415 - as above
    from orchestrator.sinks.metrics import Metrics  # noqa: PLC0415 - as above
    from orchestrator.sinks.metrics_server import metrics_server, parse_listen  # noqa: PLC0415 - as above

    textfile = options.metrics_textfile
    last_success = read_last_success(textfile) if textfile is not None else None
    # The rates' source is known later, so it's looked up at each scrape.
    rates = lambda: views.rates()  # noqa: E731, PLW0108 - see above
    metrics = Metrics(detail=options.metrics_detail, last_success=last_success, rates=rates)
    grouping = _Grouping()
    views.sinks += [metrics, grouping]
    views.observer = metrics
    exports = []
    if textfile is not None:
        exports.append(to_textfile(metrics.render, textfile))
    if options.pushgateway is not None:
        cleanup = options.pushgateway_cleanup
        exports.append(to_gateway(metrics, options.pushgateway, lambda: grouping.labels, cleanup=cleanup))
    if exports:
        exporter = Exporter(exports, warn=views.console.say)
        views.tasks.append(exporter.run)
        stack.push_async_callback(exporter.finish)
    if options.metrics_listen is not None:
        host, port = parse_listen(options.metrics_listen)
        url = stack.enter_context(metrics_server(metrics.render, host, port))
        views.console.say(f"metrics at {url}")


class _Grouping:
    """By what a Pushgateway tells one pusher's metrics from another's: not by the run, whose groups nobody deletes."""

    def __init__(self) -> None:
        self.labels: Mapping[str, str] = {}

    def handle(self, record: Record, state: RunState) -> None:
        if isinstance(record.event, RunStarted | RunResumed):
            self.labels = {"environment": state.environment, "manifest": Path(state.manifest).name}
