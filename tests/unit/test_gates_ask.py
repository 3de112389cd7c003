"""How each kind of gate asks, against servers on loopback and real processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web

from orchestrator.core.controls import GateSpec, HookSpec
from orchestrator.core.errors import RefusedError
from orchestrator.core.measuring import Measurement
from orchestrator.core.model import Location
from orchestrator.gates import Asker, CommandRunner, RehearsedCommands, RehearsedGates
from orchestrator.gates.alarms import BATCH, judge
from orchestrator.gates.prometheus import read
from orchestrator.gates.web import Reply

HERE = Location(region="eu-west-1")
SECRET = "s3cr3t-token"

pytestmark = pytest.mark.anyio


def spec(kind: Any, **settings: Any) -> GateSpec:
    return GateSpec(name="g", kind=kind, settings=settings)


async def no_cloudwatch(*_: Any) -> Mapping[str, Any]:
    raise RefusedError("not authorized to perform cloudwatch:DescribeAlarms", code="AccessDenied")


def asker(folder: Path, environment: Mapping[str, str] | None = None, cloudwatch: Any = no_cloudwatch) -> Asker:
    env = dict(environment or {})
    commands = CommandRunner(folder, {"PATH": os.environ["PATH"], **env})
    return Asker(cloudwatch=cloudwatch, commands=commands, environment=env, home=HERE)


@asynccontextmanager
async def served(handler: Callable[[web.BaseRequest], Any]) -> AsyncIterator[str]:
    """On loopback; gives its URL."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


# --- http -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "verdict", "reason"),
    [
        ({}, "good", "HTTP 200 in"),
        ({"status": [204]}, "bad", "HTTP 200 instead of 204"),
        ({"status": [204, 200]}, "good", ""),
        ({"contains": "healthy"}, "good", ""),
        ({"contains": "sick"}, "bad", "'sick' isn't in the answer"),
        ({"max_latency": 30.0}, "good", ""),
        ({"max_latency": 0.000001}, "bad", "ms are allowed"),
        ({"path": "/moved", "status": [302]}, "good", ""),
        ({"path": "/moved"}, "bad", "HTTP 302 instead of 200"),
        ({"method": "POST", "contains": "POST"}, "good", ""),
    ],
)
async def test_http(tmp_path: Path, settings: dict[str, Any], verdict: str, reason: str) -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        if request.path == "/moved":
            return web.Response(status=302, headers={"Location": "/"})
        return web.Response(text=f"{request.method}: all healthy")

    async with served(answer) as url:
        given = {"method": "GET", "status": [200], **settings}
        found = await asker(tmp_path).measure(spec("http", url=url + given.pop("path", "/"), **given), None, {})
    assert found.verdict == verdict
    assert reason in found.reason


async def test_who_does_not_answer_is_unknown_and_no_url_is_told(tmp_path: Path) -> None:
    async def hang_up(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with served(hang_up) as url:
        gate = spec("http", url=f"{url}/?key={SECRET}", method="GET", status=[200])
        lost = await asker(tmp_path).measure(gate, None, {})
    refused = await asker(tmp_path).measure(gate, None, {})  # the server has gone
    nowhere = spec("http", url=f"http://nobody.invalid/?key={SECRET}", method="GET", status=[200])
    unknown = await asker(tmp_path).measure(nowhere, None, {})
    assert lost == Measurement("unknown", "the connection was lost")
    assert refused == Measurement("unknown", "connection refused")
    assert unknown == Measurement("unknown", "nobody.invalid can't be resolved")


async def test_a_server_that_never_answers_is_left_when_the_caller_is_cancelled(tmp_path: Path) -> None:
    async def never(_request: web.BaseRequest) -> web.Response:
        await anyio.sleep_forever()
        return web.Response()

    async with served(never) as url:
        with anyio.move_on_after(0.2) as limit:
            await asker(tmp_path).measure(spec("http", url=url, method="GET", status=[200]), None, {})
    assert limit.cancelled_caught


# --- prometheus -----------------------------------------------------------------------------------------------------


async def test_prometheus_is_asked_with_the_token_of_the_environment(tmp_path: Path) -> None:
    seen: list[tuple[str, str | None, str]] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        seen.append((request.path, request.headers.get("Authorization"), body.decode()))
        data = {"resultType": "vector", "result": [{"metric": {"job": "web"}, "value": [1, "0.25"]}]}
        return web.json_response({"status": "success", "data": data})

    environment = {"ORCHESTRATOR_PROMETHEUS_TOKEN": SECRET}
    async with served(answer) as url:
        gate = spec("prometheus", url=f"{url}/", query="errors < 1")
        found = await asker(tmp_path, environment).measure(gate, None, {})
        await asker(tmp_path).measure(gate, None, {})
    assert found == Measurement("good", "the result is 0.25 (job=web)")
    assert seen == [
        ("/api/v1/query", f"Bearer {SECRET}", "query=errors+%3C+1"),
        ("/api/v1/query", None, "query=errors+%3C+1"),
    ]


async def test_a_redirect_of_prometheus_gets_no_token(tmp_path: Path) -> None:
    seen: list[str | None] = []

    async def other(request: web.BaseRequest) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response()

    async with served(other) as elsewhere:

        async def redirect(_request: web.BaseRequest) -> web.Response:
            return web.Response(status=307, headers={"Location": elsewhere})

        async with served(redirect) as url:
            gate = spec("prometheus", url=url, query="a < 1")
            found = await asker(tmp_path, {"ORCHESTRATOR_PROMETHEUS_TOKEN": SECRET}).measure(gate, None, {})
    assert found.verdict == "unknown"
    assert seen == []


@pytest.mark.parametrize(
    ("status", "body", "verdict", "reason"),
    [
        (200, '{"status":"success","data":{"resultType":"vector","result":[]}}', "bad", "the result is empty"),
        (200, '{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}', "good", "the result is 1"),
        (200, '{"status":"success","data":{"resultType":"scalar","result":[1,"0"]}}', "bad", "the result is 0"),
        (200, '{"status":"success","data":{"resultType":"scalar","result":[1,"NaN"]}}', "bad", "the result is NaN"),
        (200, '{"status":"success","data":{"resultType":"string","result":[1,"a"]}}', "unknown", "gives a string"),
        (200, '{"status":"success","data":{"resultType":"vector"}}', "unknown", "can't be read"),
        (400, '{"status":"error","errorType":"bad_data","error":"parse error"}', "unknown", "bad_data: parse error"),
        (503, '{"status":"error","errorType":"timeout","error":"too long"}', "unknown", "timeout: too long"),
        (401, "Unauthorized", "unknown", "check ORCHESTRATOR_PROMETHEUS_TOKEN"),
        (200, "<html>", "unknown", "no answer of Prometheus's"),
        (200, "[]", "unknown", "no answer of Prometheus's"),
    ],
)
async def test_answers_of_prometheus(status: int, body: str, verdict: str, reason: str) -> None:
    found = read(Reply(status=status, body=body.encode(), seconds=0.1))
    assert found.verdict == verdict
    assert reason in found.reason


# --- alarms ---------------------------------------------------------------------------------------------------------


async def test_alarms_are_looked_up_where_the_target_is(tmp_path: Path) -> None:
    asked: list[tuple[Location, str, Any]] = []

    async def cloudwatch(location: Location, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        asked.append((location, operation, parameters["AlarmNames"]))
        return {"MetricAlarms": [{"AlarmName": name, "StateValue": "OK"} for name in parameters["AlarmNames"]]}

    there = Location(region="us-east-1", role_arn="arn:aws:iam::222222222222:role/deploy")
    names = [f"a{number}" for number in range(BATCH + 1)]
    gate = spec("cloudwatch_alarm", names=names)
    found = await asker(tmp_path, cloudwatch=cloudwatch).measure(gate, there, {})
    await asker(tmp_path, cloudwatch=cloudwatch).measure(spec("cloudwatch_alarm", names=["b"]), None, {})
    assert found.verdict == "good"
    assert [(location, len(batch)) for location, _, batch in asked] == [(there, BATCH), (there, 1), (HERE, 1)]


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ({"a": "OK", "b": "OK"}, "good"),
        ({"a": "OK", "b": "INSUFFICIENT_DATA"}, "good"),
        ({"a": "OK", "b": "ALARM"}, "bad"),
        ({"a": "OK"}, "unknown"),
        ({"a": "ALARM"}, "bad"),
    ],
)
async def test_states_of_alarms(found: dict[str, str], verdict: str) -> None:
    assert judge(["a", "b"], found).verdict == verdict


async def test_alarms_that_may_not_be_looked_at_are_unknown(tmp_path: Path) -> None:
    found = await asker(tmp_path).measure(spec("cloudwatch_alarm", names=["a"]), HERE, {})
    assert found.verdict == "unknown"
    assert "cloudwatch:DescribeAlarms" in found.reason


# --- commands -------------------------------------------------------------------------------------------------------


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


@pytest.mark.parametrize(
    ("code", "verdict", "reason"),
    [
        ("print('fine')", "good", "exited with 0: fine"),
        (
            "import sys; print(1, flush=True); print('no', file=sys.stderr); sys.exit(3)",
            "bad",
            "exited with 3: no",
        ),
        ("import os; os.kill(os.getpid(), 9)", "unknown", "was ended by SIGKILL"),
    ],
)
async def test_a_command_is_good_bad_or_unknown(tmp_path: Path, code: str, verdict: str, reason: str) -> None:
    assert await asker(tmp_path).measure(spec("command", command=python(code)), None, {}) == Measurement(
        verdict,  # type: ignore[arg-type]  # one of the three words
        reason,
    )


async def test_a_command_that_is_not_there_was_not_asked(tmp_path: Path) -> None:
    found = await asker(tmp_path).measure(spec("command", command=["./nothing.sh"]), None, {})
    assert found.verdict == "unknown"
    assert "couldn't be started: No such file or directory" in found.reason


async def test_a_hook_gets_its_facts_the_folder_and_an_empty_stdin(tmp_path: Path) -> None:
    code = "import os, sys; print(os.environ['ORCHESTRATOR_TARGET'], os.getcwd(), repr(sys.stdin.read()))"
    runner = CommandRunner(tmp_path, {"PATH": os.environ["PATH"]})
    ran = await runner.run(HookSpec(command=python(code)), {"ORCHESTRATOR_TARGET": "a/g"})
    assert (ran.ok, ran.exit_code, ran.reason) == (True, 0, "exited with 0")
    assert ran.output == f"a/g {tmp_path} ''\n"


async def test_only_the_end_of_a_long_output_is_kept(tmp_path: Path) -> None:
    runner = CommandRunner(tmp_path, {"PATH": os.environ["PATH"]})
    ran = await runner.run(HookSpec(command=python("print('x' * 100_000); print('the end')")), {})
    assert ran.output.startswith("…xxx")
    assert ran.output.endswith("the end\n")
    assert len(ran.output) < 5000


async def test_no_secret_that_a_hook_prints_is_kept(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "DEPLOY_TOKEN": "correct-horse-battery"}
    runner = CommandRunner(tmp_path, environment)
    code = "import os; print('with', os.environ['DEPLOY_TOKEN']); print('password=hunter22')"
    ran = await runner.run(HookSpec(command=python(code)), {})
    assert ran.output == "with ***\npassword=***\n"
    told = await runner.run(HookSpec(command=python("import os; raise SystemExit(os.environ['DEPLOY_TOKEN'])")), {})
    assert told.reason == "exited with 1: ***"


PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("pids", "w").write(str(child.pid))
time.sleep(600)
"""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await anyio.sleep(0.01)


async def test_a_hook_whose_time_is_up_is_killed_with_its_children(tmp_path: Path) -> None:
    runner = CommandRunner(tmp_path, {"PATH": os.environ["PATH"]})
    ran = await runner.run(HookSpec(command=python(PARENT), timeout=1.0), {})
    assert (ran.ok, ran.exit_code) == (False, None)
    assert ran.reason == "didn't end within 1s, and was killed"
    child = int((tmp_path / "pids").read_text())
    await until(lambda: not is_alive(child))


async def test_a_hook_is_killed_with_its_children_on_cancel(tmp_path: Path) -> None:
    runner = CommandRunner(tmp_path, {"PATH": os.environ["PATH"]})
    pids = tmp_path / "pids"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runner.run, HookSpec(command=python(PARENT)), {})
        await until(lambda: pids.exists() and bool(pids.read_text()))
        tasks.cancel_scope.cancel()
    child = int(pids.read_text())
    await until(lambda: not is_alive(child))


async def test_a_command_that_leaves_a_child_behind_ends_all_the_same(tmp_path: Path) -> None:
    code = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid)"
    runner = CommandRunner(tmp_path, {"PATH": os.environ["PATH"]})
    began = time.monotonic()
    ran = await runner.run(HookSpec(command=python(code)), {})
    assert ran.ok
    assert time.monotonic() - began < 30
    os.kill(int(ran.output), signal.SIGKILL)


# --- rehearsals -----------------------------------------------------------------------------------------------------


async def test_a_rehearsal_touches_nothing_outside(tmp_path: Path) -> None:
    gates = RehearsedGates(asker(tmp_path))
    for kind in ("http", "prometheus", "command"):
        found = await gates.measure(spec(kind), None, {})
        assert found == Measurement("good", "rehearsal: not asked, taken as good")
    assert (await gates.measure(spec("cloudwatch_alarm", names=["a"]), HERE, {})).verdict == "unknown"
    ran = await RehearsedCommands().run(HookSpec(command=("touch", str(tmp_path / "x"))), {})
    assert ran.ok
    assert "rehearsal" in ran.reason
    assert not os.path.exists(tmp_path / "x")  # noqa: ASYNC240, PTH110 - a look, on a local disk
