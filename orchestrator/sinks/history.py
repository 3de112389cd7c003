"""Metrics of the runs that a state holds: the last of each manifest and environment, and how releases go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client.core import Metric

from orchestrator.core.delivery import (
    PERCENTILES,
    WINDOWS,
    Delivery,
    Release,
    Stream,
    deliveries,
    newest,
    percentile,
    without_rehearsals,
)
from orchestrator.core.model import Outcome, TargetState
from orchestrator.sinks.exposition import gauge

Sample = tuple[dict[str, str], float]


def families_of(releases: Sequence[Release], unread: int, now: float) -> list[Metric]:
    """`unread`: runs that haven't been read yet, so that figures may lack them; `now` in epoch seconds."""
    measured = [
        (window, stream, delivery)
        for window, seconds in WINDOWS.items()
        for stream, delivery in deliveries(releases, now - seconds).items()
    ]
    shown = without_rehearsals(releases)
    return [
        *_of_last_runs(newest(shown).values(), now),
        _successes(shown),
        *_of_deliveries(measured),
        gauge("history_unread_runs", "Runs whose journals are still to be read for these figures.", [({}, unread)]),
    ]


# --- the last runs ---------------------------------------------------------------------------------------------------


def _of_last_runs(last: Iterable[Release], now: float) -> list[Metric]:
    runs = list(last)

    def each(value: Callable[[Release], float]) -> list[Sample]:
        return [(_labels(run), value(run)) for run in runs]

    info = [({"run": run.run, "release": run.release, "environment": run.environment}, 1.0) for run in runs]
    outcomes = [
        (_labels(run, outcome=str(outcome)), float(run.outcome is outcome)) for run in runs for outcome in Outcome
    ]
    targets = [
        (_labels(run, state=str(state)), float(run.targets.get(state, 0))) for run in runs for state in TargetState
    ]
    return [
        gauge("run_info", "The last run of each manifest and environment, as labels; its value is 1.", info),
        gauge(
            "last_run_start_time_seconds",
            "When the last run started, in seconds since the epoch.",
            each(lambda run: run.started_at),
        ),
        gauge(
            "last_run_duration_seconds",
            "Seconds from the last run's start to its end, or to now.",
            each(lambda run: max(0.0, (now if run.ended_at is None else run.ended_at) - run.started_at)),
        ),
        gauge("last_run_outcome", "1 for the last run's outcome, 0 for all others.", outcomes),
        gauge("last_run_targets", "Targets of the last run by state.", targets),
    ]


def _labels(run: Release, **more: str) -> dict[str, str]:
    return {"manifest": run.manifest, "environment": run.environment, "release": run.release, **more}


def _successes(releases: Iterable[Release]) -> Metric:
    """Of each manifest and environment only the last: releases have a new name each time."""
    succeeded = newest(release for release in releases if release.outcome is Outcome.SUCCEEDED)
    found: dict[tuple[str, str], float] = {}
    for release in succeeded.values():
        key = (release.release, release.environment)
        found[key] = max(found.get(key, 0.0), release.ended_at or 0.0)
    samples = [({"release": release, "environment": env}, at) for (release, env), at in found.items()]
    return gauge("last_success_timestamp_seconds", "When a run last succeeded, in seconds since the epoch.", samples)


# --- how releases go -------------------------------------------------------------------------------------------------

Measured = tuple[str, Stream, Delivery]
"""A window, a stream, and how it went."""


def _of_deliveries(measured: Sequence[Measured]) -> list[Metric]:
    counts: list[Sample] = []
    ratios: list[Sample] = []
    leads: list[Sample] = []
    restored: list[Sample] = []
    for window, (manifest, environment), delivery in measured:
        labels = {"manifest": manifest, "environment": environment, "window": window}
        ended = [outcome for outcome in Outcome if outcome is not Outcome.RUNNING]
        counts += [({**labels, "outcome": str(outcome)}, float(delivery.outcomes.get(outcome, 0))) for outcome in ended]
        if delivery.failure_ratio is not None:
            ratios.append((labels, delivery.failure_ratio))
        leads += _percentiles({**labels, "since": "commit"}, delivery.from_commit)
        leads += _percentiles({**labels, "since": "start"}, delivery.from_start)
        restored += _percentiles(labels, delivery.restored)
    return [
        gauge("releases", "Runs that deployed something and ended in the window, by outcome.", counts),
        gauge("release_failure_ratio", "Share of the window's releases that failed or had to go back, 0 to 1.", ratios),
        gauge(
            "release_lead_time_seconds",
            "Seconds to a release's success in the window, since the commit or since the run's start.",
            leads,
        ),
        gauge(
            "release_restore_seconds",
            "Seconds from a failure until all was back or the next release succeeded, in the window.",
            restored,
        ),
    ]


def _percentiles(labels: Mapping[str, str], rising: Sequence[float]) -> list[Sample]:
    found = [(each, percentile(rising, each / 100)) for each in PERCENTILES]
    return [({**labels, "percentile": str(each)}, value) for each, value in found if value is not None]
