"""`wait`: an engine run over deployments that somebody else has started."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TextIO

import anyio

from orchestrator.app.running import RunOptions, carry_out, open_recorder, start_event
from orchestrator.app.services import AWS_POLL_INTERVAL, SANDBOX_POLL_INTERVAL, is_near, open_services
from orchestrator.app.views import ViewOptions, open_views
from orchestrator.core.chunks import chunks
from orchestrator.core.codedeploy import BATCH, CodeDeploy
from orchestrator.core.control import OnCancel
from orchestrator.core.errors import UsageError
from orchestrator.core.events import DeploymentStarted
from orchestrator.core.model import Deployment, Location, Policy, S3Revision, Target
from orchestrator.core.plan import Plan, Step
from orchestrator.core.ports import Artifact
from orchestrator.core.state import RunState
from orchestrator.core.token import new_run_id
from orchestrator.store.nowhere import NoJournal

LOOKS = 3
"""How often an id is looked for: a deployment may be a moment old."""

FOR_EVER = float("inf")


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitOptions:
    ids: Sequence[str]
    region: str
    views: ViewOptions
    poll_interval: float | None = None
    """Seconds; None: what suits AWS or the sandbox."""
    on_cancel: OnCancel = OnCancel.DETACH
    leave_after: float | None = None
    """Seconds."""


class _NoArtifacts:
    """Nothing is made ready: everything has been started."""

    async def prepare(self, targets: Sequence[Target]) -> Artifact:
        raise NotImplementedError(f"{targets[0].id} has been started already")


async def wait(options: WaitOptions, env: Mapping[str, str], *, stdout: TextIO, stderr: TextIO) -> RunState:
    """Watches the deployments to their ends. Raises `UsageError` for ids that CodeDeploy doesn't know."""
    near = is_near(env)
    interval = options.poll_interval or (SANDBOX_POLL_INTERVAL if near else AWS_POLL_INTERVAL)
    location = Location(region=options.region)
    async with AsyncExitStack() as stack:
        views = await stack.enter_async_context(open_views(options.views, stdout=stdout, stderr=stderr))
        opening = open_services([location], near=near, observer=views.observer)
        services = await stack.enter_async_context(opening)
        deployments = await _find(services.impatient()[location], options.ids, options.region)
        plan = _plan(deployments, location)
        recorder = open_recorder(new_run_id(time.time()), NoJournal(), views)
        settings = RunOptions(
            poll_interval=interval,
            policy=Policy(on_failure="continue"),
            on_cancel=options.on_cancel,
            stops=options.on_cancel is OnCancel.STOP,
            leave_after=options.leave_after,
        )
        recorder.record(start_event(plan, settings))
        for step, deployment in zip(plan.steps, deployments, strict=True):
            recorder.record(
                DeploymentStarted(target=step.target.id, token="", deployment_id=deployment.id, adopted=True)
            )
        await carry_out(
            plan,
            recorder=recorder,
            services=services,
            artifacts=_NoArtifacts(),
            views=views,
            options=settings,
        )
        return recorder.state


async def _find(codedeploy: CodeDeploy, ids: Sequence[str], region: str) -> list[Deployment]:
    """In the order of the ids."""
    found: dict[str, Deployment] = {}
    for look in range(LOOKS):
        missing = [each for each in ids if each not in found]
        if not missing:
            break
        if look:
            await anyio.sleep(1.0)
        for batch in chunks(missing, BATCH):
            found |= await codedeploy.deployments(batch)
    missing = [each for each in ids if each not in found]
    if missing:
        raise UsageError(
            f"no such deployment in {region}: {', '.join(missing)}", hint="check the ids, the region and the account"
        )
    return [found[each] for each in ids]


def _plan(deployments: Sequence[Deployment], location: Location) -> Plan:
    """A target for each; two deployments of one group are told apart by their ids."""
    steps: dict[str, Step] = {}
    for deployment in deployments:
        name = f"{deployment.application_name}/{deployment.deployment_group_name}"
        target_id = f"{name}#{deployment.id}" if name in steps else name
        target = Target(
            id=target_id,
            application=deployment.application_name,
            deployment_group=deployment.deployment_group_name,
            application_name=deployment.application_name,
            deployment_group_name=deployment.deployment_group_name,
            location=location,
            source=deployment.revision or S3Revision(bucket="", key="", bundle_type="zip"),
        )
        steps[target_id] = Step(target=target, timeout=FOR_EVER)
    return Plan(
        release="wait", environment=location.region, manifest="", manifest_digest="", steps=tuple(steps.values())
    )
