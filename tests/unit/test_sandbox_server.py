"""The server itself: start and end, keys, faults on the wire, and what it tells afterwards."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
import time
import urllib.parse
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import anyio
import pytest
from signed import Caller, Keys, root_keys

from orchestrator.sandbox.fleet import BucketSpec, ConfigSpec, FleetError, FleetSpec, GroupSpec
from orchestrator.sandbox.options import Failure, Faults, SandboxOptions, Service, Slow
from orchestrator.sandbox.server import Endpoint, Sandbox, export_lines

REGION = "eu-west-1"
FLEET = FleetSpec(
    groups=tuple(GroupSpec(application="app", deployment_group=name, region=REGION) for name in ("g", "h"))
)
GITHUB = {"revisionType": "GitHub", "gitHubLocation": {"repository": "acme/shop", "commitId": "abc"}}
CREATE = {"applicationName": "app", "deploymentGroupName": "g", "revision": GITHUB}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Client:
    """Calls the sandbox, by default with its root keys."""

    def __init__(self, endpoint: Endpoint, session: aiohttp.ClientSession) -> None:
        self.endpoint = endpoint
        self.session = session
        self.caller = Caller(session, endpoint.url, root_keys(endpoint), REGION)

    async def post(self, operation: str, body: Any = None, caller: Caller | None = None) -> tuple[int, Any]:
        reply = await (caller or self.caller).codedeploy(operation, body)
        assert re.fullmatch(r"[0-9a-f-]{36}", reply.headers["x-amzn-requestid"])
        return reply.status, reply.json

    async def code(self, operation: str, body: Any = None, caller: Caller | None = None) -> str:
        status, answer = await self.post(operation, body, caller)
        return "ok" if status == 200 else str(answer["__type"])

    async def sts(self, form: dict[str, str], caller: Caller | None = None) -> tuple[int, str]:
        body = urllib.parse.urlencode(form).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        reply = await (caller or self.caller).send("sts", "POST", "/", body, headers)
        return reply.status, reply.body.decode()

    async def assumed(self, role: str, **form: str) -> Caller:
        """The same client in the role of another account."""
        status, body = await self.sts({"Action": "AssumeRole", "RoleArn": role, "RoleSessionName": "me", **form})
        assert status == 200
        key, secret, token = (
            re.findall(f"<{name}>(.+?)</{name}>", body)[0]
            for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")
        )
        return replace(self.caller, keys=Keys(key, secret, token))


@asynccontextmanager
async def running(
    faults: Faults | None = None, *, clock: list[float] | None = None, **options: Any
) -> AsyncIterator[Client]:
    """`clock`: a list whose first item is the time."""
    sandbox = Sandbox(
        FLEET, SandboxOptions(faults=faults or Faults(), **options), clock=(lambda: clock[0]) if clock else None
    )
    async with sandbox.serve() as endpoint, aiohttp.ClientSession() as session:
        yield Client(endpoint, session)


def test_naming_a_sandbox_imports_nothing_heavy() -> None:
    program = (
        "import sys, orchestrator.sandbox.server as s; s.Sandbox(); "
        "sys.exit(bool({'aiohttp', 'botocore', 'asyncio'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.anyio
async def test_it_tells_where_it_is() -> None:
    async with running() as client:
        environment = client.endpoint.environment()
        assert environment["AWS_ENDPOINT_URL_CODEDEPLOY"] == client.endpoint.url
        assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == REGION
        assert f"export AWS_ENDPOINT_URL_S3={client.endpoint.url}\n" in export_lines(client.endpoint)
        assert client.endpoint.url.startswith("http://127.0.0.1:")


@pytest.mark.anyio
async def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"127\.0\.0\.1:{port}: the port is in use"):
            async with Sandbox(FLEET, SandboxOptions(port=port)).serve():
                pytest.fail("it must not start")


@pytest.mark.anyio
async def test_it_closes_while_connections_are_open() -> None:
    async with Sandbox(FLEET, SandboxOptions(faults=Faults(latency=60))).serve() as endpoint:
        host, _, port = endpoint.url.removeprefix("http://").partition(":")
        idle_reader, idle_writer = await asyncio.open_connection(host, int(port))
        busy_reader, busy_writer = await asyncio.open_connection(host, int(port))
        busy_writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: y\r\nContent-Length: 0\r\n\r\n")
        await busy_writer.drain()
        began = time.monotonic()
    assert time.monotonic() - began < 30
    assert await idle_reader.read() == b""
    assert await busy_reader.read() == b""
    for writer in (idle_writer, busy_writer):
        writer.close()
        await writer.wait_closed()


@pytest.mark.anyio
async def test_an_upload_that_is_cut_off_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    fleet = FleetSpec(buckets=(BucketSpec(name="bucket", region=REGION),))
    async with (
        Sandbox(fleet, SandboxOptions(storage_limit=3_000_000)).serve() as endpoint,
        aiohttp.ClientSession() as session,
    ):
        host, _, port = endpoint.url.removeprefix("http://").partition(":")
        caller = Caller(session, endpoint.url, root_keys(endpoint), REGION)
        unsigned = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD", "Host": f"{host}:{port}"}
        headers = caller.sign("s3", "PUT", "/bucket/k", b"", unsigned)
        head = "".join(["PUT /bucket/k HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in headers.items())])
        for _ in range(3):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(head.encode() + b"Content-Length: 2500000\r\n\r\n" + b"x" * 2_400_000)
            await writer.drain()
            writer.transport.abort()
        # The space that they took is free again, as soon as the server has seen them go.
        status = 0
        with anyio.fail_after(5):
            while status != 200:
                status = (await caller.s3("PUT", "/bucket/k", b"x" * 2_500_000)).status
    assert caplog.text == ""


@pytest.mark.anyio
async def test_odd_requests_are_refused_in_the_protocol() -> None:
    async with running() as client:
        assert await client.code("ListApplications", b"{nonsense") == "SerializationException"
        assert await client.code("ListApplications", b"[]") == "SerializationException"
        assert await client.code("ListApplications", b"") == "ok"
        assert await client.code("Nothing") == "UnknownOperationException"
        assert await client.code("ListApplications", b" " * 1_100_000) == "RequestEntityTooLargeException"
        foreign = {"X-Amz-Target": "DynamoDB_20120810.ListTables"}
        reply = await client.caller.send("codedeploy", "POST", "/", b"{}", foreign)
        assert reply.json["__type"] == "UnknownOperationException"


@pytest.mark.anyio
async def test_regions_and_accounts_are_apart() -> None:
    async with running(time_scale=0) as client:
        theirs = await client.assumed("arn:aws:iam::111111111111:role/deploy")
        assert "111111111111" in theirs.keys.key
        elsewhere = replace(client.caller, region="us-west-2")
        assert (await client.post("ListApplications"))[1]["applications"] == ["app"]
        assert (await client.post("ListApplications", None, theirs))[1]["applications"] == []
        assert (await client.post("ListApplications", None, elsewhere))[1]["applications"] == []
        without_token = replace(theirs, keys=replace(theirs.keys, token=None))
        assert await client.code("ListApplications", None, without_token) == "UnrecognizedClientException"


@pytest.mark.anyio
async def test_temporary_keys_expire() -> None:
    clock = [1000.0]
    async with running(clock=clock) as client:
        theirs = await client.assumed("arn:aws:iam::111111111111:role/a/deploy", DurationSeconds="900")
        assert await client.code("ListApplications", None, theirs) == "ok"
        clock[0] += 900
        assert await client.code("ListApplications", None, theirs) == "ExpiredTokenException"


@pytest.mark.anyio
async def test_sts_refuses_in_its_own_protocol() -> None:
    async with running() as client:
        for form in (
            {"Action": "GetFederationToken"},
            {"Action": "AssumeRole", "RoleArn": "arn:aws:iam::1:role/x", "RoleSessionName": "me"},
            {"Action": "AssumeRole", "RoleArn": "arn:aws:iam::111111111111:role/x", "RoleSessionName": "!"},
            {"Action": "AssumeRole", "RoleArn": "arn:aws:iam::111111111111:role/x", "RoleSessionName": "me",
             "DurationSeconds": "1"},
        ):  # fmt: skip
            status, body = await client.sts(form)
            assert status == 400
            assert "<ErrorResponse" in body
        foreign = replace(client.caller, keys=Keys("AKIAFOREIGN", "secret"))
        assert "InvalidClientTokenId" in (await client.sts({"Action": "GetCallerIdentity"}, foreign))[1]


@pytest.mark.anyio
async def test_throttling_is_a_token_bucket_for_each_region() -> None:
    clock = [1000.0]
    async with running(Faults(throttle=5), clock=clock) as client:
        codes = Counter([await client.code("ListApplications") for _ in range(8)])
        assert codes == {"ok": 5, "ThrottlingException": 3}
        assert await client.code("ListApplications", None, replace(client.caller, region="us-west-2")) == "ok"
        clock[0] += 0.4
        codes = Counter([await client.code("ListApplications") for _ in range(3)])
        assert codes == {"ok": 2, "ThrottlingException": 1}
        _, answer = await client.post("ListApplications")
        assert answer == {"__type": "ThrottlingException", "message": "Rate exceeded"}
        assert client.endpoint.calls.total(outcome="ThrottlingException") == 5


@pytest.mark.anyio
async def test_a_server_error_comes_before_the_call_is_carried_out() -> None:
    async with running(Faults(error_rate=1.0)) as client:
        assert (await client.caller.codedeploy("CreateDeployment", CREATE)).status == 500
        assert client.endpoint.deployments() == []
        assert client.endpoint.calls.total("CreateDeployment", "HTTP 500") == 1


@pytest.mark.parametrize(
    ("faults", "made"),
    [
        (Faults(reset_before=1.0, operations=("CreateDeployment",)), 0),
        (Faults(reset_after=1.0, operations=("CreateDeployment",), times=1), 1),
    ],
)
@pytest.mark.anyio
async def test_a_reset_loses_the_call_or_only_its_answer(faults: Faults, made: int) -> None:
    async with running(faults) as client:
        with pytest.raises(aiohttp.ClientError):
            await client.post("CreateDeployment", CREATE)
        assert len(client.endpoint.deployments()) == made
        assert await client.code("ListApplications") == "ok"


@pytest.mark.anyio
async def test_s3_suffers_too_when_it_is_told_to() -> None:
    fleet = FleetSpec(buckets=(BucketSpec(name="bucket", region=REGION),))
    s3 = frozenset[Service]({"s3"})
    faults = Faults(reset_after=1.0, operations=("PutObject", "GetObject"), services=s3)
    async with Sandbox(fleet, SandboxOptions(faults=faults)).serve() as endpoint, aiohttp.ClientSession() as session:
        caller = Caller(session, endpoint.url, root_keys(endpoint), REGION)
        for method in ("PUT", "GET"):
            with pytest.raises(aiohttp.ClientError):
                await caller.s3(method, "/bucket/k", b"data")
        head = await caller.s3("HEAD", "/bucket/k")
        assert head.headers["content-length"] == "4"  # it was stored all the same
        endpoint.set_faults(Faults(error_rate=1.0, services=s3))
        assert (await caller.s3("PUT", "/bucket/k", b"data")).status == 500
        assert endpoint.calls.total("PutObject", "HTTP 500", service="s3") == 1
        assert endpoint.calls.total("PutObject", "reset after") >= 1  # aiohttp repeats a PUT by itself


@pytest.mark.anyio
async def test_a_fault_can_be_limited_in_number() -> None:
    async with running(Faults(error_rate=1.0, times=2)) as client:
        for expected in (500, 500, 200):
            assert (await client.caller.codedeploy("ListApplications")).status == expected


@pytest.mark.anyio
async def test_the_dice_are_seeded() -> None:
    async def outcomes(seed: int) -> list[str]:
        async with running(Faults(error_rate=0.5), seed=seed) as client:
            return [str((await client.caller.codedeploy("ListApplications")).status) for _ in range(20)]

    runs = [await outcomes(seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert set(runs[0]) == {"200", "500"}


@pytest.mark.anyio
async def test_an_expired_token_for_a_while() -> None:
    clock = [1000.0]
    async with running(Faults(expired=True, expired_until=30), clock=clock) as client:
        assert await client.code("ListApplications") == "ExpiredTokenException"
        clock[0] += 30
        assert await client.code("ListApplications") == "ok"
        client.endpoint.set_faults(Faults(expired=True))
        assert await client.code("ListApplications") == "ExpiredTokenException"
        client.endpoint.set_faults(Faults())
        assert await client.code("ListApplications") == "ok"


@pytest.mark.anyio
async def test_it_tells_what_happened() -> None:
    clock = [1000.0]
    async with running(clock=clock) as client:
        await client.post("CreateDeployment", CREATE)
        clock[0] += 20
        await client.post("CreateDeployment", {**CREATE, "deploymentGroupName": "h", "description": "second"})
        await client.post("CreateDeployment", CREATE)
        endpoint = client.endpoint
        assert endpoint.calls.total("CreateDeployment") == 3
        assert endpoint.calls.total("CreateDeployment", "DeploymentLimitExceededException") == 1
        assert [one.deployment_group for one in endpoint.deployments()] == ["g", "h"]
        assert endpoint.deployments("app", "g")[0].ended is None
        assert endpoint.peak_running() == 2
        clock[0] += 1000
        (second,) = endpoint.deployments("app", "h")
        assert (second.status, second.created, second.description) == ("Succeeded", 1020.0, "second")
        assert endpoint.deployments(region="us-west-2") == []


@pytest.mark.anyio
async def test_one_after_the_other_is_no_overlap() -> None:
    async with running(time_scale=0) as client:
        for _ in range(3):
            assert await client.code("CreateDeployment", CREATE) == "ok"
        assert client.endpoint.peak_running() == 1


def test_a_fleet_that_contradicts_itself_is_refused_at_once() -> None:
    group = GroupSpec(application="app", deployment_group="g", region=REGION)
    with pytest.raises(FleetError) as caught:
        FleetSpec(
            groups=(
                group,
                group,
                GroupSpec(application="a/b", deployment_group="g", region="Nowhere!", account="12"),
                GroupSpec(application="c", deployment_group="g", region=REGION, deployment_config="Custom"),
                GroupSpec(application="d", deployment_group="g", region=REGION, instances=-1, auto_rollback=("X",)),
            ),
            buckets=(BucketSpec(name="No", region=REGION),),
            configs=(
                ConfigSpec(name="CodeDeployDefault.Mine", region=REGION, value=200, kind="FLEET_PERCENT"),
                ConfigSpec(name="a b", region=REGION),
            ),
        )
    assert len(str(caught.value).splitlines()) == 11
    custom = GroupSpec(application="c", deployment_group="g", region=REGION, deployment_config="Custom")
    FleetSpec(groups=(custom,), configs=(ConfigSpec(name="Custom", region=REGION),))


def test_options_that_make_no_sense_are_refused_at_once() -> None:
    faults = Faults(
        error_rate=2,
        throttle=0,
        latency=-1,
        slow=(Slow(target="x", factor=0),),
        failures=(Failure(target="x", event="Istall"),),
    )
    with pytest.raises(ValueError, match="port is 70000") as caught:
        SandboxOptions(host="192.0.2.1", port=70_000, time_scale=-1, instances=-1, page_size=0, faults=faults)
    assert len(str(caught.value).splitlines()) == 10
