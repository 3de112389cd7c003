"""A run as spans of OpenTelemetry: uploads and targets in it, and in these deployments, gates, bakes and rollbacks.

Names and attributes follow the semantic conventions where there are any
(https://opentelemetry.io/docs/specs/semconv/cicd/cicd-spans/ and .../registry/attributes/deployment/); what has none is
called `orchestrator.*`. Nothing of a log, a command or a setting goes into an attribute. Times are those of the events.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from orchestrator.core import bundle_events as bev
from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.model import Outcome, TargetState
from orchestrator.core.outcome import outcome_told
from orchestrator.core.state import RunState, TargetRun
from orchestrator.sinks.traceparent import Origin, traceparent_of
from orchestrator.wording.text import one_line

S = TargetState

Attributes = Mapping[str, str | int | float | bool]
Key = tuple[str, ...]
"""What a span is about; its first part says what kind of thing that is."""

_RESULTS: Mapping[str, str] = {
    Outcome.SUCCEEDED: "success",
    Outcome.FAILED: "failure",
    Outcome.ROLLED_BACK: "failure",
    Outcome.ROLLBACK_FAILED: "failure",
    Outcome.CANCELLED: "cancellation",
}
_TASK_RESULTS: Mapping[TargetState, str] = {
    S.SUCCEEDED: "success",
    S.UNCHANGED: "skip",
    S.SKIPPED: "skip",
    S.CANCELLED: "cancellation",
    S.FAILED: "failure",
    S.STOPPED: "failure",
    S.ROLLED_BACK: "failure",
    S.TIMED_OUT: "timeout",
    S.ERRORED: "error",
}
_BAD_RESULTS = frozenset({"failure", "timeout", "error"})
_LONGEST = 200
"""Characters of a reason."""
_MOST_INSTANCES = 10
"""Failed instances of a deployment that are told as events of its target's span."""


class RunSpans:
    """A `core.ports.Sink`. All spans are ended by `close`, however the process comes to its end."""

    def __init__(self, tracer: Tracer, origin: Origin) -> None:
        """`origin`: where the run's own span belongs."""
        self._tracer = tracer
        self._origin = origin
        self._root: Span | None = None
        self._open: dict[Key, Span] = {}
        self._began = self._last_ts = 0.0

    def begin(self, state: RunState) -> ev.TraceStarted:
        """The run's span, from this process' first event on, and spans of all that goes on already; once.

        Gives the event to record.
        """
        self._began = self._last_ts = state.last_ts or 0.0
        pipeline = Path(state.manifest).name
        root = self._root = self._tracer.start_span(
            f"RUN {pipeline}".strip(),
            context=self._origin.context,
            kind=SpanKind.SERVER,
            links=[Link(each) for each in self._origin.links],
            start_time=_ns(self._last_ts),
            attributes={
                "cicd.pipeline.name": pipeline,
                "cicd.pipeline.action.name": "RUN",
                "cicd.pipeline.run.id": state.run,
                "deployment.name": one_line(state.release),
                "deployment.environment.name": one_line(state.environment),
                "orchestrator.targets": len(state.targets),
                "orchestrator.rehearsal": state.rehearsal,
                "orchestrator.resumed": self._origin.is_resumed,
            },
        )
        for target in state.targets.values():
            if target.is_live:
                self._begin_deployment(target, self._last_ts)
        return ev.TraceStarted(traceparent=traceparent_of(root.get_span_context()))

    @property
    def context(self) -> SpanContext | None:
        """Of the run's span."""
        return None if self._root is None else self._root.get_span_context()

    def handle(self, record: ev.Record, state: RunState) -> None:
        if self._root is None:
            return
        self._last_ts = max(self._last_ts, record.ts)
        event = record.event
        if isinstance(event, ev.TargetEvent):
            self._of_target(event, state.targets[event.target], record.ts)
        else:
            self._of_run(event, self._root, state, record.ts)

    def close(self, state: RunState) -> None:
        """Ends what is open: where it goes on without us, that is how far we saw it."""
        if self._root is None:
            return
        for key in list(self._open):
            self._end(key, self._last_ts, left=True)
        outcome = outcome_told(state)
        self._root.set_attribute("orchestrator.outcome", str(outcome))
        if (result := _RESULTS.get(outcome)) is not None:
            self._root.set_attribute("cicd.pipeline.result", result)
            if result in _BAD_RESULTS:
                _fail(self._root, str(outcome), state.closed_reason)
        self._root.end(_ns(self._last_ts))
        self._root = None

    # --- events ------------------------------------------------------------------------------------------------------

    def _of_run(self, event: ev.Event, root: Span, state: RunState, ts: float) -> None:  # noqa: C901, PLR0912 - a table
        match event:
            case bev.UploadStarted():
                attributes = {"orchestrator.application": event.application, "cloud.region": event.region}
                self._begin(("upload", event.application, event.region), f"upload {event.application}", ts, attributes)
            case bev.BundleUploaded():
                self._describe_upload(event)
            case bev.RevisionPinned():
                self._end(("upload", event.application, event.region), ts)
            case gev.GateWaiting():
                kind = {"orchestrator.gate.kind": event.kind, "orchestrator.gate.phase": event.phase}
                key = _gate(event)
                self._begin(key, f"gate {event.gate}", ts, kind, within=self._of(event.target))
            case gev.GatePassed():
                self._end(_gate(event), ts)
            case gev.GateFailed():
                self._end(_gate(event), ts, error="gate_failed", reason=event.reason)
            case gev.HookStarted():
                key = _hook(event)
                self._begin(key, f"hook {event.when}", ts, {}, within=self._of(event.target))
            case gev.HookFinished():
                self._end(_hook(event), ts, error=None if event.ok else "hook_failed")
            case ev.ReleaseRollbackStarted():
                self._begin(("rollback",), "roll back", ts, {"orchestrator.rollback.targets": len(event.targets)})
            case ev.ReleaseRollbackFinished():
                is_back = outcome_told(state) is not Outcome.ROLLBACK_FAILED and not event.resumable
                self._end(("rollback",), ts, error=None if is_back else "rollback_failed")
            case ev.ApiThrottled():
                root.add_event("throttled", {"rpc.method": event.operation, "cloud.region": event.region}, _ns(ts))
            case ev.CancelRequested() | ev.FailureLimitReached() | ev.FreezeBegan() | ev.RunDetached():
                root.add_event(ev.event_type(type(event)), None, _ns(ts))
            case _:
                pass

    def _of_target(self, event: ev.TargetEvent, target: TargetRun, ts: float) -> None:  # noqa: C901 - a table
        deployment = ("deployment", target.id)
        match event:
            case ev.TargetReady():
                self._begin_target(target, ts - max(0.0, event.waited))
            case ev.DeploymentIntended():
                self._begin_deployment(target, ts)
            case ev.DeploymentStarted():
                span = self._open.get(deployment) or self._begin_deployment(target, ts)
                span.set_attribute("deployment.id", event.deployment_id)
            case ev.DeploymentRefused():
                self._end(deployment, ts, error=event.code, reason=event.message)
            case ev.DeploymentEnded():
                self._end_deployment(deployment, event, ts)
            case ev.DeploymentDiagnosed():
                self._name_failed_instances(event, self._begin_target(target, ts), ts)
            case ev.TargetBlocked() | ev.TargetRetried() | ev.StopRequested():
                about = {"orchestrator.reason": one_line(event.reason)[:_LONGEST]}
                self._begin_target(target, ts).add_event(ev.event_type(type(event)), about, _ns(ts))
            case ev.RollbackStarted():
                about = {"deployment.id": event.rollback_deployment_id, "orchestrator.target": target.id}
                within = self._open.get(("target", target.id)) or self._open.get(("rollback",))
                self._begin(("rollback", target.id), "rollback", ts, about, within=within)
            case ev.RollbackEnded():
                error = None if event.status == "Succeeded" else event.status.lower()
                self._end(("rollback", target.id), ts, error=error, reason=event.error_message)
            case gev.BakeStarted():
                self._begin(("bake", target.id), "bake", ts, {}, within=self._begin_target(target, ts))
            case ev.TargetFinished():
                self._end_target(event, target, ts)
            case _:
                pass

    def _describe_upload(self, event: bev.BundleUploaded) -> None:
        span = self._open.get(("upload", event.application, event.region))
        if span is not None:
            span.set_attribute("orchestrator.bundle.bytes", event.bytes)
            span.set_attribute("orchestrator.bundle.digest", event.digest)
            span.set_attribute("orchestrator.upload.skipped", event.skipped)

    @staticmethod
    def _name_failed_instances(event: ev.DeploymentDiagnosed, span: Span, ts: float) -> None:
        for instance in event.instances[:_MOST_INSTANCES]:
            about = {
                f"orchestrator.{name}": str(instance[name])
                for name in ("instance", "lifecycle_event", "error_code")
                if instance.get(name)
            }
            span.add_event("instance failed", about, _ns(ts))

    # --- spans -------------------------------------------------------------------------------------------------------

    def _begin_target(self, target: TargetRun, ts: float) -> Span:
        attributes = {
            "cicd.pipeline.task.name": target.id,
            "cicd.pipeline.task.type": "deploy",
            "orchestrator.application": target.application,
            "orchestrator.deployment_group": target.deployment_group,
            "cloud.provider": "aws",
            "cloud.region": target.region,
        }
        return self._begin(("target", target.id), f"deploy {target.id}", ts, attributes)

    def _end_target(self, event: ev.TargetFinished, target: TargetRun, ts: float) -> None:
        span = self._begin_target(target, ts)  # a target that was skipped has none yet
        span.set_attribute("orchestrator.state", str(event.state))
        result = _TASK_RESULTS.get(event.state, "error")
        span.set_attribute("cicd.pipeline.task.run.result", result)
        for kind in ("bake", "deployment"):
            self._end((kind, target.id), ts, left=not event.state.is_good)
        error = (target.error_code or str(event.state)) if result in _BAD_RESULTS else None
        self._end(("target", target.id), ts, error=error, reason=event.reason)

    def _begin_deployment(self, target: TargetRun, ts: float) -> Span:
        attributes: dict[str, str] = {
            "deployment.name": target.id,
            "cloud.provider": "aws",
            "cloud.region": target.region,
        }
        if target.deployment_id is not None:
            attributes["deployment.id"] = target.deployment_id
        within = self._begin_target(target, ts)
        return self._begin(("deployment", target.id), "deployment", ts, attributes, within=within)

    def _end_deployment(self, key: Key, event: ev.DeploymentEnded, ts: float) -> None:
        span, is_good = self._open.get(key), event.status == "Succeeded"
        if span is not None:
            span.set_attribute("deployment.status", "succeeded" if is_good else "failed")
            span.set_attribute("orchestrator.status", event.status)
        error = None if is_good else event.error_code or event.status
        self._end(key, ts, error=error, reason=event.error_message)

    def _begin(self, key: Key, name: str, ts: float, attributes: Attributes, *, within: Span | None = None) -> Span:
        """The span that is open already, if there is one. `within`: its parent; None: the run's."""
        span = self._open.get(key)
        if span is None:
            parent = within or self._root
            context = None if parent is None else set_span_in_context(parent)
            start = max(ts, self._began)  # what was before this process is no part of its span
            span = self._tracer.start_span(name, context, attributes=attributes, start_time=_ns(start))
            self._open[key] = span
        return span

    def _end(
        self, key: Key, ts: float, *, error: str | None = None, reason: str | None = None, left: bool = False
    ) -> None:
        """`error`: its class; None: it went well. `left`: nobody has seen its end."""
        span = self._open.pop(key, None)
        if span is None:
            return
        if left:
            span.set_attribute("orchestrator.left", value=True)
        if error is not None:
            _fail(span, error, reason)
        span.end(_ns(ts))

    def _of(self, target: str | None) -> Span | None:
        return None if target is None else self._open.get(("target", target))


def _gate(event: gev.GateEvent) -> Key:
    return ("gate", event.gate, event.target or "", event.phase)


def _hook(event: gev.HookEvent) -> Key:
    return ("hook", event.target or "", event.when, str(event.number))


def _fail(span: Span, error: str, reason: str | None) -> None:
    span.set_attribute("error.type", error)
    span.set_status(Status(StatusCode.ERROR, one_line(reason)[:_LONGEST] if reason else error))


def _ns(ts: float) -> int:
    """Nanoseconds of the epoch."""
    return int(ts * 1e9)
