"""Counters and histograms, folded from events and from calls; safe to read from any thread."""

from __future__ import annotations

from typing import Literal

from orchestrator.core import events as ev
from orchestrator.core.state import RunState, TargetRun
from orchestrator.sinks.counting import Counter, Histogram
from orchestrator.sinks.exposition import Family

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


class Instruments:
    """All of the contract's counters and histograms."""

    def __init__(self, detail: Detail = "target") -> None:
        self._per_target = detail == "target"
        of_target = ("application", "deployment_group") if self._per_target else ()
        self._deployment_duration = Histogram(
            "deployment_duration_seconds",
            "Seconds that a deployment took, by CodeDeploy's clock.",
            DEPLOYMENT_BUCKETS,
            *of_target,
            "outcome",
        )
        self._queue_wait = Histogram(
            "queue_wait_seconds", "Seconds from a target's needs being met to its start.", WAIT_BUCKETS
        )
        self._detection_lag = Histogram(
            "detection_lag_seconds", "Seconds from a deployment's end until it was seen.", LAG_BUCKETS
        )
        self._bundle_bytes = Counter("bundle_bytes_total", "Bytes of the run's bundles, also of those not uploaded.")
        self._upload_bytes = Counter("upload_bytes_total", "Bytes that were uploaded.")
        self._uploads_skipped = Counter("uploads_skipped_total", "Bundles that the bucket had already.")
        self._upload_duration = Histogram(
            "upload_duration_seconds", "Seconds that an upload took; without those that were skipped.", UPLOAD_BUCKETS
        )
        self._requests = Counter(
            "api_requests_total",
            "Attempts at a call, by outcome: ok, throttled, lost, refused or credentials.",
            "service",
            "operation",
            "outcome",
        )
        self._request_duration = Histogram(
            "api_request_duration_seconds", "Seconds that an attempt took.", CALL_BUCKETS, "service", "operation"
        )
        self._throttles = Counter("api_throttles_total", "Attempts refused for their rate.", "service", "operation")
        self._rollbacks = Counter(
            "rollbacks_total", "Rollbacks of a target that were started: by CodeDeploy itself, or of the release."
        )
        self._deployments = Counter(
            "deployments_total",
            "Deployments that ended, by outcome.",
            "outcome",
            begin=[("succeeded",), ("failed",), ("stopped",)],
        )

    def families(self) -> list[Family]:
        return [
            each.family()
            for each in (
                self._deployment_duration,
                self._queue_wait,
                self._detection_lag,
                self._bundle_bytes,
                self._upload_bytes,
                self._uploads_skipped,
                self._upload_duration,
                self._requests,
                self._request_duration,
                self._throttles,
                self._rollbacks,
                self._deployments,
            )
        ]

    def fold(self, record: ev.Record, state: RunState) -> None:
        """Counts the event; `state` is that after it."""
        match record.event:
            case ev.BundleUploaded() as event:
                self._uploaded(event)
            case ev.TargetReady(waited=waited):
                self._queue_wait.observe(waited)
            case ev.DeploymentEnded() as event:
                self._ended(event, state.targets[event.target], record.ts)
            case ev.RollbackStarted():
                self._rollbacks.add(1)
            case _:
                pass

    def called(self, *, service: str, operation: str, outcome: str, seconds: float) -> None:
        """Counts an attempt. Throttles are counted here: an event is written only when one cuts the budget."""
        self._requests.add(1, service, operation, outcome)
        self._request_duration.observe(seconds, service, operation)
        if outcome == _THROTTLED:
            self._throttles.add(1, service, operation)

    def _uploaded(self, event: ev.BundleUploaded) -> None:
        self._bundle_bytes.add(event.bytes)
        if event.skipped:
            self._uploads_skipped.add(1)
        elif event.copied_from is None:
            self._upload_bytes.add(event.bytes)
            self._upload_duration.observe(event.seconds)

    def _ended(self, event: ev.DeploymentEnded, target: TargetRun, ts: float) -> None:
        outcome = event.status.lower()
        self._deployments.add(1, outcome)
        if event.lag is not None:
            self._detection_lag.observe(event.lag)
        seconds = event.seconds
        if seconds is None and target.deployment_started_at is not None:
            seconds = ts - target.deployment_started_at  # CodeDeploy gave no times: as far as we saw it
        if seconds is not None:
            of_target = (target.application, target.deployment_group) if self._per_target else ()
            self._deployment_duration.observe(seconds, *of_target, outcome)
