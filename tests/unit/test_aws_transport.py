"""One attempt is one request, whatever becomes of it. The server is raw asyncio, so that it can misbehave."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import hashlib
import json
import re
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest

from orchestrator.aws import AwsSession, Backoff, CodeDeployTransport, Timeouts, caller_identity
from orchestrator.core.errors import AnswerLostError, CallError, CredentialsError, RefusedError, ThrottledError
from orchestrator.core.model import Location

pytestmark = pytest.mark.anyio

HERE = Location(region="eu-west-1")
ROLE = Location(region="eu-west-1", role_arn="arn:aws:iam::222222222222:role/deploy")
CREATE = {"applicationName": "shop", "deploymentGroupName": "fleet"}
JSON_TYPE = "application/x-amz-json-1.1"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True, slots=True)
class Request:
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes
    content_type: str = JSON_TYPE
    cut: int | None = None
    """Only so many bytes of the body, then a reset."""
    headers: str = ""


class Reset:
    """The connection is reset once the request has come."""


class Hang:
    """No answer ever."""


Behaviour = Reply | Reset | Hang


def ok(**members: object) -> Reply:
    return Reply(200, json.dumps(members).encode())


@dataclass(slots=True)
class Server:
    url: str
    requests: list[Request] = field(default_factory=list)
    accepted: int = 0
    refuse_connections: bool = False
    lets_bodies_come: bool = True
    answer: Callable[[Request], Behaviour] = lambda _: ok(deploymentId="d-ABCDEFGHI")

    def environment(self, **more: str) -> dict[str, str]:
        keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI"}
        return {"AWS_ENDPOINT_URL": self.url, **keys, **more}

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            while not self.refuse_connections and (
                request := await _read(reader, writer, lets_bodies_come=self.lets_bodies_come)
            ):
                self.requests.append(request)
                if not await self._behave(self.answer(request), writer):
                    break
            _reset(writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _behave(self, behaviour: Behaviour, writer: asyncio.StreamWriter) -> bool:
        match behaviour:
            case Reset():
                return False
            case Hang():
                await asyncio.Event().wait()
                return False
            case Reply():
                head = (
                    f"HTTP/1.1 {behaviour.status} Whatever\r\nContent-Type: {behaviour.content_type}\r\n"
                    f"x-amzn-RequestId: request-1\r\nContent-Length: {len(behaviour.body)}\r\n"
                    f"{behaviour.headers}\r\n"
                )
                writer.write(head.encode() + behaviour.body[: behaviour.cut])
                await writer.drain()
                return behaviour.cut is None


def _reset(writer: asyncio.StreamWriter) -> None:
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _read(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, lets_bodies_come: bool
) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    if lets_bodies_come and headers.get("expect") == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return Request(headers, await reader.readexactly(int(headers.get("content-length", "0"))))


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    tasks: set[asyncio.Task[None]] = set()
    server = Server("")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await server.handle(reader, writer)

    listener = await asyncio.start_server(connected, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()


@dataclass(slots=True)
class Observer:
    calls: list[tuple[str, str, str]] = field(default_factory=list)

    def called(self, *, service: str, operation: str, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.calls.append((service, operation, outcome))


@dataclass(slots=True)
class Bench:
    server: Server
    session: AwsSession
    transport: CodeDeployTransport
    observer: Observer


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    observer = Observer()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving())
        session = await stack.enter_async_context(
            AwsSession(
                observer=observer,
                endpoint_environment=server.environment(),
                timeouts=Timeouts(connect=5.0, read=0.3, attempt=5.0),
            )
        )
        yield Bench(server, session, CodeDeployTransport(session, HERE), observer)


async def test_an_answer_comes_as_a_plain_dict(bench: Bench) -> None:
    bench.server.answer = lambda _: Reply(
        200, b'{"deploymentInfo": {"createTime": 1764000000.25, "revision": null, "status": "Queued"}}'
    )
    answer = await bench.transport.call("GetDeployment", {"deploymentId": "d-1"})
    assert answer == {"deploymentInfo": {"createTime": 1764000000.25, "status": "Queued"}}
    request = bench.server.requests[0]
    assert json.loads(request.body) == {"deploymentId": "d-1"}
    assert request.headers["x-amz-target"].endswith("getdeployment")
    assert request.headers["user-agent"].startswith("orchestrator/")
    assert "akidexample" in request.headers["authorization"]
    assert bench.observer.calls == [("codedeploy", "GetDeployment", "ok")]


async def test_an_operation_without_an_answer_may_have_an_empty_body(bench: Bench) -> None:
    bench.server.answer = lambda _: Reply(200, b"")
    assert await bench.transport.call("RegisterApplicationRevision", {"applicationName": "shop"}) == {}


@pytest.mark.parametrize(
    ("behaviour", "kind", "outcome"),
    [
        (Reset(), AnswerLostError, "lost"),
        (Hang(), AnswerLostError, "lost"),
        (Reply(500, b""), AnswerLostError, "lost"),
        (Reply(500, b'{"__type": "InternalFailure"}'), AnswerLostError, "lost"),
        (Reply(502, b"<html><title>Bad gateway</title></html>", "text/html"), AnswerLostError, "lost"),
        (Reply(503, b'{"__type": "ServiceUnavailableException"}'), AnswerLostError, "lost"),
        (Reply(200, b'{"deploymentId": "d-ABC', cut=10), AnswerLostError, "lost"),
        (Reply(200, b'{"deploymentId": "d-ABC'), AnswerLostError, "lost"),
        (Reply(200, b"<html>Welcome to the hotel</html>", "text/html"), AnswerLostError, "lost"),
        (Reply(200, b"[]"), AnswerLostError, "lost"),
        (Reply(200, b""), AnswerLostError, "lost"),
        (Reply(200, b"\xff\xfe"), AnswerLostError, "lost"),
        (Reply(200, b"[" * 100_000), AnswerLostError, "lost"),
        (Reply(400, b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'), ThrottledError, "throttled"),
        (Reply(429, b"slow down", "text/plain"), ThrottledError, "throttled"),
        (Reply(503, b'{"__type": "SlowDown"}'), ThrottledError, "throttled"),
        (Reply(400, b'{"__type": "ExpiredTokenException"}'), CredentialsError, "credentials"),
        (Reply(400, b'{"__type": "DeploymentLimitExceededException", "message": "busy"}'), RefusedError, "refused"),
        (Reply(400, b"[1]"), RefusedError, "refused"),
        (Reply(400, b'{"__type": 5}'), RefusedError, "refused"),
    ],
)
async def test_create_deployment_is_sent_once(
    bench: Bench, behaviour: Behaviour, kind: type[CallError], outcome: str
) -> None:
    # A kept-alive connection is where HTTP clients like to send again.
    await bench.transport.call("GetDeployment", {"deploymentId": "d-1"})
    bench.server.requests.clear()
    bench.observer.calls.clear()
    bench.server.answer = lambda _: behaviour
    with pytest.raises(CallError) as caught:
        await bench.transport.call("CreateDeployment", CREATE)
    assert type(caught.value) is kind
    assert caught.value.operation == "CreateDeployment"
    assert len(bench.server.requests) == 1
    assert bench.observer.calls == [("codedeploy", "CreateDeployment", outcome)]


@pytest.mark.parametrize("behaviour", [Reset(), Hang(), Reply(500, b"")])
async def test_create_deployment_is_sent_once_on_a_new_connection(bench: Bench, behaviour: Behaviour) -> None:
    bench.server.answer = lambda _: behaviour
    with pytest.raises(AnswerLostError):
        await bench.transport.call("CreateDeployment", CREATE)
    assert len(bench.server.requests) == 1


async def test_a_connection_reset_before_the_request_is_a_lost_answer(bench: Bench) -> None:
    bench.server.refuse_connections = True
    with pytest.raises(AnswerLostError):
        await bench.transport.call("CreateDeployment", CREATE)
    assert bench.server.requests == []
    assert bench.server.accepted == 1


async def test_the_environment_cannot_bring_retries_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as server:
        server.answer = lambda _: Reply(500, b"")
        for name, value in server.environment(AWS_MAX_ATTEMPTS="4", AWS_RETRY_MODE="standard").items():
            monkeypatch.setenv(name, value)
        async with AwsSession() as session:
            with pytest.raises(AnswerLostError):
                await CodeDeployTransport(session, HERE).call("CreateDeployment", CREATE)
        assert len(server.requests) == 1


async def test_no_connection_names_the_endpoint() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    environment = {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    async with AwsSession(endpoint_environment=environment) as session:
        with pytest.raises(AnswerLostError) as caught:
            await CodeDeployTransport(session, HERE).call("GetDeployment", {"deploymentId": "d-1"})
    assert url in str(caught.value)
    assert "AWS_ENDPOINT_URL_CODEDEPLOY" in str(caught.value.hint)


async def test_the_page_of_a_proxy_is_shown_as_such(bench: Bench) -> None:
    page = b"<!DOCTYPE html>\n<html><style>p {color: red}</style><h1>Blocked</h1><p>by policy\n 7</p>" + b"x" * 5000
    bench.server.answer = lambda _: Reply(403, page, "text/html")
    with pytest.raises(RefusedError) as caught:
        await bench.transport.call("GetDeployment", {"deploymentId": "d-1"})
    assert "not an answer of AWS: Blocked by policy 7" in str(caught.value)
    assert len(str(caught.value)) < 400
    assert "HTTPS_PROXY" in str(caught.value.hint)


async def test_an_error_carries_code_message_and_request(bench: Bench) -> None:
    bench.server.answer = lambda _: Reply(400, b'{"__type": "com.x#InvalidRevisionException", "Message": "no bundle"}')
    with pytest.raises(RefusedError) as caught:
        await bench.transport.call("CreateDeployment", CREATE)
    assert str(caught.value) == "CreateDeployment: InvalidRevisionException: no bundle (request request-1)"
    assert caught.value.request_id == "request-1"


async def test_a_cancelled_call_ends_at_once_and_is_not_repeated(bench: Bench) -> None:
    bench.server.answer = lambda _: Hang()
    with anyio.move_on_after(0.1) as scope:
        await bench.transport.call("CreateDeployment", CREATE)
    assert scope.cancelled_caught
    assert len(bench.server.requests) <= 1
    assert bench.observer.calls == []


async def test_an_attempt_has_a_deadline_even_when_bytes_trickle() -> None:
    async with serving() as server:
        server.answer = lambda _: Hang()
        patience = Timeouts(read=60.0, attempt=0.2)
        async with AwsSession(endpoint_environment=server.environment(), timeouts=patience) as session:
            transport = CodeDeployTransport(session, HERE)
            # The first attempt may be spent on importing the SDK.
            for _ in range(3):
                with pytest.raises(AnswerLostError):
                    await transport.call("CreateDeployment", CREATE)


async def test_a_server_that_never_lets_a_body_come_is_given_up() -> None:
    # A PUT waits for "100 Continue" first, and aiohttp has no time-out for that.
    async with serving() as server:
        server.lets_bodies_come = False
        patience = Timeouts(read_s3=0.2)
        async with AwsSession(endpoint_environment=server.environment(), timeouts=patience) as session:
            with pytest.raises(AnswerLostError):
                await session.call("s3", HERE, "PutObject", {"Bucket": "b", "Key": "k", "Body": b"abc"})


async def test_without_tls_a_body_is_signed_and_carries_its_crc(bench: Bench) -> None:
    bench.server.answer = lambda _: Reply(200, b"", headers='ETag: "abc"\r\n')
    body = b"what is uploaded"
    parameters = {"Bucket": "b", "Key": "k", "Body": body, "ChecksumAlgorithm": "CRC32"}
    await bench.session.call("s3", HERE, "PutObject", parameters)
    (request,) = bench.server.requests
    assert request.body == body
    assert request.headers["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest()
    crc = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    assert request.headers["x-amz-checksum-crc32"] == crc.lower()  # this server lowers all headers


@pytest.mark.parametrize(
    "reply",
    [Reply(200, b"0123456789", cut=5), Reply(200, b"0123456789", headers="x-amz-checksum-crc32: AAAAAA==\r\n")],
    ids=["cut off", "damaged"],
)
async def test_an_object_that_does_not_arrive_whole_is_a_lost_answer(bench: Bench, reply: Reply) -> None:
    bench.server.answer = lambda _: reply
    with pytest.raises(AnswerLostError):
        await bench.session.call("s3", HERE, "GetObject", {"Bucket": "b", "Key": "k"})
    assert bench.observer.calls == [("s3", "GetObject", "lost")]


async def test_clients_are_opened_once_however_many_ask(bench: Bench) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(bench.transport.call, "GetDeployment", {"deploymentId": "d-1"})
    assert len(bench.server.requests) == 10
    assert len(bench.session._clients) == 1


async def test_a_closed_session_says_so() -> None:
    async with serving() as server:
        async with AwsSession(endpoint_environment=server.environment()) as session:
            transport = CodeDeployTransport(session, HERE)
        with pytest.raises(RuntimeError, match="closed"):
            await transport.call("GetDeployment", {"deploymentId": "d-1"})


async def test_given_endpoints_ignore_this_machines_settings(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_PROFILE": "no-such-profile",
        "AWS_CONFIG_FILE": "/dev/null/none",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "AKIDREAL",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "AWS_CA_BUNDLE": "/no/such/file",
    }.items():
        monkeypatch.setenv(name, value)
    await bench.transport.call("GetDeployment", {"deploymentId": "d-1"})
    assert "akidexample" in bench.server.requests[0].headers["authorization"]


async def test_an_endpoint_that_was_not_given_is_not_replaced_by_aws() -> None:
    environment = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    async with AwsSession(endpoint_environment=environment) as session:
        with pytest.raises(RefusedError, match="no endpoint for codedeploy"):
            await CodeDeployTransport(session, HERE).call("GetDeployment", {"deploymentId": "d-1"})


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"AWS_PROFILE": "no-such-profile"}, "ProfileNotFound"),
        ({"AWS_ACCESS_KEY_ID": "AKID"}, "PartialCredentialsError"),
        ({}, "NoCredentialsError"),
    ],
)
async def test_missing_credentials_are_explained(
    settings: dict[str, str], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    nowhere = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    never = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    for name, value in {**nowhere, **never, **settings}.items():
        monkeypatch.setenv(name, value)
    for location in (HERE, ROLE):
        async with AwsSession() as session:
            with pytest.raises(CredentialsError) as caught:
                await CodeDeployTransport(session, location).call("GetDeployment", {"deploymentId": "d-1"})
        assert caught.value.code == code
        assert caught.value.hint


# --- roles -----------------------------------------------------------------------------------------------------------


def sts_answer(key: str, *, lifetime: float) -> Reply:
    expires = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=lifetime)
    body = f"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
      <AssumedRoleUser><Arn>arn:aws:sts::222222222222:assumed-role/deploy/orchestrator</Arn>
      <AssumedRoleId>AROA:orchestrator</AssumedRoleId></AssumedRoleUser>
      <Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t-{key}</SessionToken>
      <Expiration>{expires:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
    return Reply(200, body.encode(), "text/xml")


def with_sts(*lifetimes: float) -> Callable[[Request], Behaviour]:
    left = list(enumerate(lifetimes, start=1))

    def answer(request: Request) -> Behaviour:
        if b"Action=AssumeRole" in request.body:
            number, lifetime = left.pop(0)
            return sts_answer(f"ASIA{number}", lifetime=lifetime)
        return ok(deploymentId="d-1")

    return answer


def keys_used(server: Server) -> list[str]:
    used = []
    for request in server.requests:
        found = re.search(r"credential=(\w+)/", request.headers["authorization"])
        assert found
        used.append(found[1])
    return used


async def test_a_role_is_taken_on_once_and_its_credentials_sign(bench: Bench) -> None:
    bench.server.answer = with_sts(3600)
    transport = CodeDeployTransport(bench.session, ROLE)
    await transport.call("GetDeployment", {"deploymentId": "d-1"})
    await transport.call("GetDeployment", {"deploymentId": "d-1"})
    assume, first, _ = bench.server.requests
    assert b"RoleSessionName=orchestrator" in assume.body
    assert b"role%2Fdeploy" in assume.body
    assert keys_used(bench.server) == ["akidexample", "asia1", "asia1"]
    assert first.headers["x-amz-security-token"] == "t-asia1"


async def test_a_roles_credentials_are_renewed_before_they_expire(bench: Bench) -> None:
    bench.server.answer = with_sts(60, 3600)  # botocore renews within the last 10 minutes
    transport = CodeDeployTransport(bench.session, ROLE)
    await transport.call("GetDeployment", {"deploymentId": "d-1"})
    await transport.call("GetDeployment", {"deploymentId": "d-1"})
    assert keys_used(bench.server)[-1] == "asia2"


async def test_a_role_whose_credentials_are_expired_from_the_start_is_an_error(bench: Bench) -> None:
    bench.server.answer = with_sts(-60)
    with pytest.raises(CredentialsError) as caught:
        await CodeDeployTransport(bench.session, ROLE).call("CreateDeployment", CREATE)
    assert "clock" in str(caught.value.hint)
    assert len(bench.server.requests) == 1  # CreateDeployment was never sent


async def test_a_role_that_may_not_be_taken_on_is_explained(bench: Bench) -> None:
    body = b"""<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code>
      <Message>User: arn:aws:iam::111111111111:user/ci is not authorized to perform: sts:AssumeRole on resource: r
      </Message></Error><RequestId>request-7</RequestId></ErrorResponse>"""
    bench.server.answer = lambda _: Reply(403, body, "text/xml")
    with pytest.raises(CredentialsError) as caught:
        await CodeDeployTransport(bench.session, ROLE).call("CreateDeployment", CREATE)
    assert caught.value.operation == "AssumeRole"
    assert "sts:AssumeRole" in str(caught.value.hint)
    assert "arn:aws:iam::111111111111:user/ci" in str(caught.value.hint)
    assert "trust policy" in str(caught.value.hint)


async def test_who_we_are_is_asked_again_when_the_answer_is_lost(bench: Bench) -> None:
    body = b"""<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
      <Arn>arn:aws:iam::111111111111:user/ci</Arn><UserId>AIDA</UserId><Account>111111111111</Account>
      </GetCallerIdentityResult></GetCallerIdentityResponse>"""
    replies: list[Behaviour] = [Reset(), Reply(200, body, "text/xml")]
    bench.server.answer = lambda _: replies.pop(0)
    identity = await caller_identity(bench.session, HERE, backoff=Backoff(base=0.0))
    assert (identity.account, identity.arn) == ("111111111111", "arn:aws:iam::111111111111:user/ci")


async def test_importing_the_package_does_not_import_the_sdk() -> None:
    code = "import orchestrator.aws, sys; print({'aioboto3', 'botocore', 'aiohttp'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: ASYNC221  # the test has nothing else to do
    assert done.stdout.strip() == "set()"
