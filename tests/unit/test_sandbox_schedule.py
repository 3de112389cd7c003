"""Batches by minimum healthy hosts, failing events, and stops, as pure functions of time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.sandbox.health import Health, health, one_at_a_time
from orchestrator.sandbox.schedule import EVENTS, NEVER, Course, Diagnostics, Schedule, build, stop

BROKEN = Diagnostics(error_code="ScriptFailed", script="start.sh", message="exit code 1", log_tail="a\nb")


def course(
    count: int, minimum: int, *, fail: frozenset[int] = frozenset(), event: str = "Install", seconds: float = 1.0
) -> Schedule:
    instances = [f"i-{number}" for number in range(count)]
    failing = {instances[number] for number in fail}
    return build(
        Course(
            created=100.0,
            lead=0.5,
            instances=instances,
            events=EVENTS,
            health=Health(total=count, minimum=minimum),
            seconds=lambda _instance, _index: seconds,
            failure=lambda instance, name: BROKEN if instance in failing and name == event else None,
        )
    )


@pytest.mark.parametrize(
    ("kind", "value", "total", "minimum"),
    [
        ("HOST_COUNT", 6, 9, 6),
        ("FLEET_PERCENT", 40, 9, 4),
        ("FLEET_PERCENT", 50, 9, 5),
        ("FLEET_PERCENT", 0, 9, 0),
        ("FLEET_PERCENT", 95, 10, 10),
    ],
)
def test_the_minimum_is_a_count_or_a_share_rounded_up(kind: str, value: int, total: int, minimum: int) -> None:
    assert health(kind, value, total, built_in=False).minimum == minimum


def test_aws_own_configurations_deploy_to_a_fleet_of_one() -> None:
    assert health("FLEET_PERCENT", 50, 1, built_in=True).is_possible
    assert not health("FLEET_PERCENT", 50, 1, built_in=False).is_possible
    assert one_at_a_time(1).minimum == 0


def most_at_once(schedule: Schedule) -> int:
    return max(sum(track.start <= moment < track.end for track in schedule.tracks) for moment in schedule.moments)


@pytest.mark.parametrize(("minimum", "at_once"), [(0, 9), (5, 4), (6, 3), (8, 1)])
def test_only_so_many_are_in_flight_as_the_minimum_leaves(minimum: int, at_once: int) -> None:
    schedule = course(9, minimum)
    assert most_at_once(schedule) == at_once
    assert schedule.outcome == "Succeeded"
    batches = -(-9 // at_once)
    assert schedule.ended == 101.0 + 7.0 * batches


@pytest.mark.parametrize(
    ("minimum", "fail", "outcome"),
    [
        (9, {0}, "Failed"),
        (9, {9}, "Succeeded"),  # the last one may fail: nothing is left to protect
        (8, {0}, "Succeeded"),
        (8, {0, 1}, "Failed"),
        (8, {0, 9}, "Succeeded"),
        (0, set(range(9)), "Succeeded"),
        (0, set(range(10)), "Failed"),
    ],
)
def test_failures_count_against_the_minimum(minimum: int, fail: set[int], outcome: str) -> None:
    assert course(10, minimum, fail=frozenset(fail)).outcome == outcome


def test_a_failure_skips_the_later_events_and_the_untried_instances() -> None:
    schedule = course(3, 2, fail=frozenset({0}))
    first, second, third = schedule.tracks
    assert [step.outcome for step in first.steps] == ["Succeeded"] * 3 + ["Failed"] + ["Skipped"] * 3
    assert first.steps[3].diagnostics == BROKEN
    assert (second.outcome, third.outcome) == ("Skipped", "Skipped")
    assert schedule.error is not None
    assert schedule.error[0] == "HEALTH_CONSTRAINTS"
    assert schedule.overview(schedule.ended)["Skipped"] == 2
    assert schedule.overview(schedule.ended - 0.1) == {
        "Pending": 2, "InProgress": 1, "Succeeded": 0, "Failed": 0, "Skipped": 0, "Ready": 0,
    }  # fmt: skip


def test_a_minimum_of_the_whole_fleet_fails_before_anything_is_touched() -> None:
    schedule = course(3, 3)
    assert schedule.outcome == "Failed"
    assert schedule.error is not None
    assert schedule.error[0] == "HEALTH_CONSTRAINTS_INVALID"
    assert all(step.start == NEVER for track in schedule.tracks for step in track.steps)


def test_status_over_time() -> None:
    schedule = course(1, 0)
    seen = [schedule.status(moment) for moment in (100.0, 100.5, 101.0, 107.9, 108.0)]
    assert seen == ["Created", "Queued", "InProgress", "InProgress", "Succeeded"]
    track = schedule.tracks[0]
    assert [step.status(102.5) for step in track.steps[:3]] == ["Succeeded", "InProgress", "Pending"]


def test_without_duration_it_has_ended_when_it_begins() -> None:
    schedule = build(
        Course(
            created=5.0,
            lead=0.0,
            instances=["a", "b"],
            events=EVENTS,
            health=one_at_a_time(2),
            seconds=lambda _instance, _index: 0.0,
            failure=lambda _instance, _event: None,
        )
    )
    assert schedule.status(5.0) == "Succeeded"
    assert schedule.overview(5.0)["Succeeded"] == 2


def test_a_stuck_one_never_ends_until_it_is_stopped() -> None:
    schedule = course(3, 2, seconds=NEVER)
    assert schedule.status(1e12) == "InProgress"
    stopped = stop(schedule, 200.0, 0.5, code="MANUAL_STOP", message="stopped")
    assert stopped.status(200.4) == "InProgress"
    assert stopped.status(200.5) == "Stopped"
    assert [track.outcome for track in stopped.tracks] == ["Failed", "Skipped", "Skipped"]
    assert stopped.tracks[0].steps[0].outcome == "Failed"
    assert stopped.overview(200.5)["Failed"] == 1


def test_a_stop_leaves_what_has_ended_as_it_was() -> None:
    schedule = course(3, 2)
    stopped = stop(schedule, 110.0, 0.0, code="MANUAL_STOP", message="stopped")
    assert stopped.tracks[0] == schedule.tracks[0]
    assert [track.outcome for track in stopped.tracks] == ["Succeeded", "Failed", "Skipped"]


def test_a_stop_before_the_start_ends_it_there() -> None:
    stopped = stop(course(3, 2), 100.2, 5.0, code="MANUAL_STOP", message="stopped")
    assert stopped.ended == 100.2
    assert {track.outcome for track in stopped.tracks} == {"Skipped"}


@given(
    count=st.integers(1, 12),
    share=st.floats(0, 0.99),
    fail=st.frozensets(st.integers(0, 11), max_size=12),
    stop_after=st.one_of(st.none(), st.floats(0, 200)),
)
def test_every_course_ends_with_every_instance_accounted_for(
    count: int, share: float, fail: frozenset[int], stop_after: float | None
) -> None:
    minimum = int(count * share)
    schedule = course(count, minimum, fail=frozenset(number for number in fail if number < count))
    if stop_after is not None and 100.0 + stop_after < schedule.ended:
        schedule = stop(schedule, 100.0 + stop_after, 0.5, code="MANUAL_STOP", message="stopped")
    assert most_at_once(schedule) <= count - minimum
    final = schedule.overview(schedule.ended)
    assert final["Pending"] == final["InProgress"] == 0
    assert sum(final.values()) == count
    for track in schedule.tracks:
        assert track.end <= schedule.ended
        assert sum(step.outcome == "Failed" for step in track.steps) == (track.outcome == "Failed")
