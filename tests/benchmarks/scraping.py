"""CPU of a scrape of 10,000 targets, beside prometheus_client over the same series; and how it holds up the loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from orchestrator.core import events as ev
from orchestrator.core.model import TargetState
from orchestrator.core.state import RunState
from orchestrator.sinks.exposition import TEXT
from orchestrator.sinks.instruments import DEPLOYMENT_BUCKETS, Detail
from orchestrator.sinks.metrics import Metrics
from orchestrator.sinks.negotiation import metrics_response

from .figures import Figure

TARGETS = 10_000
NAMES = tuple(f"application-{number:05}/fleet" for number in range(TARGETS))
ROUNDS = 5
CHANGED = 1_000
"""Targets that change between two scrapes."""


def figures(_: Path) -> Iterator[Figure]:
    first, metrics = _cpu_of_first("target")
    baseline = f"prometheus_client: {_cpu_of_library():.2f} s"
    body, _headers = metrics_response(metrics.render, "", "")
    lines = f"{len(body.splitlines()):,} lines, {len(body) / 1e6:.0f} MB; "
    yield Figure(name="the first scrape", value=first, unit="s", at_most=1.0, beside=lines + baseline)
    again = min(_cpu(lambda: metrics.render(TEXT)) for _ in range(ROUNDS))
    yield Figure(name="a scrape when nothing has changed", value=again, unit="s", at_most=1.0)
    packed = min(
        _cpu(lambda: metrics_response(metrics.render, "application/openmetrics-text", "gzip")) for _ in range(ROUNDS)
    )
    yield Figure(name="OpenMetrics, with gzip", value=packed, unit="s", at_most=1.0)
    folded, _run = _cpu_of_first("run")
    yield Figure(name="--metrics-detail run", value=folded, unit="s", at_most=0.05)
    alone = anyio.run(_longest_pause, None) * 1000
    yield Figure(
        name="longest pause of the event loop",
        value=anyio.run(_longest_pause, metrics) * 1000,
        unit="ms",
        at_most=100,
        beside=f"scraped without end, {CHANGED:,} targets change each time; without scrapes: {alone:.0f} ms",
    )


def _cpu_of_first(detail: Detail) -> tuple[float, Metrics]:
    metrics, state = Metrics(detail=detail), RunState()
    for event in _run():
        _tell(metrics, state, event)
    return _cpu(lambda: metrics.render(TEXT)), metrics


def _cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


async def _longest_pause(metrics: Metrics | None) -> float:
    """Seconds beyond the millisecond that was asked for. None: nobody scrapes, and what the machine does remains."""
    state, longest = RunState(), 0.0
    _tell(metrics or Metrics(), state, _started())

    async def scrape(metrics: Metrics) -> None:
        while True:
            for name in NAMES[:CHANGED]:
                status = f"s{state.last_seq % 2}"
                _tell(metrics, state, ev.DeploymentProgressed(target=name, deployment_id="d", status=status))
                await anyio.lowlevel.checkpoint()
            await anyio.to_thread.run_sync(lambda: metrics_response(metrics.render, "", "gzip"))

    with anyio.move_on_after(5):
        async with anyio.create_task_group() as tasks:
            if metrics is not None:
                tasks.start_soon(scrape, metrics)
            while True:
                began = time.perf_counter()
                await anyio.sleep(0.001)
                longest = max(longest, time.perf_counter() - began - 0.001)
    return longest


def _tell(metrics: Metrics, state: RunState, event: ev.Event) -> None:
    record = ev.Record(state.last_seq + 1, 1_000.0 + state.last_seq, "run", event)
    state.apply(record)
    metrics.handle(record, state)


def _started() -> ev.RunStarted:
    targets = [dict(zip(("application", "deployment_group"), name.split("/"), strict=True)) for name in NAMES]
    return ev.RunStarted(
        release="shop",
        environment="prod",
        manifest="release.yaml",
        manifest_digest="",
        targets=tuple({"id": name, **data} for name, data in zip(NAMES, targets, strict=True)),
        policy={},
        concurrency={},
        version="0",
        host="h",
        pid=1,
    )


def _run() -> Iterator[ev.Event]:
    yield _started()
    overview = {"Pending": 0, "InProgress": 0, "Succeeded": 3, "Failed": 0}
    for name in NAMES:
        yield ev.DeploymentIntended(
            target=name,
            token="t",
            attempt=1,
            application_name=name,
            deployment_group_name="fleet",
            region="eu-west-1",
            role_arn=None,
            revision={},
        )
        yield ev.DeploymentStarted(target=name, token="t", deployment_id="d-1")
        yield ev.DeploymentProgressed(target=name, deployment_id="d-1", status="InProgress", overview=overview)
        yield ev.DeploymentEnded(target=name, deployment_id="d-1", status="Succeeded", seconds=50.0)
        yield ev.TargetFinished(target=name, state=TargetState.SUCCEEDED)


# --- the baseline ----------------------------------------------------------------------------------------------------


class _States(Collector):
    def collect(self) -> Iterable[GaugeMetricFamily]:
        labels = ["application", "deployment_group"]
        states = GaugeMetricFamily("target_state", "State.", labels=[*labels, "state"])
        instances = GaugeMetricFamily("target_instances", "Instances.", labels=[*labels, "status"])
        for name in NAMES:
            application, group = name.split("/")
            for state in TargetState:
                states.add_metric([application, group, str(state)], float(state is TargetState.SUCCEEDED))
            for status in ("Pending", "InProgress", "Succeeded", "Failed"):
                instances.add_metric([application, group, status], 3.0)
        yield states
        yield instances


def _cpu_of_library() -> float:
    registry = CollectorRegistry()
    registry.register(_States())
    labels = ["application", "deployment_group", "outcome"]
    durations = Histogram("deployment_duration_seconds", "x", labels, buckets=DEPLOYMENT_BUCKETS, registry=registry)
    for name in NAMES:
        durations.labels(*name.split("/"), "succeeded").observe(50.0)
    return _cpu(lambda: generate_latest(registry))
