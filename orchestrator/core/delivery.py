"""How releases go, from what journals tell: how often, how long, how many fail, how soon it is well again.

These are the four key measures of software delivery (https://dora.dev/guides/dora-metrics-four-keys/), as far as a
journal can know them:

- A *release* that counts is a run that has deployed something, or tried to; not a rehearsal, and not the rollback of
  another run.
- It *failed* when its outcome is failed, rolled_back or rollback_failed; also when it had succeeded and was rolled back
  later. Cancelled releases are neither failures nor successes.
- *Lead time* is from the commit to the release's success, where the run knows the commit's time; and beside it always
  that from the run's start.
- *Time to restore* is from the first thing that went wrong to the moment when all was back, or when the next release of
  the same manifest to the same environment succeeded, whichever came first.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.core.model import Outcome, TargetState
from orchestrator.core.outcome import FAILURES, outcome_told
from orchestrator.core.state import RunState

DAY = 86_400.0
WINDOWS: Mapping[str, float] = {"7d": 7 * DAY, "30d": 30 * DAY}
"""Stretches of time that measures are told of: seconds up to now, by their names."""
PERCENTILES = (50, 90)

FAILED = frozenset({Outcome.FAILED, Outcome.ROLLED_BACK, Outcome.ROLLBACK_FAILED})
_SETBACKS = FAILURES | {TargetState.ROLLING_BACK}

Stream = tuple[str, str]
"""A manifest, as it was given, and an environment: what is released there again and again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """A run, as far as these measures go. Times are epoch seconds."""

    run: str
    release: str
    environment: str
    manifest: str
    outcome: Outcome
    started_at: float
    ended_at: float | None
    """None: it hasn't ended, or waits for somebody to go on with it."""
    committed_at: float | None = None
    """When what it releases was committed, where the run knows."""
    failed_at: float | None = None
    """The first thing that went wrong, also if it was made good in the same run."""
    deployed: bool = True
    """It has deployed something, or tried to."""
    is_rehearsal: bool = False
    targets: Mapping[TargetState, int] = field(default_factory=dict)

    @property
    def stream(self) -> Stream:
        return self.manifest, self.environment

    @property
    def failure(self) -> float | None:
        """Since when it counts as failed; None: it doesn't."""
        return (self.failed_at or self.ended_at) if self.outcome in FAILED else None


def release_of(state: RunState) -> Release | None:
    """None for what is no release: the rollback of another run, a journal without a beginning."""
    if state.started_at is None or state.rollback_of is not None:
        return None
    setbacks = [ts for target in state.targets.values() for name, ts in target.history if name in _SETBACKS]
    return Release(
        run=state.run,
        release=state.release,
        environment=state.environment,
        manifest=state.manifest,
        outcome=outcome_told(state),
        started_at=state.started_at,
        ended_at=state.ended_at if state.is_finished else None,
        committed_at=state.committed_at,
        failed_at=min(setbacks, default=None),
        deployed=any(target.was_changed for target in state.targets.values()),
        is_rehearsal=state.rehearsal,
        targets=state.count(),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """The measures of one stream in one stretch of time; times are seconds, each rising."""

    outcomes: Mapping[Outcome, int]
    """Releases that ended in it."""
    from_commit: tuple[float, ...]
    """Of those that succeeded and know when it was committed."""
    from_start: tuple[float, ...]
    restored: tuple[float, ...]
    """Of the failures that were over in it."""

    @property
    def failure_ratio(self) -> float | None:
        """Of those that failed or succeeded; None: there were none."""
        failed = sum(self.outcomes[each] for each in FAILED)
        judged = failed + self.outcomes[Outcome.SUCCEEDED]
        return failed / judged if judged else None


def deliveries(releases: Iterable[Release], since: float) -> dict[Stream, Delivery]:
    """For each stream that has anything to tell; `since` in epoch seconds, as are all times of the releases."""
    streams: dict[Stream, list[Release]] = {}
    for release in sorted(releases, key=lambda each: each.started_at):
        if release.deployed and not release.is_rehearsal:
            streams.setdefault(release.stream, []).append(release)
    return {name: _delivery(found, since) for name, found in streams.items()}


def newest(releases: Iterable[Release]) -> dict[Stream, Release]:
    return {release.stream: release for release in sorted(releases, key=lambda each: each.started_at)}


def without_rehearsals(releases: Iterable[Release]) -> list[Release]:
    """But those of streams that have nothing else: a rehearsal never stands for what is really there."""
    found = list(releases)
    real = {release.stream for release in found if not release.is_rehearsal}
    return [release for release in found if not release.is_rehearsal or release.stream not in real]


def percentile(rising: Sequence[float], share: float) -> float | None:
    """The smallest value that `share` of all (0 to 1) don't exceed; None: there are none."""
    return rising[max(0, math.ceil(share * len(rising)) - 1)] if rising else None


def _delivery(releases: Sequence[Release], since: float) -> Delivery:
    ended = [each for each in releases if each.ended_at is not None and each.ended_at >= since]
    well = [each for each in ended if each.outcome is Outcome.SUCCEEDED]
    return Delivery(
        outcomes=Counter(each.outcome for each in ended),
        from_commit=_rising(_between(each.committed_at, each.ended_at) for each in well),
        from_start=_rising(_between(each.started_at, each.ended_at) for each in well),
        restored=_rising(_restorations(releases, since)),
    )


def _restorations(releases: Sequence[Release], since: float) -> Iterable[float | None]:
    """One for each stretch of time in which the stream stood failed, whatever number of attempts it took."""
    failing: float | None = None
    for at, is_well in sorted(_turns(releases)):
        if not is_well:
            failing = at if failing is None else failing
        elif failing is not None:
            yield at - failing if at >= since else None
            failing = None


def _turns(releases: Sequence[Release]) -> Iterable[tuple[float, bool]]:
    """When something went wrong, and when all was well."""
    for release in releases:
        if release.failure is not None:
            yield release.failure, False
        if release.ended_at is not None and release.outcome in {Outcome.SUCCEEDED, Outcome.ROLLED_BACK}:
            yield release.ended_at, True


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else max(0.0, end - start)


def _rising(values: Iterable[float | None]) -> tuple[float, ...]:
    return tuple(sorted(value for value in values if value is not None))
