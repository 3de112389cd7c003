"""Counters and histograms, folded from events and from calls; safe to read from any thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import Metric

from orchestrator.core import bundle_events as bev
from orchestrator.core import events as ev
from orchestrator.core.state import RunState, TargetRun
from orchestrator.sinks.counting import Histogram as TargetHistogram
from orchestrator.sinks.exposition import PREFIX, Piece

Detail = Literal["target", "run"]
"""Whether each target has series of its own."""

MINUTE = 60.0
HOUR = 3600.0

DEPLOYMENT_BUCKETS = (
    1.0, 5.0, 15.0, 30.0, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 45 * MINUTE, 1.5 * HOUR, 4 * HOUR,
)  # fmt: skip
WAIT_BUCKETS = (0.1, 1.0, 5.0, 15.0, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR)
LAG_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, MINUTE, 5 * MINUTE)
UPLOAD_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, MINUTE, 5 * MINUTE, 15 * MINUTE)
CALL_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

_THROTTLED = "throttled"

_OUTCOMES = ("succeeded", "failed", "stopped")
"""Of deployments. They are there as 0 from the start, or Prometheus would take their first 1 for where it began."""


class Instruments:
    """All of the contract's counters and histograms."""

    def __init__(self, detail: Detail = "target") -> None:
        self._per_target = detail == "target"
        of_target = ("application", "deployment_group") if self._per_target else ()
        self._registry = CollectorRegistry()
        self._deployment_duration = TargetHistogram(
            "deployment_duration_seconds",
            "Seconds that a deployment took, by CodeDeploy's clock.",
            DEPLOYMENT_BUCKETS,
            *of_target,
            "outcome",
        )
        self._queue_wait = self._histogram(
            "queue_wait_seconds", "Seconds from a target's needs being met to its start.", WAIT_BUCKETS
        )
        self._detection_lag = self._histogram(
            "detection_lag_seconds", "Seconds from a deployment's end until it was seen.", LAG_BUCKETS
        )
        self._bundle_bytes = self._counter("bundle_bytes", "Bytes of the run's bundles, also of those not uploaded.")
        self._upload_bytes = self._counter("upload_bytes", "Bytes that were uploaded.")
        self._uploads_skipped = self._counter("uploads_skipped", "Bundles that the bucket had already.")
        self._upload_duration = self._histogram(
            "upload_duration_seconds", "Seconds that an upload took; without those that were skipped.", UPLOAD_BUCKETS
        )
        self._requests = self._counter(
            "api_requests",
            "Attempts at a call, by outcome: ok, throttled, lost, refused or credentials.",
            "service",
            "operation",
            "outcome",
        )
        self._request_duration = self._histogram(
            "api_request_duration_seconds", "Seconds that an attempt took.", CALL_BUCKETS, "service", "operation"
        )
        self._throttles = self._counter("api_throttles", "Attempts refused for their rate.", "service", "operation")
        self._rollbacks = self._counter(
            "rollbacks", "Rollbacks of a target that were started: by CodeDeploy itself, or of the release."
        )
        self._deployments = self._counter("deployments", "Deployments that ended, by outcome.", "outcome")
        for outcome in _OUTCOMES:
            self._deployments.labels(outcome)

    def families(self) -> list[Piece]:
        return [self._deployment_duration.family(), *self._of_library()]

    def _of_library(self) -> Iterator[Metric]:
        """Without its `_created` series: they double a scrape, and nobody asked for them."""
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, help_text, labels, registry=self._registry)

    def _histogram(self, name: str, help_text: str, bounds: Sequence[float], *labels: str) -> Histogram:
        return Histogram(PREFIX + name, help_text, labels, registry=self._registry, buckets=bounds)

    def fold(self, record: ev.Record, state: RunState) -> None:
        """Counts the event; `state` is that after it."""
        match record.event:
            case bev.BundleUploaded() as event:
                self._uploaded(event)
            case ev.TargetReady(waited=waited):
                self._queue_wait.observe(max(0.0, waited))
            case ev.DeploymentEnded() as event:
                self._ended(event, state.targets[event.target], record.ts)
            case ev.RollbackStarted():
                self._rollbacks.inc()
            case _:
                pass

    def called(self, *, service: str, operation: str, outcome: str, seconds: float) -> None:
        """Counts an attempt. Throttles are counted here: an event is written only when one cuts the budget."""
        self._requests.labels(service, operation, outcome).inc()
        self._request_duration.labels(service, operation).observe(max(0.0, seconds))
        if outcome == _THROTTLED:
            self._throttles.labels(service, operation).inc()

    def _uploaded(self, event: bev.BundleUploaded) -> None:
        self._bundle_bytes.inc(event.bytes)
        if event.skipped:
            self._uploads_skipped.inc()
        elif event.copied_from is None:
            self._upload_bytes.inc(event.bytes)
            self._upload_duration.observe(max(0.0, event.seconds))

    def _ended(self, event: ev.DeploymentEnded, target: TargetRun, ts: float) -> None:
        outcome = event.status.lower()
        self._deployments.labels(outcome).inc()
        if event.lag is not None:
            self._detection_lag.observe(max(0.0, event.lag))
        seconds = event.seconds
        if seconds is None and target.deployment_started_at is not None:
            seconds = ts - target.deployment_started_at  # CodeDeploy gave no times: as far as we saw it
        if seconds is not None:
            of_target = (target.application, target.deployment_group) if self._per_target else ()
            self._deployment_duration.observe(seconds, *of_target, outcome)
