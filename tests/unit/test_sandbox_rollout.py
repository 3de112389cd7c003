"""Minimum healthy hosts: batches, order, zones, and when a deployment has failed; in virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from played import BAD, START, Play, count, failing, flying, percent, play, statuses

from orchestrator.sandbox.configs import Config, Zonal, built_in
from orchestrator.sandbox.deployments import Deployment
from orchestrator.sandbox.health import HealthRule
from orchestrator.sandbox.options import Lost, SandboxOptions, Slow, Speeds, stuck


@pytest.mark.parametrize(
    ("kind", "value", "total", "minimum"),
    [
        ("HOST_COUNT", 6, 9, 6),
        ("FLEET_PERCENT", 40, 9, 4),
        ("FLEET_PERCENT", 50, 9, 5),
        ("FLEET_PERCENT", 0, 9, 0),
        ("FLEET_PERCENT", 95, 10, 10),
        ("MOST_CONCURRENCY", 1, 9, 8),
    ],
)
def test_the_minimum_is_a_count_or_a_share_rounded_up(kind: str, value: int, total: int, minimum: int) -> None:
    assert HealthRule(kind=kind, value=value).minimum(total) == minimum


def config(name: str) -> Config:
    return built_in(0.0)[f"CodeDeployDefault.{name}"]


@pytest.mark.parametrize("name", ["AllAtOnce", "HalfAtATime", "OneAtATime"])
def test_aws_own_configurations_deploy_to_a_fleet_of_one(name: str) -> None:
    assert play(1, config(name)).play().status == "Succeeded"
    assert play(1, config(name), failing(0)).play().status == "Failed"


def most_at_once(stage: Play, deployment: Deployment) -> int:
    return max(len(flying(deployment)) for _ in stage.moments())


@pytest.mark.parametrize(
    ("rule", "at_once"),
    [
        (percent(0), 9),
        (percent(50), 4),
        (percent(40), 5),
        (count(6), 3),
        (count(8), 1),
        (config("AllAtOnce"), 9),
        (config("HalfAtATime"), 4),
        (config("OneAtATime"), 1),
    ],
)
def test_only_so_many_are_in_flight_as_the_minimum_leaves(rule: Config, at_once: int) -> None:
    stage = play(9, rule)
    deployment = stage.start()
    assert most_at_once(stage, deployment) == at_once
    assert deployment.status == "Succeeded"
    assert deployment.ended == START + 1 + 7 * -(-9 // at_once)


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
    deployment = play(10, count(minimum), failing(*fail)).play()
    assert deployment.status == outcome
    assert (deployment.error is None) == (outcome == "Succeeded")


def test_it_fails_as_soon_as_too_few_are_healthy_and_leaves_the_rest_alone() -> None:
    deployment = play(5, count(3), failing(0, 1)).play()
    assert statuses(deployment) == ["Failed", "Failed", "Skipped", "Skipped", "Skipped"]
    assert deployment.ended == START + 1 + 4  # both failed in their fourth event; nobody waited any longer
    assert deployment.error is not None
    assert deployment.error[0] == "HEALTH_CONSTRAINTS"


def test_a_failure_skips_the_later_events() -> None:
    deployment = play(3, None, failing(0)).play()
    first, second, third = deployment.tracks
    assert [step.status for step in first.steps] == ["Succeeded"] * 3 + ["Failed"] + ["Skipped"] * 3
    assert first.steps[3].diagnostics is not None
    assert first.steps[3].diagnostics.error_code == "ScriptFailed"
    assert [step.start for step in first.steps[4:]] == [None] * 3
    assert (second.status, third.status) == ("Skipped", "Skipped")
    assert {step.status for step in third.steps} == {"Skipped"}


@pytest.mark.parametrize("rule", [count(3), count(4), percent(95)])
def test_a_minimum_of_the_whole_fleet_fails_before_anything_is_touched(rule: Config) -> None:
    deployment = play(3, rule).play()
    assert (deployment.status, deployment.ended) == ("Failed", START + 1)
    assert deployment.error is not None
    assert deployment.error[0] == "HEALTH_CONSTRAINTS_INVALID"
    assert all(step.start is None for track in deployment.tracks for step in track.steps)


def test_unhealthy_ones_first_then_unknown_then_old_then_current() -> None:
    stage = play(4, percent(0), failing(3, deployments=1))
    stage.play(BAD)  # 3 has failed
    ids = stage.group.instances
    stage.group.installed[ids[0]] = '{"gitHubLocation": "other"}'
    del stage.group.installed[ids[1]]
    deployment = stage.start(BAD)
    stage.wait(1)
    assert [track.index for track in deployment.tracks] == [3, 1, 0, 2]


def test_a_fleet_below_the_minimum_must_not_get_worse() -> None:
    """Three of four need to be healthy, two are: the two others come first, one by one."""
    stage = play(4, percent(0), failing(2, 3, deployments=1))
    stage.play()
    stage.region.configs["config"] = count(3)
    deployment = stage.start(BAD)
    assert most_at_once(stage, deployment) == 1
    assert deployment.status == "Succeeded"
    assert [track.index for track in deployment.tracks] == [2, 3, 0, 1]


def test_an_unhealthy_one_that_fails_again_ends_it() -> None:
    stage = play(4, percent(0), failing(3))
    assert stage.play().status == "Succeeded"
    stage.region.configs["config"] = count(3)
    deployment = stage.play(BAD)
    assert deployment.status == "Failed"
    assert statuses(deployment) == ["Skipped", "Skipped", "Skipped", "Failed"]


def test_only_outdated_ones_are_deployed_to_and_the_others_count_as_healthy() -> None:
    stage = play(4, count(3), failing(1, deployments=1))
    stage.region.configs["config"] = percent(0)
    stage.play()
    stage.region.configs["config"] = count(3)
    deployment = stage.play(updateOutdatedInstancesOnly=True)
    assert [track.index for track in deployment.tracks] == [1]
    assert deployment.status == "Succeeded"
    nothing = stage.play(updateOutdatedInstancesOnly=True)
    assert (nothing.status, nothing.tracks) == ("Succeeded", [])


def test_a_stopped_instance_is_a_failed_one() -> None:
    stage = play(3)
    stage.region.inventory.get(stage.group.instances[2]).is_running = False
    deployment = stage.play()
    assert statuses(deployment) == ["Skipped", "Skipped", "Failed"]  # it came first, and fell silent
    assert deployment.ended == START + 1 + 300
    first = deployment.tracks[0].steps[0]
    assert first.start is None
    assert first.diagnostics is not None
    assert "CodeDeploy agent was not able to receive the lifecycle event" in first.diagnostics.message


def zonal(zones: Zonal) -> Config:
    return Config(name="config", kind="HOST_COUNT", value=0, created=0.0, zonal=zones)


def test_one_zone_at_a_time() -> None:
    stage = play(6, zonal(Zonal(monitor=10, first_monitor=20)), zones=("b", "a", "c"))
    deployment = stage.start()
    seen = []
    for _ in stage.moments():
        zones = {track.zone for track in flying(deployment)}
        assert len(zones) <= 1
        seen += [zone for zone in zones if zone not in seen]
    assert seen == ["a", "b", "c"]
    assert deployment.ended == START + 1 + 7 + 20 + 7 + 10 + 7
    assert deployment.status == "Succeeded"


def test_a_minimum_for_each_zone() -> None:
    per_zone = HealthRule(kind="HOST_COUNT", value=1)
    rule = zonal(Zonal(per_zone=per_zone))
    stage = play(6, rule, failing(1, 3), zones=("a", "b"))  # 1, 3 and 5 are in zone b
    deployment = stage.start()
    assert most_at_once(stage, deployment) == 2
    assert deployment.status == "Failed"
    assert statuses(deployment) == ["Succeeded", "Failed", "Succeeded", "Failed", "Succeeded", "Skipped"]


def test_a_zone_too_small_for_its_minimum() -> None:
    per_zone = HealthRule(kind="HOST_COUNT", value=1)
    rule = zonal(Zonal(per_zone=per_zone))
    deployment = play(3, rule, zones=("a", "a", "b")).play()
    assert deployment.error is not None
    assert deployment.error[0] == "HEALTH_CONSTRAINTS_INVALID"


def test_a_thousand_at_once_and_no_more() -> None:
    assert play(1000, percent(0)).play().overview() == {
        "Pending": 0, "InProgress": 0, "Succeeded": 1000, "Failed": 0, "Skipped": 0, "Ready": 0,
    }  # fmt: skip
    deployment = play(1001, percent(0)).play()
    assert deployment.error is not None
    assert deployment.error[0] == "OVER_MAX_INSTANCES"


def test_a_deployment_in_place_may_take_twelve_hours() -> None:
    """Seven events of 50 minutes are almost six hours an instance: the third one is cut off."""
    options = SandboxOptions(time_scale=10, speeds=Speeds(lead=0, event=(3000, 3000)))
    deployment = play(3, None, options=options).play()
    assert statuses(deployment) == ["Succeeded", "Succeeded", "Failed"]
    assert deployment.ended == START + 12 * 360
    assert deployment.error is not None
    assert deployment.error[0] == "TIMEOUT"


def test_an_event_may_take_an_hour() -> None:
    deployment = play(3, None, Slow(target="app/g", event="Install", factor=4000)).play()
    install = deployment.tracks[0].steps[3]
    assert (install.start, install.end) == (START + 4, START + 4 + 3600)
    assert install.diagnostics is not None
    assert install.diagnostics.error_code == "ScriptTimedOut"


def test_an_agent_that_falls_silent_in_the_middle_is_given_up_after_seventy_minutes() -> None:
    deployment = play(3, None, Lost(target="app/g", event="Install", is_midway=True)).play()
    assert deployment.ended == START + 1 + 3 + 4200
    assert statuses(deployment) == ["Failed", "Skipped", "Skipped"]


def test_a_stuck_one_never_ends_until_it_is_stopped() -> None:
    stage = play(3, None, stuck("app/g"))
    deployment = stage.start()
    stage.wait(1e9)
    assert deployment.status == "InProgress"
    assert not stage.region.stop(deployment, stage.now, rollback=None)
    stage.wait(0.4)
    assert deployment.status == "InProgress"
    stage.wait(0.1)
    assert deployment.info()["status"] == "Stopped"
    assert statuses(deployment) == ["Failed", "Skipped", "Skipped"]
    assert deployment.tracks[0].steps[0].status == "Failed"


def test_a_stop_leaves_what_has_ended_as_it_was() -> None:
    stage = play(3)
    deployment = stage.start()
    stage.wait(9.5)
    stage.region.stop(deployment, stage.now, rollback=None)
    stage.wait(0.5)
    assert statuses(deployment) == ["Succeeded", "Failed", "Skipped"]
    assert [step.status for step in deployment.tracks[1].steps[:3]] == ["Succeeded", "Failed", "Skipped"]


def test_a_stop_before_the_start_ends_it_there() -> None:
    stage = play(3)
    deployment = stage.start()
    stage.wait(0.2)
    assert stage.region.stop(deployment, stage.now, rollback=None)
    assert (deployment.status, deployment.ended, deployment.tracks) == ("Stopped", stage.now, [])


@given(
    total=st.integers(1, 12),
    share=st.floats(0, 0.99),
    fail=st.frozensets(st.integers(0, 11), max_size=12),
    again=st.frozensets(st.integers(0, 11), max_size=12),
    stop_after=st.one_of(st.none(), st.floats(0, 200)),
)
def test_every_course_ends_with_every_instance_accounted_for(
    total: int, share: float, fail: frozenset[int], again: frozenset[int], stop_after: float | None
) -> None:
    minimum = int(total * share)
    stage = play(total, count(minimum), failing(*fail, deployments=1), failing(*again, revision="bad"))
    stage.play()
    healthy = total - len(stage.group.unhealthy) if stage.group.installed else total
    deployment = stage.start(BAD)
    if stop_after is not None:
        stage.wait(stop_after)
        stage.region.stop(deployment, stage.now, rollback=None)
    for _ in stage.moments():
        assert len(flying(deployment)) <= total - minimum
        assert sum(track.is_healthy for track in flying(deployment)) <= max(0, healthy - min(minimum, healthy)) + (
            total - healthy
        )
    assert deployment.ended is not None
    final = deployment.overview()
    if final is None:
        assert deployment.started is None
        return
    assert final["Pending"] == final["InProgress"] == 0
    assert sum(final.values()) == len(deployment.tracks)
    for track in deployment.tracks:
        assert sum(step.status == "Failed" for step in track.steps) == (track.status == "Failed")
        ends = [step.end for step in track.steps if step.end is not None]
        assert ends == sorted(ends)
        assert all(end <= deployment.ended for end in ends)
    if deployment.status == "Succeeded":
        assert final["Succeeded"] > 0
