"""Starts one deployment exactly once: intent, create, answer; and looks for it when the answer is lost."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import anyio

from orchestrator.core import events as ev
from orchestrator.core.codedeploy import group_is_busy, is_ours
from orchestrator.core.control import Control
from orchestrator.core.errors import AnswerLostError, CallError, CredentialsError, RefusedError
from orchestrator.core.model import Deployment, Policy, Revision, Target, TargetState, revision_to_api
from orchestrator.core.plan import Step
from orchestrator.core.recorder import Recorder
from orchestrator.core.region import Region
from orchestrator.core.schedule import Verdict
from orchestrator.core.timing import Timing

MAX_LOST = 10
"""After so many lost answers in a row for one target something else is wrong than the network."""

LOOKS_IN_GRACE = 5

NOT_SENT = "NotSent"
"""The code of a refusal of our own: the intent is closed, since its request never went out."""


@dataclass(frozen=True, eq=False, slots=True)
class Start:
    """All that one target's start is about."""

    step: Step
    revision: Revision
    token: str
    region: Region
    deadline: float
    """When to stop waiting for a busy group, on anyio's clock."""

    @property
    def target(self) -> Target:
        return self.step.target


class Starter:
    """Brings one target's deployment into being."""

    def __init__(self, recorder: Recorder, control: Control, *, policy: Policy, timing: Timing) -> None:
        self._recorder = recorder
        self._control = control
        self._policy = policy
        self._timing = timing
        self._under_way = 0
        self._idle = anyio.Event()
        self._idle.set()

    async def settled(self) -> None:
        """Returns when no CreateDeployment is without its answer."""
        await self._idle.wait()

    async def find(self, start: Start, since: float) -> str | None:
        """The deployment of an intent that an earlier process left without an answer, if there is one.

        `since`: epoch seconds of the intent. Raises `CallError` when CodeDeploy can't be asked; the intent stays open.
        """
        return await self._look_for(start, since)

    async def start(self, start: Start) -> str | Verdict | None:
        """Returns the deployment's id, the verdict where none came to be, or None when the run was closed first.

        Raises `CallError` when CodeDeploy can't be asked whether a lost answer means a deployment; the intent then
        stays open.
        """
        found: str | Verdict | None = None
        lost = 0
        while found is None:
            if self._control.is_closed:
                return None
            sent_at = self._recorder.clock()
            try:
                found = await self._attempt(start, number=lost + 1)
            except AnswerLostError as error:
                lost += 1
                found = await self._after_lost_answer(start, sent_at, error, lost)
            except RefusedError as error:
                if not group_is_busy(error):
                    return Verdict(TargetState.ERRORED, str(error))
                found = await self._make_way(start, error)
        return found

    # --- one attempt -------------------------------------------------------------------------------------------------

    async def _attempt(self, start: Start, number: int) -> str | None:
        """Intent, request and answer. None: the run was closed before anything was sent."""
        if self._under_way == 0:
            self._idle = anyio.Event()
        self._under_way += 1
        try:
            await self._intend(start, number)
            deployment_id = await start.region.codedeploy.create(
                start.target, start.revision, start.token, unless=self._control.closing
            )
        except (RefusedError, CredentialsError) as error:
            self._refused(start, error.code, error.message)
            raise
        finally:
            self._under_way -= 1
            if self._under_way == 0:
                self._idle.set()
        if deployment_id is None:
            self._refused(start, NOT_SENT, "nothing new starts any more; the request was not sent")
            return None
        await self._started(start, deployment_id, adopted=False)
        return deployment_id

    async def _intend(self, start: Start, attempt: int) -> None:
        step, target = start.step, start.target
        self._recorder.record(
            ev.DeploymentIntended(
                target=target.id,
                token=start.token,
                attempt=attempt,
                application_name=target.application_name,
                deployment_group_name=target.deployment_group_name,
                region=target.location.region,
                role_arn=target.location.role_arn,
                revision=revision_to_api(start.revision),
                previous_deployment_id=step.current_deployment_id,
                previous_revision=None if step.current is None else revision_to_api(step.current),
            )
        )
        await self._recorder.commit()

    async def _started(self, start: Start, deployment_id: str, *, adopted: bool) -> None:
        self._recorder.record(
            ev.DeploymentStarted(
                target=start.target.id,
                token=start.token,
                deployment_id=deployment_id,
                adopted=adopted,
                timeout=start.step.timeout,
            )
        )
        # Not `commit`: no step depends on it, for a lost answer is looked for anyway, and S3 gathers such writes.
        await self._recorder.publish()

    def _refused(self, start: Start, code: str, message: str) -> None:
        self._recorder.record(
            ev.DeploymentRefused(target=start.target.id, token=start.token, code=code, message=message)
        )

    # --- the answer was lost -----------------------------------------------------------------------------------------

    async def _after_lost_answer(self, start: Start, since: float, error: AnswerLostError, lost: int) -> str | None:
        self._recorder.record(
            ev.WarningRaised(message=f"{error}; looking for the deployment by its token", target=start.target.id)
        )
        found = await self._look_for(start, since)
        if found is None and lost >= MAX_LOST:
            raise AnswerLostError(
                f"{error.message}; {lost} attempts in a row had no answer",
                operation="CreateDeployment",
                hint="look at the deployment group before you go on",
            )
        return found

    async def _look_for(self, start: Start, since: float) -> str | None:
        """Looks until the grace is over: a request may be carried out well after its answer was lost."""
        pause = self._timing.resend_grace / LOOKS_IN_GRACE
        for look in range(LOOKS_IN_GRACE + 1):
            if look:
                await anyio.sleep(pause)
            found = await start.region.codedeploy.find_ours(start.target, start.revision, start.token, since)
            if found is not None:
                await self._started(start, found.id, adopted=True)
                return found.id
        return None

    # --- the group is busy -------------------------------------------------------------------------------------------

    async def _make_way(self, start: Start, error: RefusedError) -> str | Verdict | None:
        """The id if what keeps the group busy is ours, a verdict, or None to try again."""
        active = await start.region.codedeploy.active(start.target)
        for deployment in active:
            if is_ours(deployment, start.target, start.revision, start.token):
                await self._started(start, deployment.id, adopted=True)
                return deployment.id
        foreign = active[0] if active else None
        if foreign is not None and self._policy.if_active == "fail":
            return Verdict(TargetState.FAILED, f"the deployment group is busy with {_name(foreign)} (if_active: fail)")
        await self._wait_for(start, foreign, error)
        if anyio.current_time() >= start.deadline:
            what = str(error) if foreign is None else f"the deployment group stayed busy with {_name(foreign)}"
            return Verdict(TargetState.TIMED_OUT, what)
        return None

    async def _wait_for(self, start: Start, foreign: Deployment | None, error: RefusedError) -> None:
        reason = str(error) if foreign is None else f"the deployment group is busy with {_name(foreign)}"
        self._recorder.record(
            ev.TargetBlocked(
                target=start.target.id, reason=reason, deployment_id=foreign.id if foreign is not None else None
            )
        )
        if foreign is not None and self._policy.if_active == "stop":
            await self._stop_foreign(start, foreign)
        seconds = start.deadline - anyio.current_time()
        if foreign is None:
            seconds = min(seconds, self._timing.busy_pause)
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as tasks:
                if foreign is not None:
                    tasks.start_soon(self._until_ended, start.region, foreign.id, tasks.cancel_scope)
                await self._control.closing.wait()
                tasks.cancel_scope.cancel()

    async def _stop_foreign(self, start: Start, foreign: Deployment) -> None:
        try:
            message, accepted = await start.region.codedeploy.stop(foreign.id), True
        except RefusedError as error:  # it may have ended meanwhile
            message, accepted = str(error), False
        self._recorder.record(
            ev.StopRequested(
                target=start.target.id,
                deployment_id=foreign.id,
                reason="if_active: stop",
                accepted=accepted,
                message=message,
            )
        )

    @staticmethod
    async def _until_ended(region: Region, deployment_id: str, waiting: anyio.CancelScope) -> None:
        with suppress(CallError):  # the next attempt at our own deployment tells what is wrong
            await region.poller.wait(deployment_id, lambda _deployment: None)
        waiting.cancel()


def _name(deployment: Deployment) -> str:
    by = f" by {deployment.creator}" if deployment.creator else ""
    return f"{deployment.id} ({deployment.raw_status}{by})"
