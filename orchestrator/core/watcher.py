"""Watches one deployment to its end, stops it when told or when its time is up, and finds out why it failed."""

from __future__ import annotations

import dataclasses
from collections.abc import Set as AbstractSet
from typing import Literal

import anyio

from orchestrator.core import events as ev
from orchestrator.core.control import Control
from orchestrator.core.errors import CallError, RefusedError
from orchestrator.core.model import Deployment, DeploymentStatus, TargetState
from orchestrator.core.plan import Step
from orchestrator.core.recorder import Recorder
from orchestrator.core.region import Region
from orchestrator.core.schedule import Verdict
from orchestrator.core.timing import Timing
from orchestrator.core.traffic import Traffic

STOP_PAUSE = 15.0
"""Seconds between two tries to stop a deployment, as long as there is no answer."""

DIAGNOSIS_PATIENCE = 60.0
"""Seconds that the reason of a failure is asked for; the verdict doesn't depend on it."""


class Watcher:
    """What happens to a target between the start of its deployment and its verdict."""

    def __init__(self, recorder: Recorder, control: Control, *, timing: Timing) -> None:
        self._recorder = recorder
        self._control = control
        self._timing = timing
        self._stops: dict[str, Verdict] = {}
        """The verdict of a deployment that we stopped, by its id."""
        self._ended: set[str] = set()
        self.seen: set[str] = set()
        """The deployments that CodeDeploy has told us of in this process."""

    @property
    def stopping(self) -> AbstractSet[str]:
        """The deployments that have been told to stop, and haven't ended as far as we know."""
        return {each for each in self._stops if each not in self._ended}

    async def watch(
        self, step: Step, deployment_id: str, region: Region, *, remaining: float, traffic: Traffic | None = None
    ) -> Verdict:
        """`remaining`: seconds until the target's time is up. Raises `CallError` when it can't be watched any more.

        `traffic`: what is to be done before the deployment's end.
        """
        deployment = await self._until_ended(step, deployment_id, region, remaining, traffic)
        if deployment is None:
            return Verdict(
                TargetState.ERRORED,
                f"{self._stops[deployment_id].reason}, but {deployment_id} didn't stop within "
                f"{self._timing.stop_patience:.0f} s; it may still be running",
            )
        self._ended.add(deployment_id)
        self._record_end(step, deployment)
        if deployment.status is DeploymentStatus.SUCCEEDED:
            return Verdict(TargetState.SUCCEEDED)
        await self._diagnose(step, deployment, region)
        verdict = self._verdict_on(deployment)
        try:
            rollback = await self._find_rollback(step, deployment, region)
        except CallError as error:  # how ours ended stands all the same
            return Verdict(verdict.state, f"{verdict.reason}; whether CodeDeploy rolls it back is not known: {error}")
        return verdict if rollback is None else await self.follow_rollback(step, rollback, region, verdict)

    async def follow_rollback(self, step: Step, rollback_id: str, region: Region, verdict: Verdict) -> Verdict:
        """Watches the deployment by which CodeDeploy rolls ours back; `verdict` is the one on ours.

        It has as long as ours had, and is never stopped: half a rollback is worse than a slow one.
        """
        rollback: Deployment | None = None
        with anyio.move_on_after(step.timeout - self._since(step, "rollback_started_at")):
            rollback = await region.poller.wait(rollback_id, lambda seen: self.seen.add(seen.id))
        if rollback is None:
            why = f"the rollback {rollback_id} didn't end within {step.timeout:.0f} s and may still be running"
            return Verdict(TargetState.TIMED_OUT, f"{verdict.reason}; {why}")
        self._recorder.record(
            ev.RollbackEnded(
                target=step.target.id,
                rollback_deployment_id=rollback_id,
                status=rollback.raw_status,
                error_message=_why(rollback),
            )
        )
        if rollback.status is DeploymentStatus.SUCCEEDED:
            return Verdict(TargetState.ROLLED_BACK, f"{verdict.reason}; rolled back by CodeDeploy with {rollback_id}")
        return Verdict(TargetState.FAILED, f"{verdict.reason}; the rollback {rollback_id} ended as {_ending(rollback)}")

    # --- until it has ended ------------------------------------------------------------------------------------------

    async def _until_ended(
        self, step: Step, deployment_id: str, region: Region, remaining: float, traffic: Traffic | None
    ) -> Deployment | None:
        """None when it didn't end although it was told to stop."""
        ended: Deployment | None = None
        trouble: CallError | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._stop_when_due, step, deployment_id, region, remaining, tasks.cancel_scope)
            if traffic is not None:
                tasks.start_soon(self._stop_when_refused, step, deployment_id, region, traffic, tasks.cancel_scope)
            try:
                ended = await region.poller.wait(deployment_id, lambda seen: self._progressed(step, seen, traffic))
            except CallError as error:  # raised below, where no task group wraps it
                trouble = error
            tasks.cancel_scope.cancel()
        if trouble is not None:
            raise trouble
        return ended

    def _progressed(self, step: Step, deployment: Deployment, traffic: Traffic | None) -> None:
        self.seen.add(deployment.id)
        known = self._recorder.state.targets[step.target.id]
        if (known.status, known.overview) != (deployment.raw_status, deployment.overview):  # else as it was left
            self._recorder.record(
                ev.DeploymentProgressed(
                    target=step.target.id,
                    deployment_id=deployment.id,
                    status=deployment.raw_status,
                    overview=deployment.overview,
                )
            )
        if traffic is not None:
            traffic.seen(deployment)

    async def _stop_when_refused(
        self, step: Step, deployment_id: str, region: Region, traffic: Traffic, watching: anyio.CancelScope
    ) -> None:
        """A gate before the deployment's end says no: it must not go on to its traffic."""
        reason = await traffic.follow(deployment_id, region)
        if reason is not None and deployment_id not in self._stops:
            self._stops[deployment_id] = Verdict(TargetState.FAILED, reason)
            await self._insist(step, deployment_id, region, watching)

    async def _stop_when_due(
        self, step: Step, deployment_id: str, region: Region, remaining: float, watching: anyio.CancelScope
    ) -> None:
        with anyio.move_on_after(remaining):
            await self._control.stopping.wait()
        if deployment_id in self._stops:
            return
        if self._control.stopping.is_set():
            self._stops[deployment_id] = Verdict(TargetState.STOPPED, "stopped on request")
        else:
            self._stops[deployment_id] = Verdict(TargetState.TIMED_OUT, f"timed out after {step.timeout:.0f} s")
        await self._insist(step, deployment_id, region, watching)

    async def _insist(self, step: Step, deployment_id: str, region: Region, watching: anyio.CancelScope) -> None:
        """Until it has ended, which ends the watch, or patience has."""
        patience = self._timing.stop_patience - self._since(step, "stop_requested_at")
        with anyio.move_on_after(max(2 * STOP_PAUSE, patience)):
            while not await self._stop(step, deployment_id, region):  # noqa: ASYNC110 - nobody tells when to try again
                await anyio.sleep(STOP_PAUSE)
            await anyio.sleep_forever()
        watching.cancel()

    async def _stop(self, step: Step, deployment_id: str, region: Region) -> bool:
        """Whether there was an answer, be it a no: it may have ended already. The watch goes on in any case."""
        answered = True
        try:
            message, accepted = await region.codedeploy.stop(deployment_id), True
        except CallError as error:
            message, accepted, answered = str(error), False, isinstance(error, RefusedError)
        self._recorder.record(
            ev.StopRequested(
                target=step.target.id,
                deployment_id=deployment_id,
                reason=self._stops[deployment_id].reason or "",
                accepted=accepted,
                message=message,
            )
        )
        return answered

    def _since(self, step: Step, name: Literal["rollback_started_at", "stop_requested_at"]) -> float:
        """Seconds since then, whichever process saw it; 0 where it hasn't been."""
        moment: float | None = getattr(self._recorder.state.targets[step.target.id], name)
        return 0.0 if moment is None else self._recorder.clock() - moment

    # --- after its end -----------------------------------------------------------------------------------------------

    def _record_end(self, step: Step, deployment: Deployment) -> None:
        created, completed = deployment.created_at, deployment.completed_at
        self._recorder.record(
            ev.DeploymentEnded(
                target=step.target.id,
                deployment_id=deployment.id,
                status=deployment.raw_status,
                error_code=deployment.error_code,
                error_message=deployment.error_message,
                completed_at=completed,
                lag=None if completed is None else max(0.0, self._recorder.clock() - completed),
                seconds=None if completed is None or created is None else max(0.0, completed - created),
            )
        )

    def _verdict_on(self, deployment: Deployment) -> Verdict:
        stopped = self._stops.get(deployment.id)
        if deployment.status is DeploymentStatus.STOPPED:
            return stopped or Verdict(TargetState.STOPPED, _ending(deployment))
        return Verdict(TargetState.FAILED, _ending(deployment))

    async def _diagnose(self, step: Step, deployment: Deployment, region: Region) -> None:
        """Best effort: the verdict stands without it."""
        try:
            with anyio.fail_after(DIAGNOSIS_PATIENCE):
                failures, failed = await region.codedeploy.failures(deployment.id)
        except (CallError, TimeoutError) as error:
            if isinstance(error, RefusedError) and error.code.startswith("DeploymentNotStarted"):
                return  # it ended before any instance was tried
            message = f"why {deployment.id} failed could not be asked for: {error}"
            self._recorder.record(ev.WarningRaised(message=message, target=step.target.id))
            return
        if failures:
            instances = tuple(dataclasses.asdict(failure) for failure in failures)
            self._recorder.record(
                ev.DeploymentDiagnosed(
                    target=step.target.id, deployment_id=deployment.id, instances=instances, failed=failed
                )
            )

    async def _find_rollback(self, step: Step, deployment: Deployment, region: Region) -> str | None:
        """CodeDeploy names the rollback some time after the end, if there is to be one."""
        waited = 0.0
        while deployment.rollback_id is None and self._awaits_rollback(deployment):
            if waited >= self._timing.rollback_patience:
                return None
            await anyio.sleep(self._timing.poll_interval)
            waited += self._timing.poll_interval
            deployment = await region.codedeploy.deployment(deployment.id)
        if deployment.rollback_id is None:
            return None
        self._recorder.record(
            ev.RollbackStarted(
                target=step.target.id,
                deployment_id=deployment.id,
                rollback_deployment_id=deployment.rollback_id,
                message=deployment.rollback_message or "",
            )
        )
        await self._recorder.publish()  # a resume would find it again
        return deployment.rollback_id

    def _awaits_rollback(self, deployment: Deployment) -> bool:
        """A message without an id says that there was nothing to go back to."""
        if deployment.rollback_message:
            return False
        match deployment.status:
            case DeploymentStatus.FAILED:
                return "DEPLOYMENT_FAILURE" in deployment.auto_rollback
            case DeploymentStatus.STOPPED:
                event = "ON_ALARM" if deployment.error_code == "ALARM_ACTIVE" else "ON_REQUEST"
                return f"DEPLOYMENT_STOP_{event}" in deployment.auto_rollback
            case _:
                return False


def _why(deployment: Deployment) -> str | None:
    parts = [part for part in (deployment.error_code, deployment.error_message) if part]
    return ": ".join(parts) or None


def _ending(deployment: Deployment) -> str:
    why = _why(deployment)
    return f"{deployment.raw_status}: {why}" if why else deployment.raw_status
