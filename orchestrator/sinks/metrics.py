"""The contract's metrics: gauges read from the state, counters and histograms folded from events and calls.

The labels are those in the contract's braces and no others: `release` and `environment` stand on `run_info` and
`last_success_timestamp_seconds`, to be joined with; `application` and `deployment_group` where a metric is about one
target. No deployment's id is ever a label, and the run's only on `run_info`.

The event loop folds while an HTTP server's thread reads, so nothing of the state is read by that thread: what it needs
is copied, event by event, under a lock.
"""

from __future__ import annotations

import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from orchestrator.core import events as ev
from orchestrator.core.model import Outcome, TargetState
from orchestrator.core.state import RunState, TargetRun
from orchestrator.sinks.instruments import Instruments

LastSuccess = Mapping[tuple[str, str], float]
"""Epoch seconds by (release, environment)."""

Rates = Callable[[], Mapping[tuple[str, str], float]]
"""The budgets' rates as they are now: calls a second by (service, region). Called from any thread."""


@dataclass(frozen=True, slots=True)
class _TargetView:
    application: str
    deployment_group: str
    state: TargetState
    overview: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class _RunView:
    run: str
    release: str
    environment: str
    started_at: float | None
    ended_at: float | None
    outcome: Outcome
    rates: Mapping[str, float]


class Metrics:
    """A `core.ports.Sink` and `core.ports.CallObserver`; `registry` is what the exporters read."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        last_success: LastSuccess | None = None,
        rates: Rates | None = None,
    ) -> None:
        """`clock` gives epoch seconds.

        `last_success`: what earlier runs reached, such as `exports.read_last_success` finds; a run that fails must not
        make that figure vanish. `rates`: where the budgets' rates are known at any time; without it they are known
        from the first throttle on.
        """
        self.registry = CollectorRegistry()
        self._clock = clock
        self._rates = rates
        self._last_success = dict(last_success or {})
        self._lock = threading.Lock()
        self._run: _RunView | None = None
        self._targets: dict[str, _TargetView] = {}
        self._instruments = Instruments()
        self.registry.register(_Gauges(self._gauges))
        self.registry.register(_WithoutCreated(self._instruments.registry))

    def handle(self, record: ev.Record, state: RunState) -> None:
        self._instruments.fold(record, state)
        event = record.event
        with self._lock:
            match event:
                case ev.TargetEvent():
                    self._copy([event.target], state)
                case ev.UploadStarted() | ev.RevisionPinned():
                    self._copy(event.targets, state)
                case ev.RunStarted() | ev.RunResumed():
                    self._copy(state.targets, state)
                    self._run = _view(state)
                case _:
                    self._run = _view(state)
            if isinstance(event, ev.RunFinished) and event.outcome is Outcome.SUCCEEDED:
                self._last_success[state.release, state.environment] = record.ts

    def called(self, *, service: str, operation: str, outcome: str, seconds: float) -> None:
        self._instruments.called(service=service, operation=operation, outcome=outcome, seconds=seconds)

    def _copy(self, names: Iterable[str], state: RunState) -> None:
        for name in names:
            target = state.targets.get(name)
            if target is not None:
                self._targets[name] = _target_view(target)

    def _gauges(self) -> list[Metric]:
        with self._lock:
            run, targets, last_success = self._run, list(self._targets.values()), dict(self._last_success)
        metrics: list[Metric] = []
        if run is not None:
            metrics += _of_run(run, self._clock())
            metrics += _of_targets(targets)
            metrics.append(_of_rates(self._rates() if self._rates is not None else _known_rates(run)))
        metrics.append(_of_successes(last_success))
        return metrics


def _view(state: RunState) -> _RunView:
    return _RunView(
        run=state.run,
        release=state.release,
        environment=state.environment,
        started_at=state.started_at,
        ended_at=state.ended_at,
        outcome=state.outcome,
        rates=dict(state.budget_rates),
    )


def _target_view(target: TargetRun) -> _TargetView:
    return _TargetView(target.application, target.deployment_group, target.state, target.overview)


# --- gauges ----------------------------------------------------------------------------------------------------------


def _of_run(run: _RunView, now: float) -> list[Metric]:
    info = _gauge("run_info", "The run, as labels; its value is 1.", "run", "release", "environment")
    info.add_metric([run.run, run.release, run.environment], 1)
    started = _gauge("run_start_time_seconds", "When the run started, in seconds since the epoch.")
    duration = _gauge("run_duration_seconds", "Seconds from the run's start to its end, or to now.")
    if run.started_at is not None:
        started.add_metric([], run.started_at)
        duration.add_metric([], max(0.0, (run.ended_at if run.ended_at is not None else now) - run.started_at))
    outcome = _gauge("run_outcome", "1 for the run's outcome, 0 for all others.", "outcome")
    for each in Outcome:
        outcome.add_metric([str(each)], float(run.outcome is each))
    return [info, started, duration, outcome]


def _of_targets(targets: list[_TargetView]) -> list[Metric]:
    counted = _gauge("targets", "Targets of the run by state.", "state")
    tally = Tally(target.state for target in targets)
    states = _gauge(
        "target_state", "1 for the target's state, 0 for all others.", "application", "deployment_group", "state"
    )
    instances = _gauge(
        "target_instances",
        "Instances of the target's deployment by status, as CodeDeploy counts them.",
        "application",
        "deployment_group",
        "status",
    )
    for state in TargetState:
        counted.add_metric([str(state)], tally[state])
    for target in targets:
        for state in TargetState:
            labels = [target.application, target.deployment_group, str(state)]
            states.add_metric(labels, float(target.state is state))
        for status, count in target.overview.items():
            instances.add_metric([target.application, target.deployment_group, status], count)
    return [counted, states, instances]


def _of_rates(rates: Mapping[tuple[str, str], float]) -> Metric:
    gauge = _gauge("api_rate_limit", "Calls a second that the budget allows at present.", "service", "region")
    for (service, region), rate in rates.items():
        gauge.add_metric([service, region], rate)
    return gauge


def _known_rates(run: _RunView) -> Mapping[tuple[str, str], float]:
    return {("codedeploy", region): rate for region, rate in run.rates.items()}


def _of_successes(successes: LastSuccess) -> Metric:
    gauge = _gauge(
        "last_success_timestamp_seconds",
        "When a run last succeeded, in seconds since the epoch.",
        "release",
        "environment",
    )
    for (release, environment), ts in successes.items():
        gauge.add_metric([release, environment], ts)
    return gauge


def _gauge(name: str, documentation: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"orchestrator_{name}", documentation, labels=labels)


# --- collectors ------------------------------------------------------------------------------------------------------


class _Gauges(Collector):
    def __init__(self, collect: Callable[[], list[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()


class _WithoutCreated(Collector):
    """The instruments without the library's `_created` series: they double the scrape, and nobody asked for them."""

    def __init__(self, inner: CollectorRegistry) -> None:
        self._inner = inner

    def collect(self) -> Iterable[Metric]:
        for metric in self._inner.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric
