"""Agents that really deploy: handed each event when it is due, and believed about how it went. In virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from played import BAD, IN_PLACE, Play, failing, percent, play, statuses

from orchestrator.sandbox.conductor import Conductor
from orchestrator.sandbox.deployments import Deployment
from orchestrator.sandbox.lifecycle import ALLOW, BLOCK, EVENTS, SUCCESS, Diagnostics
from orchestrator.sandbox.options import Fault, Slow
from orchestrator.sandbox.ports import DeploymentSpec

BROKEN = Diagnostics(error_code="ScriptFailed", script="s.sh", message="exit code 1", log_tail="no")


@dataclass
class Scripted:
    """Agents whose events take `seconds`, and fail where they are told to."""

    seconds: float = 2.0
    fail: dict[str, Diagnostics] = field(default_factory=dict)
    """Event -> how it fails."""
    began: list[tuple[float, str, str]] = field(default_factory=list)
    """When, instance, event."""
    specs: list[DeploymentSpec] = field(default_factory=list)
    cancelled: int = 0

    async def run_event(self, instance: str, event: str, spec: DeploymentSpec) -> Diagnostics:
        self.began.append((anyio.current_time(), instance, event))
        self.specs.append(spec)
        try:
            await anyio.sleep(self.seconds)
        except BaseException:
            self.cancelled += 1
            raise
        return self.fail.get(event, SUCCESS)

    async def stop(self, instance: str) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


@dataclass
class Stage:
    play: Play
    agents: Scripted
    conductor: Conductor

    async def ended(self, deployment: Deployment) -> Deployment:
        self.conductor.wake()
        while deployment.ended is None:  # noqa: ASYNC110 - time is virtual, and nobody is told
            await anyio.sleep(0.25)
        return deployment


Virtual = Callable[[Coroutine[Any, Any, None]], None]
Story = Callable[[Stage], Awaitable[None]]


async def told(story: Story, agents: Scripted, *faults: Fault, instances: int = 2, **settings: Any) -> None:
    """With a conductor beside it."""
    found = play(instances, percent(0), *faults, has_agents=True, **settings)
    found.now = anyio.current_time()
    stage = Stage(found, agents, Conductor(lambda: [found.region], agents, anyio.current_time))
    async with anyio.create_task_group() as group:
        group.start_soon(stage.conductor.run)
        await story(stage)
        group.cancel_scope.cancel()


def test_every_event_is_carried_out_in_order_and_instances_side_by_side(virtual: Virtual) -> None:
    agents = Scripted()

    async def story(stage: Stage) -> None:
        deployment = await stage.ended(stage.play.start())
        assert deployment.status == "Succeeded"
        for instance in stage.play.group.instances:
            assert [event for _, one, event in agents.began if one == instance] == list(EVENTS)
        assert deployment.started is not None
        assert deployment.ended == pytest.approx(deployment.started + 7 * 2)
        assert {spec.deployment_id for spec in agents.specs} == {deployment.id}
        assert agents.specs[0].events == EVENTS

    virtual(told(story, agents))


def test_traffic_is_the_services_own_work(virtual: Virtual) -> None:
    agents = Scripted()

    async def story(stage: Stage) -> None:
        await stage.ended(stage.play.start())
        scripts = [event for event in (*BLOCK, *EVENTS, *ALLOW) if event not in ("BlockTraffic", "AllowTraffic")]
        assert [event for _, _, event in agents.began] == scripts

    virtual(told(story, agents, instances=1, deploymentStyle={**IN_PLACE, "deploymentOption": "WITH_TRAFFIC_CONTROL"}))


def test_what_an_agent_says_is_what_is_shown(virtual: Virtual) -> None:
    agents = Scripted(fail={"Install": BROKEN})

    async def story(stage: Stage) -> None:
        deployment = await stage.ended(stage.play.start())
        assert deployment.status == "Failed"
        step = deployment.tracks[0].steps[3]
        assert (step.status, step.diagnostics) == ("Failed", BROKEN)

    virtual(told(story, agents))


@pytest.mark.parametrize(("ignores", "outcome"), [(True, "Succeeded"), (False, "Failed")])
def test_a_failure_of_application_stop_can_be_ignored(virtual: Virtual, ignores: bool, outcome: str) -> None:
    async def story(stage: Stage) -> None:
        deployment = await stage.ended(stage.play.start(ignoreApplicationStopFailures=ignores))
        assert deployment.status == outcome

    virtual(told(story, Scripted(fail={"ApplicationStop": BROKEN})))


def test_faults_come_before_agents_and_slowness_on_top(virtual: Virtual) -> None:
    agents = Scripted(seconds=0.5)

    async def story(stage: Stage) -> None:
        deployment = await stage.ended(stage.play.start())
        assert statuses(deployment) == ["Failed", "Succeeded"]
        failed = stage.play.group.instances[0]
        assert "AfterInstall" not in [event for _, one, event in agents.began if one == failed]
        download = deployment.tracks[1].steps[1]
        assert download.start is not None
        assert download.end == download.start + 9  # a second, nine times: the agent was done long before

    virtual(
        told(story, agents, failing(0, event="AfterInstall"), Slow(target="app/g", event="DownloadBundle", factor=9))
    )


def test_a_report_after_the_stop_changes_nothing(virtual: Virtual) -> None:
    async def story(stage: Stage) -> None:
        deployment = stage.play.start()
        stage.conductor.wake()
        await anyio.sleep(2)
        stage.play.region.stop(deployment, anyio.current_time(), rollback=None)
        await stage.ended(deployment)
        await anyio.sleep(100)
        assert deployment.info()["status"] == "Stopped"
        assert statuses(deployment) == ["Failed", "Failed"]

    virtual(told(story, Scripted(seconds=50)))


def test_its_end_ends_what_runs(virtual: Virtual) -> None:
    agents = Scripted(seconds=1000)

    async def story(stage: Stage) -> None:
        stage.play.start()
        stage.conductor.wake()
        await anyio.sleep(5)

    virtual(told(story, agents))
    assert agents.cancelled == len(agents.began) == 2


def test_what_ran_when_the_sandbox_ended_is_begun_again(virtual: Virtual) -> None:
    """Kept as plain data in the middle of an event, taken up by another region."""
    agents = Scripted(seconds=10)

    async def story(stage: Stage) -> None:
        old = stage.play.start(BAD)
        stage.conductor.wake()
        await anyio.sleep(15)
        before = len(agents.began)
        data = old.to_data()
        stage.play.group.deployments.clear()
        deployment = Deployment.from_data(data, stage.play.group)
        stage.play.group.deployments.append(deployment)
        stage.play.region.take_up(deployment, anyio.current_time())
        await stage.ended(deployment)
        assert deployment.status == "Succeeded"
        assert [event for _, _, event in agents.began[before : before + 2]] == ["DownloadBundle", "DownloadBundle"]

    virtual(told(story, agents))
