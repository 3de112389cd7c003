"""The measures of delivery, from runs that tests tell: what counts, what fails, how long it took to be well again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from feeds import Feed

from orchestrator.core import events as ev
from orchestrator.core.delivery import Delivery, Release, deliveries, newest, percentile, release_of, without_rehearsals
from orchestrator.core.model import Outcome, TargetState
from orchestrator.core.state import RunState

HOUR = 3600.0


class Nobody:
    def handle(self, record: ev.Record, state: RunState) -> None:
        pass


def told(**more: Any) -> Feed:
    return Feed(Nobody(), ("api/canary",), **more)


def release(number: int, outcome: Outcome, started_at: float, ended_at: float | None, **more: object) -> Release:
    known = {"run": f"r{number}", "release": f"shop-{number}", "environment": "prod", "manifest": "release.yaml"}
    return Release(**known, outcome=outcome, started_at=started_at, ended_at=ended_at, **more)  # type: ignore[arg-type]


def measured(releases: Sequence[Release], since: float = 0.0) -> Delivery:
    (found,) = deliveries(releases, since).values()
    return found


# --- from a journal --------------------------------------------------------------------------------------------------


def test_a_run_that_succeeded() -> None:
    feed = told(committed_at=400.0)
    feed.start("api/canary")
    feed.tell(ev.TargetFinished(target="api/canary", state=TargetState.SUCCEEDED), after=60)
    feed.tell(ev.RunFinished(outcome=Outcome.SUCCEEDED, exit_code=0))
    found = release_of(feed.state)
    assert found is not None
    assert (found.started_at, found.ended_at, found.committed_at) == (1000.0, 1060.0, 400.0)
    assert (found.failure, found.deployed, found.stream) == (None, True, ("m", "prod"))
    assert found.targets == {TargetState.SUCCEEDED: 1}


def test_a_failure_begins_with_the_first_target_that_failed() -> None:
    feed = told()
    feed.start("api/canary")
    feed.tell(ev.TargetFinished(target="api/canary", state=TargetState.FAILED), after=60)
    feed.tell(ev.RunFinished(outcome=Outcome.FAILED, exit_code=3), after=600)
    found = release_of(feed.state)
    assert found is not None
    assert (found.failure, found.ended_at) == (1060.0, 1660.0)


def test_a_success_that_is_rolled_back_later_has_failed_from_then_on() -> None:
    feed = told()
    feed.start("api/canary")
    feed.tell(ev.TargetFinished(target="api/canary", state=TargetState.SUCCEEDED), after=60)
    feed.tell(ev.RunFinished(outcome=Outcome.SUCCEEDED, exit_code=0))
    feed.tell(ev.ReleaseRollbackRequested(reason="asked for"), after=3600)
    feed.tell(ev.RollbackStarted(target="api/canary", deployment_id="d", rollback_deployment_id="d2", of_release=True))
    feed.tell(ev.TargetFinished(target="api/canary", state=TargetState.ROLLED_BACK), after=40)
    feed.tell(ev.RunFinished(outcome=Outcome.ROLLED_BACK, exit_code=4))
    found = release_of(feed.state)
    assert found is not None
    assert found.failure == 1060.0 + 3600.0
    assert measured([found]).restored == (40.0,)


def test_a_run_of_which_everything_was_unchanged_is_no_release_that_counts() -> None:
    feed = told()
    feed.tell(ev.TargetFinished(target="api/canary", state=TargetState.UNCHANGED))
    feed.tell(ev.RunFinished(outcome=Outcome.SUCCEEDED, exit_code=0))
    found = release_of(feed.state)
    assert found is not None
    assert not found.deployed
    assert deliveries([found], 0.0) == {}
    assert newest([found]) == {("m", "prod"): found}


def test_the_rollback_of_another_run_is_no_release() -> None:
    assert release_of(told(rollback_of="other").state) is None
    assert release_of(RunState()) is None


def test_rehearsals_count_nowhere_and_are_shown_only_where_there_is_nothing_else() -> None:
    feed = told(options={"sandbox": True})
    feed.start("api/canary")
    feed.tell(ev.RunFinished(outcome=Outcome.SUCCEEDED, exit_code=0))
    rehearsal = release_of(feed.state)
    assert rehearsal is not None
    assert deliveries([rehearsal], 0.0) == {}
    real = replace(rehearsal, run="r2", is_rehearsal=False, started_at=1.0, outcome=Outcome.FAILED)
    assert without_rehearsals([rehearsal]) == [rehearsal]
    assert without_rehearsals([real, rehearsal]) == [real]


def test_a_run_that_waits_for_somebody_has_not_ended() -> None:
    feed = told()
    feed.tell(ev.RunDetached(reason="--for", running=("d-1",)), after=5)
    found = release_of(feed.state)
    assert found is not None
    assert found.ended_at is None


# --- over many -------------------------------------------------------------------------------------------------------


def test_outcomes_and_the_share_of_failures() -> None:
    releases = [
        release(1, Outcome.SUCCEEDED, 0, 100),
        release(2, Outcome.FAILED, 200, 300),
        release(3, Outcome.CANCELLED, 400, 500),
        release(4, Outcome.ROLLED_BACK, 600, 700),
        release(5, Outcome.SUCCEEDED, 800, 900),
        release(6, Outcome.RUNNING, 950, None),
        release(7, Outcome.SUCCEEDED, 960, 970, deployed=False),
    ]
    found = measured(releases)
    assert found.outcomes == {Outcome.SUCCEEDED: 2, Outcome.FAILED: 1, Outcome.CANCELLED: 1, Outcome.ROLLED_BACK: 1}
    assert found.failure_ratio == 0.5
    assert measured(releases, since=800).failure_ratio == 0.0
    assert measured(releases, since=901).failure_ratio is None


def test_lead_times_are_those_of_successes_and_a_clock_that_is_ahead_makes_none_negative() -> None:
    releases = [
        release(1, Outcome.SUCCEEDED, 1000, 1100, committed_at=100),
        release(2, Outcome.FAILED, 2000, 2100, committed_at=100),
        release(3, Outcome.SUCCEEDED, 3000, 3050),
        release(4, Outcome.SUCCEEDED, 4000, 4010, committed_at=4020),
    ]
    found = measured(releases)
    assert found.from_commit == (0.0, 1000.0)
    assert found.from_start == (10.0, 50.0, 100.0)


def test_several_failed_attempts_are_one_time_to_restore() -> None:
    releases = [
        release(1, Outcome.SUCCEEDED, 0, 100),
        release(2, Outcome.FAILED, 1000, 1100, failed_at=1050),
        release(3, Outcome.ROLLBACK_FAILED, 2000, 2100, failed_at=2050),
        release(4, Outcome.SUCCEEDED, 3000, 3100),
        release(5, Outcome.SUCCEEDED, 4000, 4100),
        release(6, Outcome.ROLLED_BACK, 5000, 5200, failed_at=5100),
        release(7, Outcome.FAILED, 6000, 6100),
    ]
    assert measured(releases).restored == (100.0, 2050.0)
    assert measured(releases, since=5000).restored == (100.0,)  # the other was over before


def test_streams_are_told_apart_by_manifest_and_environment() -> None:
    one, other = release(1, Outcome.FAILED, 0, 100), release(2, Outcome.SUCCEEDED, 0, 100, committed_at=50.0)
    staging = Release(
        run="r3", release="s", environment="staging", manifest="m", outcome=Outcome.FAILED, started_at=0, ended_at=5
    )
    found = deliveries([one, other, staging], 0.0)
    assert {name: each.failure_ratio for name, each in found.items()} == {
        ("release.yaml", "prod"): 0.5,
        ("m", "staging"): 1.0,
    }


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [((), 0.5, None), ((7.0,), 0.9, 7.0), ((1.0, 2.0, 3.0, 4.0), 0.5, 2.0), ((1.0, 2.0, 3.0, 4.0), 0.9, 4.0)],
)
def test_percentiles(values: tuple[float, ...], share: float, expected: float | None) -> None:
    assert percentile(values, share) == expected
