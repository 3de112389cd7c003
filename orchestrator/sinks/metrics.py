"""The contract's metrics: gauges read from the state, counters and histograms folded from events and calls.

The labels are those in the contract's braces and no others: `release` and `environment` stand on `run_info` and
`last_success_timestamp_seconds`, to be joined with; `application` and `deployment_group` where a metric is about one
target. No deployment's id is ever a label, and the run's only on `run_info`.

The event loop folds while a thread answers scrapes, so nothing of the state is read by that thread: what it needs is
copied, event by event, under a lock that is held for no longer than a copy of references takes. A target's lines are
written once for each change of it, not once for each scrape.
"""

from __future__ import annotations

import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.core import Metric

from orchestrator.core import bundle_events as bev
from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.model import Outcome
from orchestrator.core.outcome import outcome_told
from orchestrator.core.state import RunState
from orchestrator.sinks.exposition import Format, Piece, gauge, render
from orchestrator.sinks.instruments import Detail, Instruments
from orchestrator.sinks.target_lines import TargetView, of_all_targets, of_each_target, view_of

LastSuccess = Mapping[tuple[str, str], float]
"""Epoch seconds by (release, environment)."""

KEPT = 10
"""Times of success for each environment, the newest: releases mostly have a new name each time, and what is read back
and written again would grow for ever."""

Rates = Callable[[], Mapping[tuple[str, str], float]]
"""The budgets' rates as they are now: calls a second by (service, region). Called from any thread."""


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
    """A `core.ports.Sink` and `core.ports.CallObserver`; `render` is what the exporters send."""

    def __init__(
        self,
        *,
        detail: Detail = "target",
        clock: Callable[[], float] = time.time,
        last_success: LastSuccess | None = None,
        rates: Rates | None = None,
    ) -> None:
        """`clock` gives epoch seconds.

        `last_success`: what earlier runs reached, such as `exports.read_last_success` finds; a run that fails must not
        make that figure vanish. `rates`: where the budgets' rates are known at any time; without it they are known
        from the first throttle on.
        """
        self._detail = detail
        self._clock = clock
        self._rates = rates
        self._last_success = _newest(last_success or {})
        self._lock = threading.Lock()
        self._run: _RunView | None = None
        self._targets: dict[str, TargetView] = {}
        self._instruments = Instruments(detail)

    def handle(self, record: ev.Record, state: RunState) -> None:
        self._instruments.fold(record, state)
        event = record.event
        with self._lock:
            match event:
                case ev.TargetEvent():
                    self._copy([event.target], state)
                case bev.UploadStarted() | bev.RevisionPinned():
                    self._copy(event.targets, state)
                case gev.GateEvent(target=str(target)) | gev.HookEvent(target=str(target)):
                    self._copy([target], state)
                case ev.RunStarted() | ev.RunResumed() | ev.RunDetached():
                    self._copy(state.targets, state)
                    self._run = _view(state)
                case _:
                    self._run = _view(state)
            if isinstance(event, ev.RunFinished) and event.outcome is Outcome.SUCCEEDED:
                self._last_success = _newest({**self._last_success, (state.release, state.environment): record.ts})

    def called(self, *, service: str, operation: str, outcome: str, seconds: float) -> None:
        self._instruments.called(service=service, operation=operation, outcome=outcome, seconds=seconds)

    def add_last_success(self, earlier: LastSuccess) -> None:
        """What earlier runs reached, found while this one runs already; its own success is newer."""
        with self._lock:
            self._last_success = _newest({**earlier, **self._last_success})

    def render(self, form: Format) -> bytes:
        """All of it; from any thread. Takes CPU in proportion to the targets that changed since the last time."""
        return render(self.families(), form)

    def render_lasting(self, form: Format) -> bytes:
        """Only what stays true when the run is over: when a run last succeeded."""
        with self._lock:
            return render([_of_successes(self._last_success)], form)

    def families(self) -> list[Piece]:
        with self._lock:
            run, targets, last_success = self._run, list(self._targets.values()), dict(self._last_success)
        families: list[Piece] = []
        if run is not None:
            families += _of_run(run, self._clock())
            families += of_all_targets(targets) if self._detail == "run" else of_each_target(targets)
            families.append(_of_rates(self._rates() if self._rates is not None else _known_rates(run)))
        families.append(_of_successes(last_success))
        return families + self._instruments.families()

    def _copy(self, names: Iterable[str], state: RunState) -> None:
        for name in names:
            target = state.targets.get(name)
            if target is not None and not ((known := self._targets.get(name)) and known.shows(target)):
                self._targets[name] = view_of(target)


def _newest(successes: LastSuccess) -> dict[tuple[str, str], float]:
    kept: dict[tuple[str, str], float] = {}
    count: Tally[str] = Tally()
    for (release, environment), ts in sorted(successes.items(), key=lambda item: item[1], reverse=True):
        count[environment] += 1
        if count[environment] <= KEPT:
            kept[release, environment] = ts
    return kept


def _view(state: RunState) -> _RunView:
    return _RunView(
        run=state.run,
        release=state.release,
        environment=state.environment,
        started_at=state.started_at,
        ended_at=state.ended_at,
        outcome=outcome_told(state),
        rates=dict(state.budget_rates),
    )


def _of_run(run: _RunView, now: float) -> list[Metric]:
    info = {"run": run.run, "release": run.release, "environment": run.environment}
    started, duration = [], []
    if run.started_at is not None:
        ended_at = run.ended_at if run.ended_at is not None else now
        started, duration = [run.started_at], [max(0.0, ended_at - run.started_at)]
    outcomes = [({"outcome": str(each)}, float(run.outcome is each)) for each in Outcome]
    return [
        gauge("run_info", "The run, as labels; its value is 1.", [(info, 1)]),
        gauge(
            "run_start_time_seconds", "When the run started, in seconds since the epoch.", [({}, at) for at in started]
        ),
        gauge(
            "run_duration_seconds", "Seconds from the run's start to its end, or to now.", [({}, it) for it in duration]
        ),
        gauge("run_outcome", "1 for the run's outcome, 0 for all others.", outcomes),
    ]


def _of_rates(rates: Mapping[tuple[str, str], float]) -> Metric:
    samples = [({"service": service, "region": region}, rate) for (service, region), rate in rates.items()]
    return gauge("api_rate_limit", "Calls a second that the budget allows at present.", samples)


def _known_rates(run: _RunView) -> Mapping[tuple[str, str], float]:
    return {("codedeploy", region): rate for region, rate in run.rates.items()}


def _of_successes(successes: LastSuccess) -> Metric:
    samples = [({"release": release, "environment": env}, ts) for (release, env), ts in successes.items()]
    return gauge("last_success_timestamp_seconds", "When a run last succeeded, in seconds since the epoch.", samples)
