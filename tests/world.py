"""A whole run against the scripted CodeDeploy, for unit and simulation tests."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from orchestrator.core.codedeploy import CodeDeploy, Patience
from orchestrator.core.engine import Engine
from orchestrator.core.events import ApiThrottled, Event, RunResumed, RunStarted, WarningRaised
from orchestrator.core.limiter import Budget
from orchestrator.core.model import BundleSource, Concurrency, Location, Policy, Target, TargetState
from orchestrator.core.plan import Plan, Step, order, step_to_dict
from orchestrator.core.poller import Poller
from orchestrator.core.ports import Transport
from orchestrator.core.recorder import Recorder
from orchestrator.core.region import Region
from orchestrator.core.state import RunState
from orchestrator.core.timing import Timing
from orchestrator.testing import EventLog, InstantArtifacts, MemoryJournal, ScriptedCodeDeploy, wall_clock

HERE = Location(region="eu-west-1")


def target(name: str, *, needs: Sequence[str] = (), after: Sequence[str] = (), **more: Any) -> Target:
    """`application/group`; its AWS names are the same."""
    application, group = name.split("/")
    source = BundleSource(path=Path("/src") / application, bucket="releases", prefix="bundles")
    values: dict[str, Any] = {"location": HERE, "source": source} | more
    return Target(
        id=name,
        application=application,
        deployment_group=group,
        application_name=application,
        deployment_group_name=group,
        needs=tuple(needs),
        after=tuple(after),
        **values,
    )


@dataclass
class World:
    """What a test may script before the run and look at after it."""

    targets: Sequence[Target]
    codedeploy: ScriptedCodeDeploy = field(default_factory=ScriptedCodeDeploy)
    policy: Policy = field(default_factory=Policy)
    concurrency: Concurrency = field(default_factory=Concurrency)
    timing: Timing = field(default_factory=Timing)
    artifacts: InstantArtifacts = field(default_factory=InstantArtifacts)
    timeouts: Mapping[str, float] = field(default_factory=dict)
    unchanged: frozenset[str] = frozenset()
    rate: float = 20.0
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    log: EventLog = field(default_factory=EventLog)
    state: RunState = field(default_factory=RunState)
    meanwhile: Callable[[Engine], Coroutine[Any, Any, None]] | None = None
    """Runs beside the engine."""
    seconds: float = 0.0
    """How long the run took."""
    run_id: str = "r1"
    clock: Callable[[], float] = wall_clock
    transport: Transport | None = None
    """The way to CodeDeploy; None: the straight one."""

    async def run(self) -> None:
        """From the beginning; or, where the state holds a run already, on from there."""
        recorder = Recorder(run=self.run_id, state=self.state, journal=self.journal, sinks=[self.log], clock=self.clock)
        if self.state.targets:
            recorder.record(RunResumed(version="0", host="h", pid=2))
        engine = self._engine(recorder)
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            if self.meanwhile is not None:
                tasks.start_soon(self.meanwhile, engine)
            await engine.run()
            tasks.cancel_scope.cancel()
        self.seconds = anyio.current_time() - began

    def _engine(self, recorder: Recorder) -> Engine:
        plan = self._plan()
        if not self.state.targets:
            recorder.record(_run_started(plan))
        regions = {location: self._region(recorder) for location in {t.location for t in self.targets}}
        return Engine(
            plan,
            recorder=recorder,
            regions=regions,
            artifacts=self.artifacts,
            policy=self.policy,
            concurrency=self.concurrency,
            timing=self.timing,
        )

    def _region(self, recorder: Recorder) -> Region:
        def throttled(operation: str, rate: float) -> None:
            recorder.record(ApiThrottled(service="codedeploy", operation=operation, region="eu-west-1", rate=rate))

        codedeploy = CodeDeploy(
            self.transport or self.codedeploy,
            Budget(rate=self.rate),
            random=random.Random(7),  # noqa: S311 - jitter, not secrets
            patience=Patience(),
            on_throttle=throttled,
        )
        poller = Poller(
            codedeploy,
            interval=self.timing.poll_interval,
            warn=lambda message: recorder.record(WarningRaised(message=message)),
        )
        return Region(codedeploy, poller)

    def _plan(self) -> Plan:
        steps = tuple(
            Step(
                target=each,
                action="unchanged" if each.id in self.unchanged else "deploy",
                timeout=self.timeouts.get(each.id, 3600.0),
            )
            for each in order(self.targets)
        )
        return Plan(release="shop-1", environment="staging", manifest="r.yaml", manifest_digest="", steps=steps)

    # --- looking -----------------------------------------------------------------------------------------------------

    def states(self) -> dict[str, str]:
        return {name: str(run.state) for name, run in self.state.targets.items()}

    def state_of(self, name: str) -> TargetState:
        return self.state.targets[name].state

    def events(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.log.events if isinstance(event, kind)]

    def starts(self) -> list[str]:
        """Targets in the order in which their deployments were created."""
        made = sorted(self.codedeploy.made.values(), key=lambda each: each.created)
        return ["/".join(each.key) for each in made if each.creator == "user"]


def _run_started(plan: Plan) -> RunStarted:
    return RunStarted(
        release=plan.release,
        environment=plan.environment,
        manifest=plan.manifest,
        manifest_digest="",
        targets=tuple(step_to_dict(step) for step in plan.steps),
        policy={},
        concurrency={},
        version="0",
        host="h",
        pid=1,
    )
