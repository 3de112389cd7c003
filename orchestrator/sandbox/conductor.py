"""Between the engine and agents that really deploy: hands out events when they are due, and reports how they ended.

Only a sandbox with agents has one: without them time passes by looking, and nothing has to be awake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import anyio

from orchestrator.sandbox.deployments import Deployment
from orchestrator.sandbox.engine import Job
from orchestrator.sandbox.lifecycle import FORGIVEN
from orchestrator.sandbox.ports import Agents, DeploymentSpec
from orchestrator.sandbox.region import Region


class Conductor:
    """Of all accounts and regions."""

    def __init__(self, regions: Callable[[], Iterable[Region]], agents: Agents, clock: Callable[[], float]) -> None:
        self._regions = regions
        self._agents = agents
        self._clock = clock
        self._woken = anyio.Event()

    def wake(self) -> None:
        """Something may be due earlier than it was."""
        self._woken.set()

    async def run(self) -> None:
        """Until it is cancelled, which ends all events that run."""
        async with anyio.create_task_group() as events:
            while True:
                self._woken = anyio.Event()
                now, due = self._clock(), float("inf")
                for region in self._regions():
                    region.settle_all(now)
                    for job in region.engine.take_jobs():
                        events.start_soon(self._carry_out, region, job)
                    due = min(due, region.next_due)
                with anyio.move_on_after(max(0.0, due - self._clock())):
                    await self._woken.wait()

    async def _carry_out(self, region: Region, job: Job) -> None:
        deployment, track = job.deployment, job.deployment.tracks[job.number]
        event = track.steps[job.at].name
        found = await self._agents.run_event(track.id, event, spec_of(deployment))
        is_forgiven = event in FORGIVEN and deployment.settings.get("ignoreApplicationStopFailures")
        outcome = None if found.error_code == "Success" or is_forgiven else found
        region.report(deployment, job.number, job.at, outcome, self._clock())
        self.wake()


def spec_of(deployment: Deployment) -> DeploymentSpec:
    group = deployment.group
    return DeploymentSpec(
        deployment_id=deployment.id,
        application=group.application,
        deployment_group=group.name,
        deployment_group_id=group.id,
        revision=deployment.revision,
        file_exists_behavior=deployment.settings["fileExistsBehavior"],
        creator=deployment.creator,
        deployment_type="BLUE_GREEN" if deployment.is_blue_green else "IN_PLACE",
        events=tuple(dict.fromkeys(step.name for track in deployment.tracks for step in track.steps)),
    )
