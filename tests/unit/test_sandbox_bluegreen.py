"""Blue/green deployments to instances: replacements, Ready, rerouting, termination, and the way back."""

from __future__ import annotations

from typing import Any

import pytest
from played import BAD, GOOD, IN_PLACE, START, Play, count, failing, flying, names, percent, play

from orchestrator.sandbox.deployments import Deployment
from orchestrator.sandbox.inventory import Instance
from orchestrator.sandbox.lifecycle import ALLOW, BLOCK, EVENTS, EVENTS_WITH_LOAD_BALANCER

COPY = {"greenFleetProvisioningOption": {"action": "COPY_AUTO_SCALING_GROUP"}}
STYLE = {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"}
PROVISIONED = START + 1 + 60


def blue_green(*faults: Any, instances: int = 3, config: Any = None, **options: Any) -> Play:
    return play(
        instances,
        config or percent(0),
        *faults,
        deploymentStyle=STYLE,
        blueGreenDeploymentConfiguration={**COPY, **options},
    )


def stopping(minutes: int) -> dict[str, Any]:
    return {"deploymentReadyOption": {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": minutes}}


def terminating(minutes: int) -> dict[str, Any]:
    return {
        "terminateBlueInstancesOnDeploymentSuccess": {
            "action": "TERMINATE",
            "terminationWaitTimeInMinutes": minutes,
        }
    }


def labelled(deployment: Deployment, label: str) -> list[Any]:
    return [track for track in deployment.tracks if track.label == label]


def status(deployment: Deployment) -> str:
    return deployment.status


def test_with_a_load_balancer_an_instance_leaves_it_and_comes_back() -> None:
    stage = play(1, None, deploymentStyle={**IN_PLACE, "deploymentOption": "WITH_TRAFFIC_CONTROL"})
    (track,) = stage.play().tracks
    assert names(track) == list(EVENTS_WITH_LOAD_BALANCER)
    starts = [step.start for step in track.steps]
    assert starts == [START + 1 + number for number in range(13)]


def test_replacements_run_ten_events_and_then_originals_three() -> None:
    stage = blue_green()
    originals = stage.group.instances
    deployment = stage.play()
    assert status(deployment) == "Succeeded"
    green, blue = labelled(deployment, "Green"), labelled(deployment, "Blue")
    assert names(green[0]) == [*EVENTS, *ALLOW]
    assert names(blue[0]) == list(BLOCK)
    assert {track.id for track in blue} == set(originals)
    assert not {track.id for track in green} & set(originals)
    assert green[0].steps[0].start == PROVISIONED
    assert green[0].steps[7].start == PROVISIONED + 7
    assert blue[0].steps[0].start == PROVISIONED + 10
    assert deployment.ended == PROVISIONED + 13


def test_the_group_is_its_replacements_afterwards() -> None:
    stage = blue_green()
    first = stage.play()
    second = stage.play()
    assert {track.id for track in labelled(second, "Blue")} == {track.id for track in labelled(first, "Green")}
    assert len(stage.region.casting.instances(stage.group)) == 3


def test_originals_are_terminated_after_their_time() -> None:
    stage = blue_green(**terminating(5))
    originals = stage.group.instances
    deployment = stage.start()
    stage.wait(1 + 60 + 13)
    assert status(deployment) == "InProgress"
    assert deployment.info()["instanceTerminationWaitTimeStarted"] is True
    stage.wait(299)
    assert status(deployment) == "InProgress"
    stage.wait(1)
    assert status(deployment) == "Succeeded"
    assert not {one.id for one in stage.region.inventory} & set(originals)


def test_without_termination_the_originals_stay() -> None:
    stage = blue_green()
    originals = stage.group.instances
    deployment = stage.play()
    assert deployment.info()["instanceTerminationWaitTimeStarted"] is False
    assert {one.id for one in stage.region.inventory} >= set(originals)


def test_the_wait_for_termination_can_be_left_out() -> None:
    stage = blue_green(**terminating(2880))
    deployment = stage.start()
    stage.wait(80)
    stage.region.go_on(deployment, stage.now)
    assert (status(deployment), deployment.ended) == ("Succeeded", stage.now)


def test_ready_waits_for_somebody_to_go_on() -> None:
    stage = blue_green(**stopping(30))
    deployment = stage.start()
    stage.wait(1 + 60 + 6.5)
    assert status(deployment) == "InProgress"
    stage.wait(0.5)
    assert status(deployment) == "Ready"
    assert {track.status for track in labelled(deployment, "Green")} == {"Ready"}
    assert deployment.overview() == {
        "Pending": 3, "InProgress": 0, "Succeeded": 0, "Failed": 0, "Skipped": 0, "Ready": 3,
    }  # fmt: skip
    stage.wait(600)
    stage.region.go_on(deployment, stage.now)
    assert status(deployment) == "InProgress"
    assert len(flying(deployment)) == 3
    stage.finish(deployment)
    assert status(deployment) == "Succeeded"


def test_ready_ends_as_stopped_when_nobody_comes() -> None:
    stage = blue_green(**stopping(30))
    deployment = stage.play()
    assert (status(deployment), deployment.ended) == ("Stopped", PROVISIONED + 7 + 1800)
    assert {track.status for track in deployment.tracks} == {"Skipped"}
    assert [step.status for step in labelled(deployment, "Green")[0].steps] == ["Succeeded"] * 7 + ["Skipped"] * 3


def test_the_minimum_is_for_replacements_and_rerouting_goes_in_the_same_batches() -> None:
    stage = blue_green(instances=4, config=count(3))
    deployment = stage.start()
    most: dict[str, int] = {}
    for _ in stage.moments():
        for label in ("Green", "Blue"):
            found = sum(track.label == label for track in flying(deployment))
            most[label] = max(most.get(label, 0), found)
    assert most == {"Green": 1, "Blue": 1}
    assert status(deployment) == "Succeeded"


@pytest.mark.parametrize(
    ("instance", "event", "outcome"),
    [
        (0, "Install", "Failed"),
        (2, "Install", "Succeeded"),  # the last one may
        (0, "AfterAllowTraffic", "Failed"),
        (2, "AfterAllowTraffic", "Succeeded"),
    ],
)
def test_replacements_may_fail_as_instances_do_in_place(instance: int, event: str, outcome: str) -> None:
    stage = blue_green(failing(instance, event=event), config=count(2))
    assert status(stage.play()) == outcome


def test_an_original_that_cannot_be_deregistered_fails_all() -> None:
    stage = blue_green(failing(2, event="BeforeBlockTraffic"))
    deployment = stage.play()
    assert status(deployment) == "Failed"
    assert [track.status for track in labelled(deployment, "Green")] == ["Succeeded"] * 3


def test_the_group_keeps_its_originals_when_it_failed() -> None:
    stage = blue_green(failing(0, 1, 2))
    originals = stage.group.instances
    assert status(stage.play()) == "Failed"
    assert stage.group.instances == originals


def test_a_rollback_gives_traffic_back_to_the_originals() -> None:
    stage = blue_green(failing(2, event="BeforeBlockTraffic", revision="bad"))
    stage.play(GOOD)
    failed = stage.play(BAD, rollback_events=["DEPLOYMENT_FAILURE"])
    assert status(failed) == "Failed"
    assert failed.rollback_info is not None
    back = stage.region.deployments[failed.rollback_info["rollbackDeploymentId"]]
    stage.finish(back)
    assert (back.creator, status(back)) == ("codeDeployRollback", "Succeeded")
    blue, green = labelled(back, "Blue"), labelled(back, "Green")
    assert {tuple(names(track)) for track in blue} == {ALLOW}
    assert {tuple(names(track)) for track in green} == {BLOCK}
    assert {track.id for track in green} == {track.id for track in labelled(failed, "Green")}
    assert blue[0].steps[-1].end <= green[0].steps[0].start


def test_replacements_that_are_there_already_are_found_by_their_tags() -> None:
    stage = play(2, percent(0), deploymentStyle=STYLE, blueGreenDeploymentConfiguration={})
    for name in ("i-new1", "i-new2"):
        stage.region.inventory.add(Instance(id=name, tags={"stack": "green"}, is_of_fleet=True))
    chosen = {"tagFilters": [{"Key": "stack", "Value": "green", "Type": "KEY_AND_VALUE"}]}
    deployment = stage.play(targetInstances=chosen)
    assert status(deployment) == "Succeeded"
    assert [track.id for track in labelled(deployment, "Green")] == ["i-new1", "i-new2"]
    assert stage.group.instances == ("i-new1", "i-new2")
    missing = stage.play(targetInstances={"tagFilters": [{"Key": "stack", "Value": "x", "Type": "KEY_AND_VALUE"}]})
    assert missing.error is not None
    assert missing.error[0] == "NO_INSTANCES"
