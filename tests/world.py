"""A whole run against the scripted CodeDeploy, for unit and simulation tests."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from orchestrator.core.codedeploy import CodeDeploy, Patience
from orchestrator.core.controls import NO_CONTROLS, Controls, controls_to_dict
from orchestrator.core.engine import Engine
from orchestrator.core.events import (
    ApiThrottled,
    Event,
    Record,
    RunResumed,
    RunStarted,
    WarningRaised,
    record_from_dict,
)
from orchestrator.core.freezing import Calendar, NoFreezes
from orchestrator.core.limiter import Budget
from orchestrator.core.model import (
    BundleSource,
    Concurrency,
    Location,
    Policy,
    PromotedBundle,
    Revision,
    Target,
    TargetState,
)
from orchestrator.core.pausing import Pauses, must_reopen
from orchestrator.core.phases import Phases
from orchestrator.core.plan import Plan, Step, order, step_to_dict
from orchestrator.core.poller import Poller
from orchestrator.core.ports import Artifact, Artifacts, Transport
from orchestrator.core.recorder import Recorder
from orchestrator.core.region import Region
from orchestrator.core.rollback import ReleaseRollback
from orchestrator.core.runs import JournalContents
from orchestrator.core.stages import Outside
from orchestrator.core.state import RunState
from orchestrator.core.timing import Timing
from orchestrator.testing import EventLog, InstantArtifacts, MemoryJournal, ScriptedCodeDeploy, wall_clock
from orchestrator.testing_gates import nothing_outside

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
    before: Mapping[str, Revision] | None = None
    """What stood in each group; None: nothing is to go back."""
    children: dict[str, FoundJournal] = field(default_factory=dict)
    """The journals of the rollbacks, by their runs."""
    controls: Controls = NO_CONTROLS
    """The run's own gates and hooks."""
    outside: Outside = field(default_factory=nothing_outside)
    detach: bool = False
    pauses: Pauses | None = None
    """Only looks in; then `run` is one look."""
    rests_until: float | None = None
    """What the last look has said of the next, in epoch seconds."""
    durations: Mapping[str, float] = field(default_factory=dict)
    """Of earlier runs."""
    calendar: Calendar = field(default_factory=NoFreezes)
    """The freezes; rollbacks know none."""
    rate: float = 20.0
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    log: EventLog = field(default_factory=EventLog)
    state: RunState = field(default_factory=RunState)
    meanwhile: Callable[[Phases], Coroutine[Any, Any, None]] | None = None
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
        reopens = self.pauses is None or must_reopen(self.state, self.clock())
        if self.state.targets and reopens:
            recorder.record(RunResumed(version="0", host="h", pid=2))
        engine = self._phases(recorder)
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            if self.meanwhile is not None:
                tasks.start_soon(self.meanwhile, engine)
            await engine.run()
            tasks.cancel_scope.cancel()
        self.seconds = anyio.current_time() - began
        self.rests_until = engine.rests_until

    def _phases(self, recorder: Recorder) -> Phases:
        plan = self._plan()
        if not self.state.targets:
            recorder.record(_run_started(plan))
        engine = self._engine(plan, recorder, self.artifacts, self.policy, self.calendar)
        return Phases(recorder, engine, self._rollback(plan, recorder) if self.before is not None else None)

    def _engine(
        self, plan: Plan, recorder: Recorder, artifacts: Artifacts, policy: Policy, calendar: Calendar | None = None
    ) -> Engine:
        regions = {location: self._region(recorder, location) for location in {t.location for t in self.targets}}
        return Engine(
            plan,
            recorder=recorder,
            regions=regions,
            artifacts=artifacts,
            policy=policy,
            concurrency=self.concurrency,
            timing=self.timing,
            outside=self.outside,
            detach=self.detach,
            calendar=calendar,
            durations=self.durations,
            pauses=self.pauses,
        )

    def _rollback(self, plan: Plan, recorder: Recorder) -> ReleaseRollback:
        policy = Policy(on_failure="continue", if_active=self.policy.if_active)
        return ReleaseRollback(
            plan,
            recorder,
            new_run=lambda: f"{self.run_id}-back{len(self.children) + 1}",
            open_journal=self._open_child,
            start_event=lambda plan: _run_started(plan, rollback_of=self.run_id),
            engine=lambda plan, child: self._engine(plan, child, GivenArtifacts(), policy),
            looks_in=self.pauses is not None,
        )

    @asynccontextmanager
    async def _open_child(self, run: str) -> AsyncIterator[FoundJournal]:
        found = self.children[run].durable_records() if run in self.children else []
        self.children[run] = FoundJournal(found, is_dead=lambda: getattr(self.journal, "is_dead", False))
        yield self.children[run]

    def transport_to(self, location: Location) -> Transport:
        """The way to CodeDeploy there."""
        return self.transport or self.codedeploy

    def _region(self, recorder: Recorder, location: Location) -> Region:
        def throttled(operation: str, rate: float) -> None:
            recorder.record(ApiThrottled(service="codedeploy", operation=operation, region="eu-west-1", rate=rate))

        codedeploy = CodeDeploy(
            self.transport_to(location),
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
                current=(self.before or {}).get(each.id),
            )
            for each in order(self.targets)
        )
        return Plan(
            release="shop-1",
            environment="staging",
            manifest="r.yaml",
            manifest_digest="",
            steps=steps,
            controls=self.controls,
        )

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


class FoundJournal(MemoryJournal):
    """The journal of a rollback: dies with the process of the run that goes back."""

    def __init__(self, records: Sequence[Record], *, is_dead: Callable[[], bool]) -> None:
        super().__init__()
        self.records, self.durable = list(records), len(records)
        self.found = JournalContents(records=tuple(records))
        self._is_dead = is_dead

    def append(self, record: Record) -> None:
        if not self._is_dead():
            super().append(record)

    async def flush(self) -> None:
        if not self._is_dead():
            await super().flush()

    async def is_current(self) -> bool:
        return True

    def durable_records(self) -> list[Record]:
        """As another process reads them."""
        return [record_from_dict(json.loads(record.to_json())) for record in self.records[: self.durable]]


class GivenArtifacts:
    """For what is there already: a rollback makes no bundles."""

    async def prepare(self, targets: Sequence[Target]) -> Artifact:
        source = targets[0].source
        assert not isinstance(source, BundleSource | PromotedBundle)
        return Artifact(revision=source, digest=None)


def _run_started(plan: Plan, rollback_of: str | None = None) -> RunStarted:
    return RunStarted(
        rollback_of=rollback_of,
        release=plan.release,
        environment=plan.environment,
        manifest=plan.manifest,
        manifest_digest="",
        targets=tuple(step_to_dict(step) for step in plan.steps),
        controls=controls_to_dict(plan.controls),
        policy={},
        concurrency={},
        version="0",
        host="h",
        pid=1,
    )
