"""Deployments of every kind, disturbed at random: they end, everybody is accounted for, and data is all they need."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from played import GOOD, IN_PLACE, Play, count, failing, play

from orchestrator.sandbox.deployments import Deployment
from orchestrator.sandbox.lifecycle import ALL_EVENTS
from orchestrator.sandbox.options import Lost
from orchestrator.sandbox.stages import queue_of

STYLES: dict[str, dict[str, Any]] = {
    "in place": {"deploymentStyle": IN_PLACE},
    "balanced": {"deploymentStyle": {**IN_PLACE, "deploymentOption": "WITH_TRAFFIC_CONTROL"}},
    "blue/green": {
        "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "blueGreenDeploymentConfiguration": {
            "greenFleetProvisioningOption": {"action": "COPY_AUTO_SCALING_GROUP"},
            "deploymentReadyOption": {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 2},
            "terminateBlueInstancesOnDeploymentSuccess": {"action": "TERMINATE", "terminationWaitTimeInMinutes": 1},
        },
    },
}
ACTIONS = st.sampled_from(["stop", "alarm", "continue", "switch off", "switch on", "put away"])


def act(stage: Play, deployment: Deployment, action: str, which: int) -> Deployment:
    """What somebody does in the middle of it. Gives the deployment, which may be another object afterwards."""
    region, now = stage.region, stage.now
    instances = list(region.inventory)
    match action:
        case "stop":
            region.stop(deployment, now, rollback=which % 2 == 0)
        case "alarm":
            region.alarms.set("p99", "on")
            region.look_at_alarms(now)
            region.alarms.set("p99", "off")
        case "continue" if any(region.engine.is_waiting(deployment, kind) for kind in ("ready", "terminate")):
            region.go_on(deployment, now)
        case "switch off" | "switch on":
            region.switch(instances[which % len(instances)], now, is_running=action == "switch on")
        case "put away":
            found = Deployment.from_data(deployment.to_data(), stage.group)
            stage.group.deployments[-1] = region.deployments[found.id] = found
            region.take_up(found, now)
            return found
        case _:
            pass  # there is nothing that waits
    return deployment


def check(deployment: Deployment) -> None:
    """What has to hold at every moment."""
    live = {(due, number) for due, number in deployment.queue if (due, number) in set(queue_of(deployment))}
    assert live == set(queue_of(deployment))
    for track in deployment.tracks:
        running = [step for step in track.steps if step.status == "InProgress"]
        assert len(running) <= (track.status == "InProgress")
        assert all(step.start is not None for step in running)
    if deployment.wave is not None:
        flying = sum(track.status == "InProgress" for track in deployment.tracks)
        assert deployment.wave.flying == flying <= deployment.wave.limit


@given(
    style=st.sampled_from(sorted(STYLES)),
    total=st.integers(1, 6),
    minimum=st.integers(0, 5),
    fail=st.lists(st.tuples(st.integers(0, 5), st.sampled_from(sorted(ALL_EVENTS))), max_size=3),
    lost=st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=1),
    actions=st.lists(st.tuples(st.floats(0, 120), ACTIONS, st.integers(0, 11)), max_size=5),
)
def test_whatever_happens_it_ends_and_everybody_is_accounted_for(
    style: str,
    total: int,
    minimum: int,
    fail: list[tuple[int, str]],
    lost: list[tuple[int, bool]],
    actions: list[tuple[float, str, int]],
) -> None:
    faults = [failing(number, event=event, revision="bad") for number, event in fail]
    away = [Lost(target="app/g", instances=(number,), event="Install", is_midway=is_midway, revision="bad")
            for number, is_midway in lost]  # fmt: skip
    alarms = {"enabled": True, "alarms": [{"name": "p99"}]}
    stage = play(total, count(min(minimum, total - 1)), *faults, *away, alarmConfiguration=alarms, **STYLES[style])
    stage.play(GOOD)
    bad = {**GOOD, "gitHubLocation": {"repository": "acme/shop", "commitId": "bad"}}
    deployment = stage.start(bad, rollback_events=["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"])
    for seconds, action, which in actions:
        stage.wait(seconds)
        if deployment.ended is not None:
            break
        deployment = act(stage, deployment, action, which)
        check(deployment)
    for _ in stage.moments():
        if deployment.ended is None:
            check(deployment)
    assert stage.group.active is None
    for ended in stage.group.deployments:
        assert ended.status in ("Succeeded", "Failed", "Stopped")
        assert ended.queue == []
        assert (ended.error is None) == (ended.status == "Succeeded")
        assert {track.status for track in ended.tracks} <= {"Succeeded", "Failed", "Skipped"}
        assert {step.status for track in ended.tracks for step in track.steps} <= {"Succeeded", "Failed", "Skipped"}
    rollbacks = [one for one in stage.group.deployments if one.creator == "codeDeployRollback"]
    assert len(rollbacks) <= 1
    assert all(one.rollback_info for one in rollbacks)
