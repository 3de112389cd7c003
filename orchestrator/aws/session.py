"""One session for a run: clients by service and location, opened once, closed together; one attempt at one call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import anyio

from orchestrator.aws.calllog import CallEnd, log_call
from orchestrator.aws.errors import outcome_of, translate
from orchestrator.core.errors import CallError
from orchestrator.core.model import Location
from orchestrator.core.ports import CallObserver

if TYPE_CHECKING:
    import aioboto3

    from orchestrator.aws.sdk import Sdk

Service = Literal["cloudwatch", "codedeploy", "lambda-durable", "s3", "sns", "sts"]
"""The SDK's names; `lambda-durable` is ours, for operations of Lambda's that this SDK doesn't know yet."""
Answer = dict[str, Any]
"""An operation's answer in the API's own shape."""

SLOWEST_UPLOAD = 32 * 1024
"""Bytes a second; a body that goes slower than that is given up and sent again."""
CLOSE_DEADLINE = 5.0
"""Seconds that closing the connections may take, also when the run is cancelled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """Seconds."""

    connect: float = 5.0
    read: float = 30.0
    """Without a byte from CodeDeploy or STS."""
    read_s3: float = 60.0
    """Without a byte from S3; sending a body may take longer, by `SLOWEST_UPLOAD`."""
    attempt: float = 60.0
    """A whole attempt at CodeDeploy or STS, with fetching credentials."""


class Caller(Protocol):
    """What makes one attempt at one operation, as `AwsSession.call` does."""

    async def call(
        self, service: Service, location: Location, operation: str, parameters: Mapping[str, Any]
    ) -> Answer: ...


@dataclass(frozen=True, slots=True)
class _Client:
    operations: Mapping[str, Callable[..., Awaitable[Answer]]]
    body: Callable[[bytes | memoryview], object]
    """Makes of bytes what is sent without a copy."""


class AwsSession:
    """Clients and credentials of a run; an async context manager.

    Credentials, regions and endpoints come from the SDK's own chain (`AWS_*` variables, profiles, roles,
    `AWS_ENDPOINT_URL_*`). `endpoint_environment` replaces that chain as a whole: the sandbox's
    `AWS_ENDPOINT_URL_<SERVICE>` (or `AWS_ENDPOINT_URL`), `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and perhaps
    `AWS_SESSION_TOKEN`; nothing of this machine's environment or profiles counts then, and `os.environ` stays as it is.

    The SDK is imported, and clients are opened, at the first call that needs them.
    """

    def __init__(
        self,
        *,
        observer: CallObserver | None = None,
        endpoint_environment: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._timeouts = timeouts or Timeouts()
        self._observer = observer
        self._environment = None if endpoint_environment is None else dict(endpoint_environment)
        self._lock = anyio.Lock()
        self._stack = AsyncExitStack()
        self._base: aioboto3.Session | None = None
        self._sessions: dict[Location, aioboto3.Session] = {}
        self._clients: dict[tuple[Service, Location], _Client] = {}
        self._open = False

    async def __aenter__(self) -> Self:
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        self._clients.clear()
        with anyio.move_on_after(CLOSE_DEADLINE, shield=True):
            await self._stack.aclose()

    async def call(self, service: Service, location: Location, operation: str, parameters: Mapping[str, Any]) -> Answer:
        """One attempt at one operation, nothing retried.

        Raises `ThrottledError`, `AnswerLostError`, `RefusedError` or `CredentialsError`. The observer
        is told of every attempt that ended; of one that was cancelled nobody knows how it ended.
        """
        started = anyio.current_time()
        outcome = "ok"
        problem: CallError | None = None
        metadata: Answer = {}
        try:
            return await self._attempt(service, location, operation, parameters, metadata)
        except Exception as error:
            problem = translate(error, service=service, operation=operation)
            if problem is None:
                outcome = "lost"
                raise
            outcome = outcome_of(problem)
            raise problem from error
        except BaseException:
            outcome = ""
            raise
        finally:
            if outcome:
                seconds = anyio.current_time() - started
                if self._observer is not None:
                    self._observer.called(service=service, operation=operation, outcome=outcome, seconds=seconds)
                how = CallEnd(outcome=outcome, seconds=seconds, metadata=metadata, problem=problem)
                log_call(service, location, operation, parameters, how)

    async def _attempt(
        self,
        service: Service,
        location: Location,
        operation: str,
        parameters: Mapping[str, Any],
        metadata: Answer,
    ) -> Answer:
        """`metadata`: takes the answer's own, such as its request id."""
        with anyio.fail_after(self._deadline(service, parameters)):
            client = self._clients.get((service, location)) or await self._open_client(service, location)
            if isinstance(content := parameters.get("Body"), bytes | memoryview):
                parameters = {**parameters, "Body": client.body(content)}
            answer = await client.operations[operation](**parameters)
            metadata |= answer.pop("ResponseMetadata", None) or {}
            if service == "s3" and operation == "GetObject":
                # Read here, so that a connection that breaks in the middle of the body is a fault of this attempt.
                stream = answer["Body"]
                async with stream:  # gives the bare HTTP answer: it is the stream that checks length and checksum
                    answer["Body"] = await stream.read()
            return answer

    def _deadline(self, service: Service, parameters: Mapping[str, Any]) -> float | None:
        """Seconds for a whole attempt."""
        if service != "s3":
            return self._timeouts.attempt
        body = parameters.get("Body")
        if body is None:
            return None  # the time without a byte counts from the end of the request on
        # Before that nothing does in aiohttp: a server that never says "100 Continue" would be waited for for ever.
        return self._timeouts.read_s3 + len(body) / SLOWEST_UPLOAD

    async def _open_client(self, service: Service, location: Location) -> _Client:
        async with self._lock:
            if not self._open:
                raise RuntimeError("the AWS session is closed, or was never entered")
            if (client := self._clients.get((service, location))) is not None:
                return client
            # 0.5 s of CPU at the first import, in a thread: packing goes on meanwhile.
            sdk = await anyio.to_thread.run_sync(self._load_sdk)
            session = await self._session_for(sdk, location)
            opened = await self._stack.enter_async_context(sdk.open_client(session, service, location.region))
            names: Mapping[str, str] = opened.meta.method_to_api_mapping
            client = _Client({operation: getattr(opened, method) for method, operation in names.items()}, sdk.body)
            self._clients[service, location] = client
            return client

    async def _session_for(self, sdk: Sdk, location: Location) -> aioboto3.Session:
        if self._base is None:
            self._base = sdk.open_session()
        if location.role_arn is None:
            return self._base
        if location not in self._sessions:
            self._sessions[location] = await sdk.assume_role(self._base, location.role_arn, location.region)
        return self._sessions[location]

    def _load_sdk(self) -> Sdk:
        from orchestrator.aws.sdk import Sdk  # noqa: PLC0415  # imported late, see the package

        return Sdk(self._environment, self._timeouts)
