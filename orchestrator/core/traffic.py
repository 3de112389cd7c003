"""Blue/green before its end: gates where it is ready, the word that shifts its traffic, dependents that may go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from orchestrator.core import gate_events as gev
from orchestrator.core.errors import CallError
from orchestrator.core.gating import Held
from orchestrator.core.model import Deployment, DeploymentStatus
from orchestrator.core.plan import Step
from orchestrator.core.recorder import Recorder
from orchestrator.core.region import Region
from orchestrator.core.timing import Timing

READY, SHIFTED = "ready", "traffic_shifted"


class Traffic:
    """Follows one deployment between its start and its end."""

    def __init__(
        self,
        recorder: Recorder,
        step: Step,
        *,
        pass_gates: Callable[[Step, str], Awaitable[Held]],
        let_go: Callable[[Step], None],
        timing: Timing,
    ) -> None:
        """`pass_gates` at a milestone; `let_go`: those that wait for the target may go on."""
        self._recorder = recorder
        self._step = step
        self._pass_gates = pass_gates
        self._let_go = let_go
        self._timing = timing
        self._reached = {READY: anyio.Event(), SHIFTED: anyio.Event()}

    def seen(self, deployment: Deployment) -> None:
        """What the poller has seen of it."""
        is_shifted = deployment.has_shifted and not deployment.status.is_final
        if is_shifted or deployment.status is DeploymentStatus.READY:
            self._reached[READY].set()
        if is_shifted:
            self._reached[SHIFTED].set()

    async def follow(self, deployment_id: str, region: Region) -> str | None:
        """Returns why the deployment has to be stopped; never returns otherwise, cancel it at the deployment's end."""
        controls = self._step.target.controls
        if controls.wait_for == READY:
            await self._reached[READY].wait()
            if (failed := await self._milestone(READY)) is not None:
                return failed
        if controls.on_ready == "continue":
            await self._reached[READY].wait()
            await self._shift(deployment_id, region)
        if controls.wait_for == SHIFTED:
            await self._reached[SHIFTED].wait()
            if (failed := await self._milestone(SHIFTED)) is not None:
                return failed
        await anyio.sleep_forever()
        return None  # never: mypy wants to be told

    async def _milestone(self, name: str) -> str | None:
        target = self._step.target.id
        if name in self._recorder.state.targets[target].milestones:  # in an earlier process
            return None
        held = await self._pass_gates(self._step, name)
        if held.outcome == "failed":
            return held.reason
        if held.outcome == "interrupted":
            await anyio.sleep_forever()  # it is being stopped
        self._recorder.record(gev.MilestoneReached(target=target, milestone=name))
        self._let_go(self._step)
        return None

    async def _shift(self, deployment_id: str, region: Region) -> None:
        """Asks until the deployment isn't waiting any more: what became of a lost answer, its status tells."""
        told: str | None = None
        while not self._reached[SHIFTED].is_set():
            refused = await self._ask(deployment_id, region)
            is_through = refused is None or not await self._waits(deployment_id, region)
            if is_through or refused != told:
                told = refused
                event = gev.TrafficContinued(
                    target=self._step.target.id, deployment_id=deployment_id, accepted=is_through, message=refused or ""
                )
                self._recorder.record(event)
            if is_through:
                return
            await anyio.sleep(self._timing.busy_pause)

    @staticmethod
    async def _ask(deployment_id: str, region: Region) -> str | None:
        """Why it may not have been done; None: it was."""
        try:
            await region.codedeploy.shift_traffic(deployment_id)
        except CallError as error:
            return str(error)
        return None

    @staticmethod
    async def _waits(deployment_id: str, region: Region) -> bool:
        """Whether it is still ready; where that can't be asked, it is asked to go on again."""
        try:
            return (await region.codedeploy.deployment(deployment_id)).status is DeploymentStatus.READY
        except CallError:
            return True
