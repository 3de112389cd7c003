"""Runs as spans: what is in what, when, how it ended; where a run's trace belongs; and who asks for traces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from feeds import Feed
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from orchestrator.core import bundle_events as bev
from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.errors import UsageError
from orchestrator.core.model import Outcome, TargetState
from orchestrator.core.state import RunState
from orchestrator.sinks.otel import asks_for_traces, check_protocol
from orchestrator.sinks.traceparent import origin_of
from orchestrator.sinks.tracing import Tracing

pytestmark = pytest.mark.anyio

CI = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER_CI = "00-11111111111111111111111111111111-2222222222222222-01"
CANARY = "api/canary"


@dataclass
class Traced:
    """A run that a test tells, and its spans."""

    feed: Feed
    tracing: Tracing
    exporter: InMemorySpanExporter

    async def spans(self) -> dict[str, ReadableSpan]:
        """Once the process has come to its end; by their names."""
        warnings: list[str] = []
        await self.tracing.finish(warnings.append, [])
        assert warnings == []
        found = self.exporter.get_finished_spans()
        assert len({span.name for span in found}) == len(found)
        return {span.name: span for span in found}


def traced(env: Mapping[str, str] | None = None, state: RunState | None = None) -> Traced:
    """`state`: of the run that this process resumes."""
    exporter = InMemorySpanExporter()
    tracing = Tracing(env or {}, processor=lambda: SimpleSpanProcessor(exporter))
    feed = Feed(tracing)
    if state is not None:
        feed.state, feed.now = state, (state.last_ts or 0.0) + 500
        feed.tell(ev.RunResumed(version="0", host="h", pid=2))
    feed.tell(tracing.begin(feed.state))
    return Traced(feed, tracing, exporter)


def inside(span: ReadableSpan, parent: ReadableSpan) -> bool:
    """Also in time."""
    context = parent.get_span_context()
    assert context is not None
    assert None not in (span.start_time, span.end_time, parent.start_time, parent.end_time)
    return (
        span.parent is not None
        and span.parent.span_id == context.span_id
        and trace_of(span) == context.trace_id
        and parent.start_time <= span.start_time <= span.end_time <= parent.end_time  # type: ignore[operator]
    )


def trace_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id


def seconds(span: ReadableSpan) -> float:
    assert span.end_time is not None
    assert span.start_time is not None
    return (span.end_time - span.start_time) / 1e9


def about(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def upload(feed: Feed) -> None:
    feed.tell(bev.UploadStarted(application="api", region="r", targets=(CANARY,)))
    uploaded = bev.BundleUploaded(
        application="api", region="r", bucket="b", key="k", digest="sha256:1", bytes=9, seconds=2
    )
    pinned = bev.RevisionPinned(application="api", region="r", targets=(CANARY,), revision={})
    feed.tell(uploaded, pinned, after=2)


async def test_a_run_its_targets_and_what_is_in_them() -> None:
    run = traced()
    feed = run.feed
    upload(feed)
    feed.tell(ev.TargetReady(target=CANARY, waited=1.5), after=2)
    feed.start(CANARY)
    feed.tell(ev.DeploymentEnded(target=CANARY, deployment_id="d-SECRET", status="Succeeded"), after=60)
    feed.tell(gev.BakeStarted(target=CANARY, seconds=30))
    feed.tell(gev.GateWaiting(gate="errors", target=CANARY, phase="after", kind="prometheus"))
    feed.tell(gev.GatePassed(gate="errors", target=CANARY, phase="after"), after=30)
    feed.tell(ev.TargetFinished(target=CANARY, state=TargetState.SUCCEEDED))
    feed.tell(ev.TargetFinished(target="api/fleet", state=TargetState.UNCHANGED))
    feed.tell(ev.RunFinished(outcome=Outcome.SUCCEEDED, exit_code=0))
    spans = await run.spans()
    assert set(spans) == {
        "RUN m", "upload api", "deploy api/canary", "deployment", "bake", "gate errors", "deploy api/fleet"
    }  # fmt: skip
    root, target = spans["RUN m"], spans["deploy api/canary"]
    assert root.parent is None
    assert root.kind is SpanKind.SERVER
    for name in ("upload api", "deploy api/canary", "deploy api/fleet"):
        assert inside(spans[name], root), name
    for name in ("deployment", "bake", "gate errors"):
        assert inside(spans[name], target), name
    took = {name: seconds(span) for name, span in spans.items()}
    assert took == {
        "RUN m": 94.0,
        "upload api": 2.0,
        "deploy api/canary": 91.5,  # with its wait in the queue
        "deployment": 60.0,
        "bake": 30.0,
        "gate errors": 30.0,
        "deploy api/fleet": 0.0,
    }
    assert all(span.status.status_code is StatusCode.UNSET for span in spans.values())
    assert about(root) == {
        "cicd.pipeline.name": "m",
        "cicd.pipeline.action.name": "RUN",
        "cicd.pipeline.run.id": "run-1",
        "cicd.pipeline.result": "success",
        "deployment.name": "shop",
        "deployment.environment.name": "prod",
        "orchestrator.outcome": "succeeded",
        "orchestrator.targets": 2,
        "orchestrator.rehearsal": False,
        "orchestrator.resumed": False,
    }
    assert about(target)["cicd.pipeline.task.run.result"] == "success"
    assert about(spans["deploy api/fleet"])["cicd.pipeline.task.run.result"] == "skip"
    assert about(spans["deployment"])["deployment.id"] == "d-SECRET"
    assert about(spans["deployment"])["deployment.status"] == "succeeded"
    assert about(spans["upload api"])["orchestrator.bundle.bytes"] == 9


async def test_a_failure_that_goes_back() -> None:
    run = traced()
    feed = run.feed
    feed.start(CANARY)
    failed = ev.DeploymentEnded(
        target=CANARY, deployment_id="d", status="Failed", error_code="HEALTH_CONSTRAINTS", error_message="too\nfew"
    )
    instance = {"instance": "i-1", "lifecycle_event": "AfterInstall", "error_code": "ScriptFailed", "log_tail": "pass"}
    diagnosed = ev.DeploymentDiagnosed(target=CANARY, deployment_id="d", instances=(instance,) * 12, failed=12)
    feed.tell(failed, diagnosed, after=10)
    feed.tell(ev.TargetFinished(target=CANARY, state=TargetState.FAILED, reason="Failed"))
    feed.tell(
        ev.ReleaseRollbackRequested(reason="policy"), ev.ReleaseRollbackStarted(rollback_run="r", targets=(CANARY,))
    )
    feed.tell(ev.RollbackStarted(target=CANARY, deployment_id="d", rollback_deployment_id="d-2", of_release=True))
    feed.tell(ev.RollbackEnded(target=CANARY, rollback_deployment_id="d-2", status="Succeeded"), after=20)
    spans_of_target = TargetState.ROLLED_BACK
    feed.tell(ev.TargetFinished(target=CANARY, state=spans_of_target), ev.ReleaseRollbackFinished(rollback_run="r"))
    feed.tell(ev.RunFinished(outcome=Outcome.ROLLED_BACK, exit_code=4))
    await run.tracing.finish(print, [])
    found = run.exporter.get_finished_spans()
    by_name = {span.name: span for span in reversed(found)}
    assert [span.name for span in found] == [
        "deployment", "deploy api/canary", "rollback", "deploy api/canary", "roll back", "RUN m"
    ]  # fmt: skip
    root, target, deployment = by_name["RUN m"], by_name["deploy api/canary"], by_name["deployment"]
    for span in (root, target, deployment):
        assert span.status.status_code is StatusCode.ERROR
    assert about(deployment)["error.type"] == "HEALTH_CONSTRAINTS"
    assert deployment.status.description == "too few"
    assert about(target)["error.type"] == "HEALTH_CONSTRAINTS"
    assert about(root)["error.type"] == "rolled_back"
    assert [event.name for event in target.events] == ["instance failed"] * 10
    assert dict(target.events[0].attributes or {}) == {
        "orchestrator.instance": "i-1",
        "orchestrator.lifecycle_event": "AfterInstall",
        "orchestrator.error_code": "ScriptFailed",
    }
    assert inside(by_name["rollback"], by_name["roll back"])
    assert by_name["rollback"].status.status_code is StatusCode.UNSET
    assert "pass" not in "".join(span.to_json() for span in found)


async def test_what_we_leave_running_is_ended_where_we_left_it() -> None:
    run = traced()
    run.feed.start(CANARY)
    run.feed.tell(ev.RunDetached(reason="--for", running=("d",)), after=30)
    spans = await run.spans()
    assert about(spans["deployment"])["orchestrator.left"] is True
    assert "cicd.pipeline.result" not in about(spans["RUN m"])
    assert seconds(spans["deployment"]) == 30.0
    assert [event.name for event in spans["RUN m"].events] == ["run_detached"]


async def test_gates_and_hooks_of_the_run_that_fail() -> None:
    run = traced()
    run.feed.tell(gev.HookStarted(target=None, when="before", number=0, command=("curl", "-u", "secret")))
    ended = gev.HookFinished(target=None, when="before", number=0, ok=False, reason="exit code 1", output="secret")
    run.feed.tell(ended, after=1)
    run.feed.tell(gev.GateWaiting(gate="cab", target=None, phase="before", kind="approval"))
    run.feed.tell(gev.GateFailed(gate="cab", target=None, phase="before", reason="rejected"), after=1)
    spans = await run.spans()
    assert about(spans["gate cab"])["error.type"] == "gate_failed"
    assert about(spans["hook before"])["error.type"] == "hook_failed"
    assert "secret" not in "".join(span.to_json() for span in spans.values())


# --- where it belongs ------------------------------------------------------------------------------------------------


async def test_a_run_is_part_of_the_trace_of_the_ci_job_that_started_it() -> None:
    run = traced({"TRACEPARENT": CI, "TRACESTATE": "vendor=1"})
    root = (await run.spans())["RUN m"]
    assert root.parent is not None
    assert f"{root.parent.trace_id:032x}-{root.parent.span_id:016x}" == CI[3:52]
    assert run.feed.state.traceparent is not None
    assert run.feed.state.traceparent[3:35] == CI[3:35]


async def test_without_a_ci_job_the_trace_is_the_runs_own_and_the_same_on_every_machine() -> None:
    traces = set()
    for _ in range(2):
        root = (await traced().spans())["RUN m"]
        assert root.parent is None
        traces.add(trace_of(root))
    assert len(traces) == 1
    assert traces != {origin_of("run-2", None, {}).trace_id}


@pytest.mark.parametrize("env", [{}, {"TRACEPARENT": CI}, {"TRACEPARENT": OTHER_CI}])
async def test_a_resumed_run_stays_in_its_trace_and_is_linked_to_the_process_before(env: dict[str, str]) -> None:
    first = traced({"TRACEPARENT": CI})
    first.feed.start(CANARY)  # and dies: nothing of it is ended
    former = first.feed.state.traceparent
    assert former is not None
    second = traced(env, state=first.feed.state)
    finished = ev.TargetFinished(target=CANARY, state=TargetState.SUCCEEDED)
    ended = ev.DeploymentEnded(target=CANARY, deployment_id="d-SECRET", status="Succeeded")
    second.feed.tell(ended, finished, ev.RunFinished(outcome=Outcome.SUCCEEDED, exit_code=0), after=60)
    spans = await second.spans()
    root = spans["RUN m"]
    assert f"{trace_of(root):032x}" == CI[3:35]
    links = [f"00-{link.context.trace_id:032x}-{link.context.span_id:016x}-01" for link in root.links]
    assert links == ([former, OTHER_CI] if env.get("TRACEPARENT") == OTHER_CI else [former])
    assert (root.parent is not None) is (env.get("TRACEPARENT") == CI)
    assert about(root)["orchestrator.resumed"] is True
    # What went on when the process took over has its span from there on.
    assert inside(spans["deployment"], spans["deploy api/canary"])
    assert seconds(spans["deployment"]) == 60.0
    assert about(spans["deployment"])["deployment.id"] == "d-SECRET"


@pytest.mark.parametrize("given", ["", "rubbish", "00-0-0-00", "ff-" + CI[3:]])
def test_what_is_no_traceparent_is_none(given: str) -> None:
    assert origin_of("run-1", given or None, {"TRACEPARENT": given}) == origin_of("run-1", None, {})


# --- who asks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "asked"),
    [
        ({}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "console, OTLP"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "True"}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
    ],
)
def test_traces_are_asked_for_by_the_standard_variables(env: dict[str, str], asked: bool) -> None:
    assert asks_for_traces(env) is asked


def test_another_protocol_than_ours_is_named() -> None:
    check_protocol({})
    check_protocol({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"})
    with pytest.raises(UsageError, match="no grpc here"):
        check_protocol({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})


async def test_the_resource_is_ours_unless_the_variables_say_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = (await traced().spans())["RUN m"].resource.attributes
    assert ours["service.name"] == "orchestrator"
    assert ours["service.version"]
    monkeypatch.setenv("OTEL_SERVICE_NAME", "releases")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=7,team=web")
    theirs = (await traced().spans())["RUN m"].resource.attributes
    assert (theirs["service.name"], theirs["service.version"], theirs["team"]) == ("releases", "7", "web")
