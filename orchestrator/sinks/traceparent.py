"""Where a run's span belongs: in the trace of the CI job that started it, else in one of the run's own.

A run that is resumed stays in its trace, whichever process goes on with it: the journal holds where it was.
Sources: https://www.w3.org/TR/trace-context/, and "Environment Variables as Context Propagation Carriers" of
OpenTelemetry's specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from opentelemetry.context import Context
from opentelemetry.propagate import get_global_textmap
from opentelemetry.trace import SpanContext, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_CARRIED = ("TRACEPARENT", "TRACESTATE", "BAGGAGE")


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    trace_id: int
    """Of the run's span, where it has no parent."""
    context: Context
    """Holds the span's parent, if it has one."""
    links: tuple[SpanContext, ...] = ()
    is_resumed: bool = False
    """An earlier process has had a span of this run."""


def origin_of(run: str, former: str | None, env: Mapping[str, str]) -> Origin:
    """`former`: the W3C traceparent of the process before, as the journal has it."""
    carrier = {name.lower(): env[name] for name in _CARRIED if env.get(name)}
    given = get_global_textmap().extract(carrier, context=Context())
    parent = get_current_span(given).get_span_context()
    before = _read(former)
    if before is None:
        trace_id = parent.trace_id if parent.is_valid else int.from_bytes(sha256(run.encode()).digest()[:16], "big")
        return Origin(trace_id=trace_id, context=given)
    if parent.is_valid and parent.trace_id == before.trace_id:
        return Origin(trace_id=before.trace_id, context=given, links=(before,), is_resumed=True)
    links = (before, parent) if parent.is_valid else (before,)
    return Origin(trace_id=before.trace_id, context=Context(), links=links, is_resumed=True)


def traceparent_of(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def _read(traceparent: str | None) -> SpanContext | None:
    if traceparent is None:
        return None
    context = TraceContextTextMapPropagator().extract({"traceparent": traceparent}, context=Context())
    found = get_current_span(context).get_span_context()
    return found if found.is_valid else None
