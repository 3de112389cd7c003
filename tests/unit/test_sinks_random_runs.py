"""Metrics and traces over the journals of random runs: with gates, cancellations, rollbacks, deaths and resumes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from random import Random
from typing import Any

import pytest
from backwards import backwards
from chaos import Chaos, chaos
from gated import gated
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from simulations import LIVES, _live

from orchestrator.core import events as ev
from orchestrator.core.state import RunState
from orchestrator.sinks.metrics import Metrics
from orchestrator.sinks.tracing import Tracing

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]

WORLDS: dict[str, Callable[[int], Chaos]] = {
    "faults": chaos,
    "rollbacks": backwards,
    "gates": lambda seed: gated(seed).chaos,
}
SEEDS = 12


async def lived(world: Chaos, seed: int) -> list[ev.Record]:
    """The journal of a run whose first process dies."""
    await _live(world, dies_at=Random(seed).randint(5, 40))  # noqa: S311 - a scenario, no secret
    for _ in range(LIVES):
        await _live(world)
        world.orders = ()
    return list(world.world.journal.records)


def processes(records: list[ev.Record]) -> Iterator[list[ev.Record]]:
    """The records that each process has written."""
    begun = [n for n, record in enumerate(records) if isinstance(record.event, ev.RunStarted | ev.RunResumed)]
    for start, end in zip(begun, [*begun[1:], len(records)], strict=True):
        yield records[start:end]


@pytest.mark.parametrize("name", WORLDS)
def test_metrics_show_each_target_as_it_is_after_every_event(virtual: Virtual, name: str) -> None:
    for seed in range(SEEDS):
        state = RunState()
        for records in processes(virtual(lived(WORLDS[name](seed), seed))):
            metrics = Metrics()
            for record in records:
                state.apply(record)
                metrics.handle(record, state)
                stale = [each for each, run in state.targets.items() if not metrics._targets[each].shows(run)]
                assert stale == [], (seed, record)


@pytest.mark.parametrize("name", WORLDS)
def test_spans_are_all_ended_and_lie_in_those_that_they_are_part_of(virtual: Virtual, name: str) -> None:
    for seed in range(SEEDS):
        state, traces = RunState(), set[int]()
        for number, records in enumerate(processes(virtual(lived(WORLDS[name](seed), seed)))):
            spans = traced(virtual, state, records)
            traces |= {span.context.trace_id for span in spans}
            by_id = {span.context.span_id: span for span in spans}
            (root,) = [span for span in spans if span.parent is None]
            assert len(root.links) == (1 if number else 0)
            for span in spans:
                assert (span.start_time or 0) <= (span.end_time or 0), (seed, span.name)
                if span.parent is not None:
                    parent = by_id[span.parent.span_id]
                    assert (parent.start_time or 0) <= (span.start_time or 0), (seed, span.name, parent.name)
                    assert (span.end_time or 0) <= (parent.end_time or 0), (seed, span.name, parent.name)
        assert len(traces) == 1


def traced(virtual: Virtual, state: RunState, records: list[ev.Record]) -> tuple[ReadableSpan, ...]:
    exporter = InMemorySpanExporter()
    tracing = Tracing({}, processor=lambda: SimpleSpanProcessor(exporter))
    for number, record in enumerate(records):
        state.apply(record)
        tracing.handle(record, state)
        if number == 0:
            state.traceparent = tracing.begin(state).traceparent
    assert tracing._spans is not None
    ended = len(exporter.get_finished_spans())
    virtual(tracing.finish(print, []))
    assert len(exporter.get_finished_spans()) > ended
    return exporter.get_finished_spans()
