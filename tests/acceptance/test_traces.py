"""Traces of real runs at a real collector's door: OTLP over HTTP, decoded by OpenTelemetry's own protobufs."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from rig import Command, MakeRig, Rig, github, wait_until

from orchestrator.sandbox.options import Faults, Slow

CI = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Collector:
    """Takes spans at /v1/traces, and remembers them."""

    url: str = ""
    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    hangs: threading.Event = field(default_factory=threading.Event)
    """Set: it takes the request and never answers."""
    over: threading.Event = field(default_factory=threading.Event)

    def spans(self) -> list[Span]:
        found = [each for request in self.requests for of in request.resource_spans for each in of.scope_spans]
        return [span for scope in found for span in scope.spans]

    def names(self) -> set[str]:
        return {span.name for span in self.spans()}

    def services(self) -> list[str]:
        """In the order in which they came."""
        resources = [each.resource for request in self.requests for each in request.resource_spans]
        found = [each.value.string_value for of in resources for each in of.attributes if each.key == "service.name"]
        return list(dict.fromkeys(found))

    def named(self, name: str) -> Span:
        (found,) = [span for span in self.spans() if span.name == name]
        return found


@contextmanager
def collector() -> Iterator[Collector]:
    found = Collector()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            found.requests.append(ExportTraceServiceRequest.FromString(body))
            found.headers.append(self.headers.get("x-team", ""))
            if found.hangs.is_set():
                found.over.wait(60)
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        found.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield found
        found.over.set()
        server.shutdown()


def with_env(rig: Rig, **more: str) -> Command:
    return replace(rig.command, environment={**rig.command.environment, **more})


def test_a_run_and_its_resume_are_one_trace_of_the_ci_job(make_rig: MakeRig) -> None:
    with collector() as told:
        rig = make_rig(["web/g", "long/g"], faults=Faults(slow=(Slow(target="long/g", factor=6),)), time_scale=60)
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": told.url, "OTEL_EXPORTER_OTLP_HEADERS": "x-team=web"}
        run = with_env(rig, **env, OTEL_SERVICE_NAME="releases", OTEL_BSP_SCHEDULE_DELAY="100", TRACEPARENT=CI)
        run.write(github(["web", "long"]))
        with run.start("apply", "release.yaml") as process:
            wait_until(lambda: told.names() == {"deploy web/g", "deployment"}, "the first target's spans")
            process.kill()
            process.communicate()
        web = told.named("deploy web/g")  # a second time if it was killed before its end was on record
        ended = with_env(rig, **env)("resume")  # another job, which knows nothing of the first
        assert ended.code == 0, ended.out + ended.err
        assert {span.trace_id.hex() for span in told.spans()} == {CI[3:35]}
        root, long = told.named("RUN release.yaml"), told.named("deploy long/g")
        # The span of the process that was killed went with it; what was in it says which it was.
        assert [link.span_id for link in root.links] == [web.parent_span_id]
        assert long.parent_span_id == root.span_id
        assert root.parent_span_id == b""
        assert {attribute.key: attribute.value for attribute in root.attributes}["orchestrator.resumed"].bool_value
        assert set(told.headers) == {"web"}
        assert told.services() == ["releases", "orchestrator"]
        secrets = [run.environment[name] for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")]
        assert not any(secret in str(request) for request in told.requests for secret in secrets)


def test_a_collector_that_hangs_or_is_not_there_holds_no_release_up(make_rig: MakeRig) -> None:
    rig = make_rig(["app-0/g", "app-1/g"], time_scale=500)
    rig.command.write(github(["app-0", "app-1"]))
    with collector() as told:
        told.hangs.set()
        nowhere = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
        cases = {
            "traces: no answer within 3 s; the release goes on without these traces": {
                "OTEL_EXPORTER_OTLP_ENDPOINT": told.url
            },
            "traces: Failed to export": nowhere,
        }
        began = time.monotonic()
        started = [
            (with_env(rig, **env).start("apply", "release.yaml", "--select", f"app-{number}"), says)
            for number, (says, env) in enumerate(cases.items())
        ]
        for process, says in started:
            with process:
                _out, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
            assert says in err
            assert err.count("traces: ") == 1, err
            assert "Traceback" not in err
        assert time.monotonic() - began < 20
        assert len(told.requests) == 1


def test_a_missing_library_is_said_once_and_the_release_goes_on(make_rig: MakeRig) -> None:
    run = make_rig(["web/g"], time_scale=500).command
    run.write(github(["web"]))
    run.write("raise ModuleNotFoundError('not here', name='opentelemetry')\n", "without/opentelemetry/__init__.py")
    asked = {"OTEL_TRACES_EXPORTER": "otlp", "PYTHONPATH": str(run.folder / "without")}
    ended = run.shell("$ORCHESTRATOR apply release.yaml", **asked)
    assert ended.code == 0, ended.err
    assert ended.err.count("no module opentelemetry: install orchestrator[otel]") == 1
