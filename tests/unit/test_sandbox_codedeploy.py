"""CodeDeploy's behaviour in the sandbox, on a clock of the test's own and without HTTP."""

from __future__ import annotations

import pytest
from service import BAD, GITHUB, REGION, service

from orchestrator.sandbox.errors import ServiceError
from orchestrator.sandbox.options import Failure, Faults, Slow, stuck

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_deployment_goes_on_as_time_passes() -> None:
    with service() as aws:
        deployment_id = await aws.deploy(description="token:1")
        seen: list[str] = []
        for _ in range(200):
            info = await aws.info(deployment_id)
            if info["status"] not in seen:
                seen.append(info["status"])
            aws.now += 0.4
        info = await aws.info(deployment_id)
        assert seen == ["Created", "Queued", "InProgress", "Succeeded"]
        assert info["status"] == "Succeeded"
        assert info["description"] == "token:1"
        assert info["creator"] == "user"
        # Three instances, one at a time, seven events of 1 to 3 seconds each, after a second of lead.
        assert 1 + 21 <= info["completeTime"] - info["createTime"] <= 1 + 63


async def test_the_same_seed_gives_the_same_durations() -> None:
    ends = []
    for _ in range(2):
        with service() as aws:
            deployment_id = await aws.deploy()
            aws.now += 1000
            ends.append((await aws.info(deployment_id))["completeTime"])
    assert ends[0] == ends[1]


async def test_time_scale_speeds_it_up_and_0_ends_it_at_once() -> None:
    with service(time_scale=0) as aws:
        assert (await aws.info(await aws.deploy()))["status"] == "Succeeded"
    with service(time_scale=10) as aws:
        deployment_id = await aws.deploy()
        aws.now += 6.5
        assert (await aws.info(deployment_id))["status"] == "Succeeded"


async def test_one_active_deployment_a_group() -> None:
    with service() as aws:
        first = await aws.deploy()
        with pytest.raises(ServiceError) as caught:
            await aws.deploy()
        assert caught.value.code == "DeploymentLimitExceededException"
        assert f"'{first}'" in caught.value.message
        await aws.deploy("other")
        aws.now += 1000
        assert await aws.deploy() != first


async def test_the_group_tells_its_last_deployments() -> None:
    faults = Faults(failures=(Failure(target="app/g", revision="bad"),))
    with service(faults, time_scale=0) as aws:
        assert "lastAttemptedDeployment" not in await aws.group()
        good, bad = await aws.deploy(), await aws.deploy(revision=BAD)
        group = await aws.group()
        assert group["lastSuccessfulDeployment"]["deploymentId"] == good
        assert (
            group["lastAttemptedDeployment"] | {"deploymentId": bad, "status": "Failed"}
            == (group["lastAttemptedDeployment"])
        )
        assert group["targetRevision"] == BAD
        assert (await aws.info(bad))["previousRevision"] == GITHUB


async def test_a_failure_names_event_script_and_log() -> None:
    failure = Failure(target="app/*", event="AfterInstall", instances=(0,), script="s.sh", message="m", log_tail="x\ny")
    with service(Faults(failures=(failure,)), time_scale=0) as aws:
        deployment_id = await aws.deploy()
        info = await aws.info(deployment_id)
        assert info["status"] == "Failed"
        assert info["errorInformation"]["code"] == "HEALTH_CONSTRAINTS"
        assert (info["deploymentOverview"]["Failed"], info["deploymentOverview"]["Skipped"]) == (1, 2)
        listed = await aws.call(
            "ListDeploymentTargets", deploymentId=deployment_id, targetFilters={"TargetStatus": ["Failed"]}
        )
        (target,) = listed["targetIds"]
        answer = await aws.call("GetDeploymentTarget", deploymentId=deployment_id, targetId=target)
        events = {
            one["lifecycleEventName"]: one for one in answer["deploymentTarget"]["instanceTarget"]["lifecycleEvents"]
        }
        assert events["AfterInstall"]["diagnostics"] == {
            "errorCode": "ScriptFailed", "scriptName": "s.sh", "message": "m", "logTail": "x\ny",
        }  # fmt: skip
        assert events["Install"]["diagnostics"]["errorCode"] == "Success"
        assert events["ApplicationStart"]["status"] == "Skipped"
        assert "startTime" not in events["ApplicationStart"]


async def test_a_failure_of_the_first_deployments_only() -> None:
    with service(Faults(failures=(Failure(target="app/g", deployments=2),)), time_scale=0) as aws:
        statuses = [(await aws.info(await aws.deploy()))["status"] for _ in range(3)]
        assert statuses == ["Failed", "Failed", "Succeeded"]


async def test_application_stop_failures_can_be_ignored() -> None:
    with service(Faults(failures=(Failure(target="app/g", event="ApplicationStop"),)), time_scale=0) as aws:
        assert (await aws.info(await aws.deploy()))["status"] == "Failed"
        assert (await aws.info(await aws.deploy(ignoreApplicationStopFailures=True)))["status"] == "Succeeded"


async def test_slow_and_stuck_groups() -> None:
    faults = Faults(slow=(Slow(target="app/g", factor=100), stuck("app/other")))
    with service(faults) as aws:
        slow, never = await aws.deploy(), await aws.deploy("other")
        aws.now += 2000
        assert (await aws.info(slow))["status"] == "InProgress"
        aws.now += 6000
        assert (await aws.info(slow))["status"] == "Succeeded"
        assert (await aws.info(never))["status"] == "InProgress"


async def test_stop_drains_and_then_has_stopped() -> None:
    with service() as aws:
        deployment_id = await aws.deploy()
        aws.now += 5
        assert (await aws.call("StopDeployment", deploymentId=deployment_id))["status"] == "Pending"
        assert (await aws.info(deployment_id))["status"] == "InProgress"
        assert (await aws.call("StopDeployment", deploymentId=deployment_id))["status"] == "Succeeded"
        aws.now += 0.5
        info = await aws.info(deployment_id)
        assert info["status"] == "Stopped"
        assert info["errorInformation"]["code"] == "MANUAL_STOP"
        assert await aws.code("StopDeployment", deploymentId=deployment_id) == "DeploymentAlreadyCompletedException"
        assert (await aws.group())["lastAttemptedDeployment"]["status"] == "Stopped"


async def test_stop_before_it_began() -> None:
    with service() as aws:
        deployment_id = await aws.deploy()
        assert await aws.code("ListDeploymentTargets", deploymentId=deployment_id) == "DeploymentNotStartedException"
        assert (await aws.call("StopDeployment", deploymentId=deployment_id))["status"] == "Succeeded"
        assert (await aws.info(deployment_id))["status"] == "Stopped"


async def test_automatic_rollback_of_a_failure() -> None:
    faults = Faults(failures=(Failure(target="app/g", revision="bad"),))
    with service(faults, auto_rollback=("DEPLOYMENT_FAILURE",)) as aws:
        good = await aws.deploy(fileExistsBehavior="OVERWRITE")
        aws.now += 100
        bad = await aws.deploy(revision=BAD)
        aws.now += 30
        original = await aws.info(bad)
        assert original["status"] == "Failed"
        back = original["rollbackInfo"]["rollbackDeploymentId"]
        rollback = await aws.info(back)
        assert rollback["creator"] == "codeDeployRollback"
        assert rollback["rollbackInfo"]["rollbackTriggeringDeploymentId"] == bad
        assert rollback["revision"] == GITHUB
        assert rollback["fileExistsBehavior"] == "OVERWRITE"
        assert rollback["createTime"] == original["completeTime"]
        assert rollback["status"] == "InProgress"
        assert await aws.code(
            "CreateDeployment", applicationName="app", deploymentGroupName="g", revision=GITHUB
        ) == "DeploymentLimitExceededException"  # fmt: skip
        aws.now += 100
        assert (await aws.info(back))["status"] == "Succeeded"
        assert (await aws.group())["lastSuccessfulDeployment"]["deploymentId"] == back
        listed = await aws.call("ListDeployments", applicationName="app", deploymentGroupName="g")
        assert listed["deployments"] == [back, bad, good]


async def test_nobody_has_to_look_for_a_rollback_to_happen() -> None:
    """The rollback is there, and over, even when the first look comes long after it."""
    faults = Faults(failures=(Failure(target="app/g", revision="bad"),))
    with service(faults, auto_rollback=("DEPLOYMENT_FAILURE",)) as aws:
        await aws.deploy()
        aws.now += 100
        await aws.deploy(revision=BAD)
        aws.now += 10_000
        assert len((await aws.call("ListDeployments"))["deployments"]) == 3
        assert (await aws.group())["lastAttemptedDeployment"]["status"] == "Succeeded"


async def test_a_rollback_outlives_its_deployment_configuration() -> None:
    faults = Faults(failures=(Failure(target="app/g", revision="bad"),))
    with service(faults, auto_rollback=("DEPLOYMENT_FAILURE",)) as aws:
        await aws.deploy()
        aws.now += 100
        bad = await aws.deploy(revision=BAD, deploymentConfigName="All0")
        await aws.call("DeleteDeploymentConfig", deploymentConfigName="All0")
        aws.now += 100
        rollback = (await aws.info(bad))["rollbackInfo"]["rollbackDeploymentId"]
        assert (await aws.info(rollback))["deploymentConfigName"] == "All0"


async def test_no_rollback_without_a_success_or_of_a_rollback() -> None:
    with service(Faults(failures=(Failure(target="app/g", revision="bad"),)), time_scale=0,
                 auto_rollback=("DEPLOYMENT_FAILURE",)) as aws:  # fmt: skip
        assert "rollbackInfo" not in await aws.info(await aws.deploy(revision=BAD))
        await aws.deploy()
        overridden = await aws.deploy(revision=BAD, autoRollbackConfiguration={"enabled": False})
        assert "rollbackInfo" not in await aws.info(overridden)


async def test_rollback_on_request() -> None:
    with service() as aws:
        good = await aws.deploy()
        aws.now += 100
        stopped = await aws.deploy(revision=BAD)
        aws.now += 5
        await aws.call("StopDeployment", deploymentId=stopped, autoRollbackEnabled=True)
        aws.now += 1
        info = await aws.info(stopped)
        assert info["status"] == "Stopped"
        assert (await aws.info(info["rollbackInfo"]["rollbackDeploymentId"]))["previousRevision"] == GITHUB
        assert good != stopped


async def test_deployment_configurations() -> None:
    with service(deployment_config="CodeDeployDefault.AllAtOnce", instances=4) as aws:
        deployment_id = await aws.deploy()
        aws.now += 1.5
        assert (await aws.info(deployment_id))["deploymentOverview"]["InProgress"] == 4
        aws.now += 100
        half = await aws.deploy(deploymentConfigName="CodeDeployDefault.HalfAtATime")
        aws.now += 1.5
        assert (await aws.info(half))["deploymentOverview"]["InProgress"] == 2
        await aws.call(
            "CreateDeploymentConfig", deploymentConfigName="One", minimumHealthyHosts={"type": "HOST_COUNT", "value": 1}
        )
        aws.now += 100
        custom = await aws.deploy(deploymentConfigName="One")
        aws.now += 1.5
        assert (await aws.info(custom))["deploymentOverview"]["InProgress"] == 3
        shown = await aws.call("GetDeploymentConfig", deploymentConfigName="CodeDeployDefault.OneAtATime")
        assert shown["deploymentConfigInfo"]["minimumHealthyHosts"] == {"type": "MOST_CONCURRENCY", "value": 1}


async def test_impossible_health_and_no_instances() -> None:
    with service(deployment_config="All3", time_scale=0) as aws:
        info = await aws.info(await aws.deploy())
        assert (info["status"], info["errorInformation"]["code"]) == ("Failed", "HEALTH_CONSTRAINTS_INVALID")
    with service(instances=0) as aws:
        deployment_id = await aws.deploy()
        aws.now += 1
        info = await aws.info(deployment_id)
        assert (info["status"], info["errorInformation"]["code"]) == ("Failed", "NO_INSTANCES")


async def test_only_outdated_instances() -> None:
    faults = Faults(failures=(Failure(target="app/g", instances=(1,), deployments=1),))
    with service(faults, time_scale=0, deployment_config="CodeDeployDefault.AllAtOnce") as aws:
        await aws.deploy()
        again = await aws.info(await aws.deploy(updateOutdatedInstancesOnly=True))
        assert again["deploymentOverview"]["Succeeded"] == 1
        nothing = await aws.info(await aws.deploy(updateOutdatedInstancesOnly=True))
        assert nothing["status"] == "Succeeded"
        assert sum(nothing["deploymentOverview"].values()) == 0


async def test_unhealthy_instances_come_first() -> None:
    faults = Faults(failures=(Failure(target="app/g", instances=(2,), deployments=1),))
    with service(faults) as aws:
        await aws.deploy()
        aws.now += 1000
        deployment_id = await aws.deploy()
        aws.now += 2
        ids = (await aws.call("ListDeploymentTargets", deploymentId=deployment_id,
                              targetFilters={"TargetStatus": ["InProgress"]}))["targetIds"]  # fmt: skip
        targets = await aws.call("ListDeploymentTargets", deploymentId=deployment_id)
        assert ids == targets["targetIds"][:1]
        third = aws.codedeploy.region("000000000000", REGION).group("app", "g").instances[2]
        assert ids == [third]


async def test_a_bundle_that_is_not_there_fails_at_download() -> None:
    revision = {"revisionType": "S3", "s3Location": {"bucket": "bucket", "key": "missing.zip", "bundleType": "zip"}}
    with service(time_scale=0) as aws:
        deployment_id = await aws.deploy(revision=revision)
        assert (await aws.info(deployment_id))["status"] == "Failed"
        target = (await aws.call("ListDeploymentTargets", deploymentId=deployment_id))["targetIds"][0]
        answer = await aws.call("GetDeploymentTarget", deploymentId=deployment_id, targetId=target)
        event = answer["deploymentTarget"]["instanceTarget"]["lifecycleEvents"][1]
        assert (event["lifecycleEventName"], event["status"]) == ("DownloadBundle", "Failed")
        assert event["diagnostics"]["errorCode"] == "UnknownError"
        assert "s3://bucket/missing.zip" in event["diagnostics"]["message"]


async def test_listing_filters_and_pages() -> None:
    with service(time_scale=0, page_size=2) as aws:
        ids = []
        for _ in range(5):
            ids.append(await aws.deploy())
            aws.now += 10
        first = await aws.call("ListDeployments", applicationName="app", deploymentGroupName="g")
        assert first["deployments"] == ids[:2:-1]
        newer = await aws.deploy()  # doesn't shift the pages that follow
        second = await aws.call("ListDeployments", nextToken=first["nextToken"])
        third = await aws.call("ListDeployments", nextToken=second["nextToken"])
        assert second["deployments"] + third["deployments"] == ids[2::-1]
        assert "nextToken" not in third
        ranged = await aws.call("ListDeployments", createTimeRange={"start": 1_000_005, "end": 1_000_020})
        assert ranged["deployments"] == [ids[2], ids[1]]
        assert (await aws.call("ListDeployments", includeOnlyStatuses=["Failed"]))["deployments"] == []
        assert newer not in ids


async def test_batches_leave_out_what_is_not_there() -> None:
    with service() as aws:
        deployment_id = await aws.deploy()
        answer = await aws.call("BatchGetDeployments", deploymentIds=["d-MISSING00", deployment_id])
        assert [one["deploymentId"] for one in answer["deploymentsInfo"]] == [deployment_id]
        groups = await aws.call(
            "BatchGetDeploymentGroups", applicationName="app", deploymentGroupNames=["g", "missing"]
        )
        assert [one["deploymentGroupName"] for one in groups["deploymentGroupsInfo"]] == ["g"]
        assert "missing" in groups["errorMessage"]


async def test_an_update_and_a_rename_show() -> None:
    with service() as aws:
        deployment_id = await aws.deploy()
        assert (await aws.info(deployment_id))["deploymentGroupName"] == "g"
        await aws.call(
            "UpdateDeploymentGroup",
            applicationName="app",
            currentDeploymentGroupName="g",
            newDeploymentGroupName="renamed",
            deploymentConfigName="CodeDeployDefault.AllAtOnce",
        )
        group = await aws.group("renamed")
        assert group["deploymentConfigName"] == "CodeDeployDefault.AllAtOnce"
        assert group["ec2TagFilters"]
        assert (await aws.info(deployment_id))["deploymentGroupName"] == "renamed"
        revision = await aws.call("GetApplicationRevision", applicationName="app", revision=GITHUB)
        assert revision["revisionInfo"]["deploymentGroups"] == ["renamed"]
        assert await aws.code("GetDeploymentGroup", applicationName="app", deploymentGroupName="g") == (
            "DeploymentGroupDoesNotExistException"
        )


async def test_deleting_a_group_ends_its_deployment() -> None:
    with service() as aws:
        deployment_id = await aws.deploy()
        aws.now += 3
        for _ in range(2):  # the second time there is nothing to delete, which is no error
            await aws.call("DeleteDeploymentGroup", applicationName="app", deploymentGroupName="g")
        info = await aws.info(deployment_id)
        assert (info["status"], info["errorInformation"]["code"]) == ("Stopped", "DEPLOYMENT_GROUP_MISSING")
        await aws.call("DeleteApplication", applicationName="app")
        assert (await aws.call("ListApplications"))["applications"] == []


async def test_continue_is_for_blue_green() -> None:
    with service() as aws:
        deployment_id = await aws.deploy()
        assert await aws.code("ContinueDeployment", deploymentId=deployment_id) == (
            "UnsupportedActionForDeploymentTypeException"
        )


async def test_unknown_status_and_omitted_ids() -> None:
    with service(Faults(unknown_status=1.0)) as aws:
        assert (await aws.info(await aws.deploy()))["status"] == "Pondering"
    with service(Faults(omit=1.0)) as aws:
        deployment_id = await aws.deploy()
        assert (await aws.call("BatchGetDeployments", deploymentIds=[deployment_id]))["deploymentsInfo"] == []


async def test_load_balanced_groups_run_the_traffic_events_too() -> None:
    with service(time_scale=0) as aws:
        style = {"deploymentType": "IN_PLACE", "deploymentOption": "WITH_TRAFFIC_CONTROL"}
        await aws.call(
            "UpdateDeploymentGroup",
            applicationName="app",
            currentDeploymentGroupName="g",
            deploymentStyle=style,
            loadBalancerInfo={"targetGroupInfoList": [{"name": "web"}]},
        )
        deployment_id = await aws.deploy()
        target = (await aws.call("ListDeploymentTargets", deploymentId=deployment_id))["targetIds"][0]
        answer = await aws.call("GetDeploymentTarget", deploymentId=deployment_id, targetId=target)
        events = [one["lifecycleEventName"] for one in answer["deploymentTarget"]["instanceTarget"]["lifecycleEvents"]]
        assert (len(events), events[0], events[-1]) == (13, "BeforeBlockTraffic", "AfterAllowTraffic")
