"""Traces, sent to a collector by OTLP over HTTP. Imported only when they are asked for and the library is there.

What the standard variables (`OTEL_*`) say of endpoint, headers, sampling, resource, limits and batches holds: the SDK
reads them. Spans leave in a thread of their own; a collector that hangs or isn't there holds nothing up.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from orchestrator import __version__
from orchestrator.core import events as ev
from orchestrator.core.state import RunState
from orchestrator.sinks.exports import Export, Exporter
from orchestrator.sinks.spans import RunSpans
from orchestrator.sinks.traceparent import origin_of
from orchestrator.wording.text import one_line

PATIENCE = 3.0
"""Seconds that the last spans may take to leave."""

QUEUE = 20_000
"""Spans that may wait to leave."""

_USER = re.compile(r"//[^/@\s]*@")
"""Of a URL: it may hold a password."""
_LONGEST = 300


class Tracing:
    """A `core.ports.Sink`."""

    def __init__(self, env: Mapping[str, str], *, processor: Callable[[], SpanProcessor] | None = None) -> None:
        """`processor`: what gets the spans; by default batches of them go to the collector."""
        self._env = env
        self._processor = processor or (lambda: BatchSpanProcessor(OTLPSpanExporter(), max_queue_size=_queue(env)))
        self._provider: TracerProvider | None = None
        self._spans: RunSpans | None = None
        self._state = RunState()

    def begin(self, state: RunState) -> ev.TraceStarted:
        """Opens the run's span; the event is to be recorded. Once, after the process' first event."""
        origin = origin_of(state.run, state.traceparent, self._env)
        # Ended by `finish`, not when the interpreter ends: that would wait for a collector that hangs.
        provider = TracerProvider(resource=_resource(), id_generator=_TraceOf(origin.trace_id), shutdown_on_exit=False)
        provider.add_span_processor(self._processor())
        self._provider, self._state = provider, state
        self._spans = RunSpans(provider.get_tracer("orchestrator", __version__), origin)
        return self._spans.begin(state)

    def handle(self, record: ev.Record, state: RunState) -> None:
        if self._spans is not None:
            self._spans.handle(record, state)

    async def finish(self, warn: Callable[[str], None], problems: list[str]) -> None:
        """Ends all spans, and lets go of them for a bounded time, come what may. `problems`: what the library said."""
        if self._spans is None or self._provider is None:
            return
        self._spans.close(self._state)
        provider = self._provider

        def send() -> None:
            provider.shutdown()
            if problems:
                raise OSError(problems[0])

        await Exporter([Export(name="traces", what="traces", send=send)], warn=warn, patience=PATIENCE).finish()


@contextmanager
def library_complaints() -> Iterator[list[str]]:
    """What the library would print of spans that are lost, from any of its threads."""
    logger, problems = logging.getLogger("opentelemetry"), list[str]()

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if record.levelno >= logging.ERROR or text.startswith("Queue full"):  # else it is tried again
                problems.append(_USER.sub("//", one_line(text))[:_LONGEST].rstrip("."))

    keep, propagated = Keep(), logger.propagate
    logger.addHandler(keep)
    logger.propagate = False
    try:
        yield problems
    finally:
        logger.propagate = propagated
        logger.removeHandler(keep)


def _queue(env: Mapping[str, str]) -> int | None:
    """None: as the variable says. The library's 2,048 are too few for a release whose targets end all at once."""
    return None if env.get("OTEL_BSP_MAX_QUEUE_SIZE") else QUEUE


class _TraceOf(RandomIdGenerator):
    """Spans without a parent belong to the run's trace."""

    def __init__(self, trace_id: int) -> None:
        self._trace_id = trace_id

    def generate_trace_id(self) -> int:
        return self._trace_id


def _resource() -> Resource:
    """What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say comes first."""
    found = Resource.create()
    ours = {SERVICE_NAME: "orchestrator", SERVICE_VERSION: __version__}
    name = str(found.attributes.get(SERVICE_NAME, ""))
    known = {SERVICE_NAME} if name and not name.startswith("unknown_service") else set()
    known |= {SERVICE_VERSION} & set(found.attributes)
    return found.merge(Resource({key: value for key, value in ours.items() if key not in known}))
