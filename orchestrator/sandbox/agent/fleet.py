"""The agents of a fleet: an instance is made when it is first deployed to, below one folder for all."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from orchestrator.sandbox.agent.bubble import Bubble, Tools
from orchestrator.sandbox.agent.bundles import Bundles
from orchestrator.sandbox.agent.faults import ScriptFailure
from orchestrator.sandbox.agent.hooks import ScriptChecker
from orchestrator.sandbox.agent.instance import EventResult, Instance
from orchestrator.sandbox.agent.layout import DEPLOYMENTS_LOG
from orchestrator.sandbox.agent.limits import Limits
from orchestrator.sandbox.agent.runner import BubbleRunner
from orchestrator.sandbox.agent.skeleton import make_instance
from orchestrator.sandbox.lifecycle import SUCCESS, Diagnostics
from orchestrator.sandbox.ports import DeploymentSpec

_AT_ONCE = 32
"""Events that run at one time; each may have a worker thread, or three processes."""


@dataclass(kw_only=True)
class InstanceAgents:
    """Implements `ports.Agents`. `close` ends what runs on the instances; their files stay."""

    folder: Path
    """Gets a folder for each instance, with its `root` inside; nobody else may enter."""
    bundles: Bundles
    tools: Tools | None
    """None: scripts are only checked."""
    image: Path | None = None
    """A folder whose contents every new instance has."""
    limits: Limits = field(default_factory=Limits)
    _instances: dict[str, Instance] = field(default_factory=dict, init=False)
    _room: anyio.CapacityLimiter | None = field(default=None, init=False)

    async def run_event(self, instance: str, event: str, spec: DeploymentSpec) -> Diagnostics:
        if self._room is None:
            self._room = anyio.CapacityLimiter(_AT_ONCE)
        known = self.instance(instance)
        async with known.busy, self._room:
            return diagnostics(await known.run_event(event, spec))

    async def stop(self, instance: str) -> None:
        known = self._instances.get(instance)
        if known is not None and isinstance(known.runner, BubbleRunner):
            await known.runner.stop()

    async def close(self) -> None:
        for instance in tuple(self._instances):
            await self.stop(instance)

    def log(self, instance: str) -> str:
        """What the scripts on the instance have written, oldest first; empty where none has run."""
        known = self._instances.get(instance)
        if known is None and not (self.folder / instance).is_dir():
            return ""
        root = self.instance(instance).root
        return root.read(DEPLOYMENTS_LOG).decode(errors="replace") if root.exists(DEPLOYMENTS_LOG) else ""

    def instance(self, name: str) -> Instance:
        if name not in self._instances:
            self._instances[name] = self._make(name)
        return self._instances[name]

    def _make(self, name: str) -> Instance:
        root = make_instance(self.folder / name, name, self.image)
        if self.tools is None:
            runner: BubbleRunner | ScriptChecker = ScriptChecker(root, is_program_here)
        else:
            runner = BubbleRunner(Bubble(tools=self.tools, root=root, name=name, limits=self.limits))
        return Instance(
            root=root,
            runner=runner,
            limits=self.limits,
            bundles=self.bundles,
            strict_names=self.tools is not None,
            may_chown=os.getuid() == 0,
            knows=is_program_here,
        )


def is_program_here(path: str) -> bool:
    """Whether scripts of an instance would find it: they have this machine's programs."""
    return path.startswith(("/usr/", "/bin/", "/sbin/")) and Path(path).exists()


def diagnostics(result: EventResult) -> Diagnostics:
    """As the service shows it."""
    failure = result.failure
    if failure is None:
        return SUCCESS
    if isinstance(failure, ScriptFailure):
        code = "UnknownError" if failure.code == "OutputsLeftOpen" else failure.code
        return Diagnostics(error_code=code, script=failure.location, message=failure.message, log_tail=result.log_tail)
    return Diagnostics(error_code="UnknownError", script="", message=failure, log_tail="")
