"""Run state: a fold over the run's events. Every view, the result and the exit code read this and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core import bundle_events as bev
from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.controls import NO_CONTROLS, Controls, controls_from_dict
from orchestrator.core.errors import StateError
from orchestrator.core.freezing import moment
from orchestrator.core.gate_state import GateState
from orchestrator.core.model import Outcome, TargetState
from orchestrator.core.notifications import NotificationState
from orchestrator.core.target_run import TargetRun
from orchestrator.core.transitions import TRANSITIONS

__all__ = ["REOPENED", "TRANSITIONS", "RunState", "TargetRun", "fold"]

S = TargetState

REOPENED = frozenset({S.ERRORED, S.CANCELLED})
"""Ends that a resume changes."""


@dataclass(kw_only=True, slots=True)
class RunState:
    """The run, as far as its events tell."""

    run: str = ""
    release: str = ""
    environment: str = ""
    manifest: str = ""
    rehearsal: bool = False
    """In the embedded sandbox, which goes with its process."""
    function: str | None = None
    """The Lambda function that goes on with it; None: processes that people start."""
    targets: dict[str, TargetRun] = field(default_factory=dict)
    traceparent: str | None = None
    """Of the span of the process that took the run up last, where one was traced."""
    committed_at: float | None = None
    """When what is released was committed, as far as the run knows."""
    started_at: float | None = None
    ended_at: float | None = None
    outcome: Outcome = Outcome.RUNNING
    exit_code: int | None = None
    cancelled: ev.CancelRequested | None = None
    detached: ev.RunDetached | None = None
    frozen: ev.FreezeBegan | None = None
    """The freeze that keeps the run from starting anything."""
    closed_reason: str | None = None
    """Why nothing new starts any more; None: it does."""
    rollback: ev.ReleaseRollbackRequested | None = None
    rollback_run: str | None = None
    """The run that rolls this one back, once it has begun."""
    rollback_finished: ev.ReleaseRollbackFinished | None = None
    rollback_of: str | None = None
    """The run that this one rolls back."""
    gates: GateState = field(default_factory=GateState)
    """Gates, approvals and hooks."""
    notifications: NotificationState = field(default_factory=NotificationState)
    after: Controls = NO_CONTROLS
    """What the run itself has to pass once its targets have ended."""
    blocked: gev.RunBlocked | None = None
    """The process has gone, since all that was left waited for people."""
    throttles: int = 0
    budget_rates: dict[str, float] = field(default_factory=dict)
    """Calls a second, by region, as of the last throttle."""
    throttled_at: dict[str, float] = field(default_factory=dict)
    """Epoch seconds of the last throttle, by region."""
    limits: Mapping[str, Any] = field(default_factory=dict)
    """What may happen at once, as `run_started` says."""
    last_seq: int = 0
    last_ts: float | None = None

    def apply(self, record: ev.Record) -> None:
        """Folds one record in. Raises `StateError` when it can't follow what came before."""
        if record.seq != self.last_seq + 1:
            raise StateError(
                f"event {record.seq} follows event {self.last_seq}: the journal has a gap",
                hint="the journal was cut or written by two processes; keep the file and report it",
            )
        self.last_seq, self.last_ts = record.seq, record.ts
        self._fold(record.event, record)
        self.notifications.apply(record)

    @property
    def _now(self) -> float:
        """Of the record that is folded in."""
        return self.last_ts or 0.0

    def count(self) -> Counter[TargetState]:
        return Counter(target.state for target in self.targets.values())

    @property
    def why_closed(self) -> str | None:
        """Why nothing new starts, for people; None: it does."""
        if self.closed_reason is None and self.frozen is not None:
            return f"the freeze {self.frozen.window} lasts until {moment(self.frozen.until)}"
        return self.closed_reason

    @property
    def is_finished(self) -> bool:
        return self.outcome is not Outcome.RUNNING

    @property
    def is_over(self) -> bool:
        """Whether a resume would change nothing: a deployment's own end stays what it is, ours and the user's don't."""
        if not self.is_finished:
            return False
        if self.rollback is not None:
            return self.rollback_finished is None or not self.rollback_finished.resumable
        return not any(target.state in REOPENED for target in self.targets.values())

    @property
    def awaits_rollback(self) -> bool:
        """A rollback was asked for, and hasn't come to its end."""
        return self.rollback is not None and self.rollback_finished is None

    # --- one case for each event -------------------------------------------------------------------------------------

    def _fold(self, event: ev.Event, record: ev.Record) -> None:  # noqa: C901, PLR0912, PLR0915 - one case an event
        if isinstance(event, ev.TargetEvent):
            target = self.targets.get(event.target)
            if target is None:
                raise StateError(f"event {record.seq} is about {event.target}, which is no target of this run")
            _fold_target(target, event, record.ts)
            if isinstance(event, ev.TargetRetried):
                self.gates.forget(target.id)
            return
        self.gates.apply(event, record.ts)
        match event:
            case ev.RunStarted():
                self._start(event, record)
            case ev.RunResumed():
                self._resume(event.targets)
            case ev.DurationsExpected():
                for name, seconds in event.seconds.items():
                    if name in self.targets:
                        self.targets[name].expected = seconds
            case ev.TraceStarted():
                self.traceparent = event.traceparent
            case ev.CancelRequested():
                self.cancelled = event
                self.closed_reason = self.closed_reason or event.reason
            case ev.FailureLimitReached():
                self.closed_reason = self.closed_reason or event.reason
            case ev.ReleaseRollbackRequested():
                self._request_rollback(event)
            case ev.ReleaseRollbackStarted():
                self.rollback_run = event.rollback_run
            case ev.ReleaseRollbackFinished():
                self.rollback_finished = event
            case ev.FreezeBegan():
                self.frozen = event
            case ev.RunDetached():
                self.detached = event
                self.ended_at = record.ts
                self._move(self.targets, S.UPLOADING, S.PENDING)
            case gev.RunBlocked():
                self.blocked = event
                self.ended_at = record.ts
            case gev.GateEvent() | gev.HookEvent():
                self._fold_gate(event)
            case ev.RunFinished():
                self.outcome, self.exit_code, self.ended_at = event.outcome, event.exit_code, record.ts
            case ev.ApiThrottled():
                self.throttles += 1
                self.budget_rates[event.region], self.throttled_at[event.region] = event.rate, record.ts
            case bev.UploadStarted():
                self._move(event.targets, S.PENDING, S.UPLOADING)
            case bev.RevisionPinned():
                self._pin(event)
            case _:
                pass  # told for people and metrics; changes no state

    def _start(self, event: ev.RunStarted, record: ev.Record) -> None:
        self.run, self.release, self.environment = record.run, event.release, event.environment
        self.manifest, self.started_at, self.committed_at = event.manifest, record.ts, event.committed_at
        self.rehearsal = bool(event.options.get("sandbox"))
        self.function = event.options.get("function")
        self.rollback_of, self.limits = event.rollback_of, event.concurrency
        if any(data.get("action") == "deploy" for data in event.targets):
            self.after = controls_from_dict(event.controls)
        self.targets = {data["id"]: _target_run(data) for data in event.targets}
        for target in self.targets.values():
            target.become(S.PENDING, record.ts)

    def _fold_gate(self, event: gev.GateEvent | gev.HookEvent) -> None:
        """What a gate does to its target, or to the run: no more than it waits, or that nothing starts any more."""
        if event.target is None:
            if (
                isinstance(event, gev.GateFailed | gev.HookFinished)
                and (failed := self.gates.failed_at(None)) is not None
            ):
                self.closed_reason = self.closed_reason or failed
            return
        target = self.targets.get(event.target)
        if target is None or not isinstance(event, gev.GateEvent) or event.phase != "before":
            return
        if not self._hold_at_gates(target) and target.state is S.BLOCKED:
            target.become(S.PENDING, self._now)
            target.reason = None

    def _hold_at_gates(self, target: TargetRun) -> bool:
        """Whether a gate holds it before its start."""
        waiting = next((gate for gate in self.gates.open_at(target.id) if gate.phase == "before"), None)
        if waiting is not None and target.state in {S.PENDING, S.UPLOADING, S.BLOCKED}:
            target.become(S.BLOCKED, self._now)
            target.reason = f"gate {waiting.gate}"
        return waiting is not None

    def _request_rollback(self, event: ev.ReleaseRollbackRequested) -> None:
        """Also of a run that has ended long ago."""
        self._reopen()
        self.rollback, self.rollback_run, self.rollback_finished = event, None, None
        self.closed_reason = self.closed_reason or event.reason

    def _reopen(self) -> None:
        self.outcome, self.exit_code, self.ended_at = Outcome.RUNNING, None, None
        self.detached = self.blocked = self.frozen = None

    def _resume(self, part: Iterable[str] | None = None) -> None:
        if part is not None:
            self.detached = self.blocked = self.frozen = None
            self._bring_back(*REOPENED, S.SKIPPED, S.UPLOADING, S.BLOCKED, among=frozenset(part))
            return
        self._reopen()
        self.gates.running.clear()  # a hook without an end went with its process
        if self.rollback is not None:  # nothing is deployed any more; what was asked for last goes on
            self.rollback_finished = None
            if self.rollback_run is None:
                self._bring_back(S.ERRORED)
            return
        self.cancelled, self.closed_reason = None, self.gates.failed_at(None)
        self._bring_back(*REOPENED, S.SKIPPED, S.UPLOADING, S.BLOCKED)
        for target in self.targets.values():
            self._hold_at_gates(target)

    def _bring_back(self, *states: TargetState, among: Collection[str] | None = None) -> None:
        for target in self.targets.values():
            if target.state in states and (among is None or target.id in among):
                target.become(_state_to_resume(target), self._now)
                target.reason, target.blocked_by, target.ended_at = None, (), None

    def _move(self, ids: Iterable[str], old: TargetState, new: TargetState) -> None:
        for target in (self.targets[name] for name in ids):
            if target.state is old:
                target.become(new, self._now)

    def _pin(self, event: bev.RevisionPinned) -> None:
        for target in (self.targets[name] for name in event.targets):
            target.revision = event.revision
            target.digest = event.digest or target.digest
        self._move(event.targets, S.UPLOADING, S.PENDING)


def _state_to_resume(target: TargetRun) -> TargetState:
    if target.rollback_deployment_id is not None:
        return S.ROLLING_BACK
    if target.deployment_id is not None:
        return S.RUNNING
    return S.STARTING if target.intent is not None else S.PENDING


def _target_run(data: Mapping[str, Any]) -> TargetRun:
    return TargetRun(
        id=data["id"],
        application=data["application"],
        deployment_group=data["deployment_group"],
        needs=tuple(data.get("needs", ())),
        after=tuple(data.get("after", ())),
        region=data.get("location", {}).get("region", ""),
        location=" as ".join(part for part in data.get("location", {}).values() if part),
        pool=data.get("pool"),
        digest=data.get("digest"),
        wait_for=(data.get("controls") or {}).get("wait_for", "succeeded"),
    )


def _fold_target(target: TargetRun, event: ev.TargetEvent, ts: float) -> None:  # noqa: C901, PLR0912 - a table, too
    match event:
        case ev.TargetBlocked():
            _to(target, S.BLOCKED, ts)
            target.reason, target.busy_since = event.reason, target.busy_since or ts
        case ev.TargetReady():
            target.needs_met_at = ts - event.waited
        case ev.StopRequested():
            if event.deployment_id == target.deployment_id:
                target.stop_requested_at = target.stop_requested_at or ts
        case ev.DeploymentIntended():
            _to(target, S.STARTING, ts)
            target.intent, target.token, target.revision, target.reason = event, event.token, event.revision, None
            target.intended_at, target.started_at = ts, target.started_at or ts
        case ev.DeploymentRefused():
            target.intent = None
            if target.state is S.STARTING:
                target.become(S.PENDING, ts)
        case ev.DeploymentStarted():
            _to(target, S.RUNNING, ts)
            target.intent = None
            target.deployment_id, target.adopted, target.timeout = event.deployment_id, event.adopted, event.timeout
            target.status, target.deployment_started_at, target.deployment_ended = "Created", ts, False
            target.busy_since = target.retry_at = target.stop_requested_at = None
        case ev.DeploymentProgressed():
            target.status, target.overview = event.status, event.overview
        case ev.InstancesSeen():
            target.instances, target.instances_total = event.instances, event.total
        case ev.DeploymentEnded():
            target.status, target.deployment_ended = event.status, True
            target.error_code, target.error_message = event.error_code, event.error_message
        case ev.DeploymentDiagnosed():
            target.failures, target.failed_instances = event.instances, event.failed
        case ev.RollbackStarted():
            _to(target, S.ROLLING_BACK, ts)
            target.rollback_deployment_id, target.rollback_status = event.rollback_deployment_id, "Created"
            target.ended_at, target.rollback_started_at = None, ts
        case ev.RollbackEnded():
            target.rollback_status = event.status
        case ev.TargetRetried():
            _try_again(target, event, ts)
        case gev.BakeStarted():
            _to(target, S.BAKING, ts)
            target.bake_until, target.bake_alarms = ts + event.seconds, event.alarms
        case gev.MilestoneReached():
            target.milestones = (*target.milestones, event.milestone)
        case ev.TargetFinished():
            _to(target, event.state, ts)
            target.reason, target.blocked_by, target.ended_at = event.reason, event.blocked_by, ts
        case _:
            pass  # an event that a newer version knows more of


def _try_again(target: TargetRun, event: ev.TargetRetried, ts: float) -> None:
    """What was known of the attempt that has failed goes, but for its deployment's id."""
    _to(target, S.PENDING, ts)
    target.attempts = (*target.attempts, event.deployment_id)
    target.failed_before, target.retry_at = event.reason, ts + event.wait
    target.reason = f"another attempt in {event.wait:.0f} s: {event.reason}"
    target.deployment_id = target.token = target.status = target.deployment_started_at = None
    target.deployment_ended, target.overview = False, {}
    target.instances, target.instances_total = (), 0
    target.error_code = target.error_message = None
    target.failures, target.failed_instances = (), 0
    target.milestones, target.bake_until, target.bake_alarms = (), None, ()


def _to(target: TargetRun, state: TargetState, ts: float) -> None:
    if state is not target.state and state not in TRANSITIONS[target.state]:
        raise StateError(f"{target.id}: {target.state} can't become {state}")
    target.become(state, ts)


def fold(records: Iterable[ev.Record]) -> RunState:
    """The run as these records tell it, in their order. Raises `StateError` when they don't make a run."""
    state = RunState()
    for record in records:
        state.apply(record)
    return state
