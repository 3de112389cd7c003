"""Looks at the instances of deployments that take their time: which of them is where, for people who wonder.

A deployment that ends soon costs nothing here. Of the budget a tenth is taken, at the lowest priority, and one look is
two calls whatever the size of the fleet: CodeDeploy is asked only for the instances that aren't done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import anyio

from orchestrator.core import events as ev
from orchestrator.core.errors import CallError
from orchestrator.core.model import Location
from orchestrator.core.plan import Plan
from orchestrator.core.recorder import Recorder
from orchestrator.core.region import Region
from orchestrator.core.state import TargetRun
from orchestrator.core.timing import Timing

BEATS = 12
"""A deployment is looked at when so many poll intervals have passed since its start, or since the look before."""

SHARE = 0.1
"""The part of the budget that looks may take."""

CALLS = 2
"""A look's."""


def inspectors(recorder: Recorder, plan: Plan, regions: Mapping[Location, Region], timing: Timing) -> list[Inspector]:
    """One for each account and region that the plan deploys to."""
    targets: dict[Location, set[str]] = {}
    for step in plan.changes:
        targets.setdefault(step.target.location, set()).add(step.target.id)
    return [
        Inspector(recorder, regions[location], frozenset(names), poll_interval=timing.poll_interval)
        for location, names in targets.items()
    ]


class Inspector:
    """`run` of one for each account and region."""

    def __init__(self, recorder: Recorder, region: Region, targets: frozenset[str], *, poll_interval: float) -> None:
        """`targets`: the ids of those that are deployed there. `poll_interval`: seconds."""
        self._recorder = recorder
        self._region = region
        self._targets = targets
        self._interval = poll_interval
        self._looked: dict[str, float] = {}
        """When each running deployment was last looked at, or first seen; monotonic seconds."""

    async def run(self) -> None:
        """Never returns; cancel it."""
        while True:
            await anyio.sleep(max(self._interval, CALLS / (self._region.codedeploy.budget.rate * SHARE)))
            target = self._due(anyio.current_time())
            if target is not None:
                await self._look(target)

    def _due(self, now: float) -> TargetRun | None:
        """Whose turn it is: the one that nobody has looked at for longest."""
        running = {target.deployment_id: target for target in self._running()}
        self._looked = {name: self._looked.get(name, now) for name in running if name is not None}
        waited = [name for name, since in self._looked.items() if now - since >= BEATS * self._interval]
        longest = min(waited, key=lambda name: self._looked[name], default=None)
        if longest is None:
            return None
        self._looked[longest] = now
        return running[longest]

    def _running(self) -> list[TargetRun]:
        targets: Mapping[str, TargetRun] = self._recorder.state.targets
        known = (targets[name] for name in self._targets)
        return [target for target in known if target.deployment_id is not None and not target.deployment_ended]

    async def _look(self, target: TargetRun) -> None:
        deployment_id = target.deployment_id
        assert deployment_id is not None  # noqa: S101 - `_running` has only such
        try:
            found = await self._region.codedeploy.unfinished_instances(deployment_id)
        except CallError:
            return  # nothing depends on it, and the next look comes
        instances = tuple(asdict(each) for each in found)
        if target.deployment_id != deployment_id or target.deployment_ended or instances == target.instances:
            return
        total = sum(target.overview.values())
        self._recorder.record(
            ev.InstancesSeen(
                target=target.id,
                deployment_id=deployment_id,
                instances=instances,
                total=max(total, len(instances)),
            )
        )
