"""What one look of the poller's costs, from CodeDeploy's answer to the recorded events."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import anyio

from orchestrator.core.codedeploy import CodeDeploy
from orchestrator.core.events import DeploymentProgressed, DeploymentStarted, RunStarted
from orchestrator.core.limiter import Budget
from orchestrator.core.model import Deployment
from orchestrator.core.poller import Poller
from orchestrator.core.ports import Transport
from orchestrator.core.recorder import Recorder
from orchestrator.core.state import RunState
from orchestrator.store.nowhere import NoJournal

WITHOUT_LIMIT = 1e9
"""Calls a second."""


class Counted:
    """A transport that counts its calls, and tells when there were enough."""

    def __init__(self, transport: Transport, enough: int) -> None:
        self._transport = transport
        self._left = enough
        self.done = anyio.Event()

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = await self._transport.call(operation, parameters)
        self._left -= 1
        if self._left == 0:
            self.done.set()
        return answer


async def cpu_of_looks(transport: Transport, ids: Sequence[str], looks: int) -> float:
    """Milliseconds of CPU a look at all of these deployments, which fit into one call and don't end."""
    counted = Counted(transport, looks)
    budget = Budget(rate=WITHOUT_LIMIT, ceiling=WITHOUT_LIMIT)
    poller = Poller(CodeDeploy(counted, budget, random=Random(1)), interval=0.0)  # noqa: S311 - no secrets
    recorder = running(ids)

    def progressed(deployment: Deployment) -> None:
        recorder.record(
            DeploymentProgressed(
                target=f"{deployment.id}/fleet",
                deployment_id=deployment.id,
                status=deployment.raw_status,
                overview=deployment.overview,
            )
        )

    async with anyio.create_task_group() as tasks:
        for deployment_id in ids:
            tasks.start_soon(poller.wait, deployment_id, progressed)
        await anyio.lowlevel.checkpoint()
        began = time.process_time()
        tasks.start_soon(poller.run)
        await counted.done.wait()
        spent = time.process_time() - began
        tasks.cancel_scope.cancel()
    return spent / looks * 1000


def running(ids: Sequence[str]) -> Recorder:
    """Of a run in which these deployments have started."""
    recorder = Recorder(run="bench", state=RunState(), journal=NoJournal(), sinks=(), clock=time.time)
    targets = tuple(
        {"id": f"{deployment_id}/fleet", "application": deployment_id, "deployment_group": "fleet"}
        for deployment_id in ids
    )
    recorder.record(
        RunStarted(
            release="bench",
            environment="staging",
            manifest="release.yaml",
            manifest_digest="",
            targets=targets,
            policy={},
            concurrency={},
            version="0",
            host="localhost",
            pid=1,
        )
    )
    for target in targets:
        recorder.record(DeploymentStarted(target=target["id"], token="", deployment_id=target["application"]))
    return recorder
