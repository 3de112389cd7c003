"""Lambda's durable executions on loopback: the engine of the SDK's own local runner behind the API that Lambda has.

Invocations run in processes of their own (`lambda_zygote`), so that they can be killed as a worker is lost: in the
middle of a step, right before a checkpoint is taken, or right after, before its answer is there.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from aws_durable_execution_sdk_python.execution import (
    DurableExecutionInvocationInput,
    DurableExecutionInvocationOutput,
    InitialExecutionState,
)
from aws_durable_execution_sdk_python.lambda_service import OperationUpdate
from aws_durable_execution_sdk_python_testing.checkpoint.processor import CheckpointProcessor
from aws_durable_execution_sdk_python_testing.exceptions import AwsApiException
from aws_durable_execution_sdk_python_testing.executor import Executor
from aws_durable_execution_sdk_python_testing.invoker import InvokeResponse
from aws_durable_execution_sdk_python_testing.model import (
    CheckpointDurableExecutionRequest,
    StartDurableExecutionInput,
)
from aws_durable_execution_sdk_python_testing.scheduler import Scheduler
from aws_durable_execution_sdk_python_testing.stores.memory import InMemoryExecutionStore
from durable_runner import close_scheduler

FUNCTION_ARN = "arn:aws:lambda:eu-west-1:000000000000:function:orchestrator:live"
INVOCATION_SECONDS = 60.0

Moment = Literal["before", "after"]


@dataclass
class Fates:
    """When workers are lost. Each happens once."""

    at_boundaries: Callable[[int], Moment | None] = lambda _number: None
    """By the number of a step's end, from 1: right before its checkpoint is taken, or right after."""
    in_steps: dict[int, float] = field(default_factory=dict)
    """Seconds after the start of the invocation with this number, from 1."""
    killed: int = 0
    killed_in_steps: int = 0


class Workers:
    """The SDK's `Invoker`: each invocation in a process that is forked from a warm one."""

    def __init__(self, environment: Mapping[str, str], fates: Fates, log: Path) -> None:
        self.fates = fates
        self.invocations = 0
        self.failed = 0
        self._log = log.open("a")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lambda_zygote"],
            cwd=Path(__file__).parent,
            env={**environment, "PYTHONPATH": str(Path(__file__).parent)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._pid: int | None = None

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def kill(self) -> None:
        """The worker of the invocation that is under way."""
        pid, self._pid = self._pid, None
        if pid is not None:
            self.fates.killed += 1
            os.kill(pid, signal.SIGKILL)

    @property
    def is_busy(self) -> bool:
        return self._pid is not None

    def terminate(self) -> bool:
        """Tells the worker, if there is one, that it is about to be taken away. Whether there was one."""
        if self._pid is None:
            return False
        os.kill(self._pid, signal.SIGTERM)
        return True

    # --- the SDK's protocol ------------------------------------------------------------------------------------------

    def create_invocation_input(self, execution: Any) -> DurableExecutionInvocationInput:
        return DurableExecutionInvocationInput(
            durable_execution_arn=execution.durable_execution_arn,
            checkpoint_token=execution.get_new_checkpoint_token(),
            initial_execution_state=InitialExecutionState(operations=execution.operations, next_marker=""),
        )

    def invoke(self, function_name: str, input: Any, endpoint_url: str | None = None) -> InvokeResponse:  # noqa: A002
        event = json.loads(json.dumps(input.to_dict(), default=str))
        asked = {"event": event, "seconds": INVOCATION_SECONDS, "arn": FUNCTION_ARN}
        self.invocations += 1
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        self._pid = self._answer()["pid"]
        timer = self._doom()
        answer = self._answer()
        self._pid = None
        if timer is not None:
            timer.cancel()
        if "result" not in answer:
            self.failed += 1
            raise RuntimeError(f"the invocation failed: {answer}")
        output = DurableExecutionInvocationOutput.from_dict(answer["result"])
        return InvokeResponse(output, request_id=str(uuid.uuid4()))

    def update_endpoint(self, endpoint_url: str, region_name: str) -> None:
        pass

    def _kill_in_step(self) -> None:
        self.fates.killed_in_steps += 1
        self.kill()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def _doom(self) -> threading.Timer | None:
        seconds = self.fates.in_steps.pop(self.invocations, None)
        if seconds is None:
            return None
        timer = threading.Timer(seconds, self._kill_in_step)
        timer.start()
        return timer


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who was killed doesn't wait for an answer."""


class LambdaService:
    """Starts executions, keeps their checkpoints, completes their callbacks."""

    def __init__(self, environment: Mapping[str, str], fates: Fates, log: Path) -> None:
        self.fates = fates
        self.steps = 0
        """Checkpoints of a step's end, as far as they were sent."""
        self.checkpoints = 0
        self.checkpoint_bytes = 0
        self.largest_result = 0
        self.woken = 0
        self.started: dict[str, tuple[bytes, str]] = {}
        """ARN of each execution by name, with what it was started with."""
        self._scheduler = Scheduler()
        self._store = InMemoryExecutionStore()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.workers = Workers({**environment, "AWS_ENDPOINT_URL_LAMBDA": self.url}, fates, log)
        processor = CheckpointProcessor(store=self._store, scheduler=self._scheduler)
        self.executor = Executor(
            store=self._store, scheduler=self._scheduler, invoker=self.workers, checkpoint_processor=processor
        )
        self.executor.RETRY_BACKOFF_SECONDS = 0  # what Lambda waits after a lost worker would be waited for here
        self.executor.MAX_CONSECUTIVE_FAILED_ATTEMPTS = 1000
        processor.add_execution_observer(self.executor)

    @contextmanager
    def serve(self) -> Iterator[LambdaService]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        self._scheduler.start()  # type: ignore[no-untyped-call]  # the SDK's
        try:
            yield self
        finally:
            self.workers.close()
            self._scheduler.stop()  # type: ignore[no-untyped-call]  # the SDK's
            close_scheduler(self._scheduler)
            self._server.shutdown()
            self._server.server_close()

    def result_of(self, name: str) -> Any:
        """What the execution with this name has returned; None as long as it goes on."""
        execution = self._store.load(self.started[name][1])
        if not execution.is_complete:
            return None
        assert execution.result is not None
        return json.loads(execution.result.result or "null") or execution.result.error

    def is_asleep(self, name: str) -> bool:
        """Whether nobody works on the execution, and it can be woken."""
        operations = self._store.load(self.started[name][1]).operations
        waits = any((each.operation_type.value, each.status.value) == ("CALLBACK", "STARTED") for each in operations)
        return waits and not self.workers.is_busy

    def operations(self, name: str) -> int:
        return len(self._store.load(self.started[name][1]).operations)

    # --- the API -----------------------------------------------------------------------------------------------------

    def invoke(self, name: str, body: bytes) -> tuple[int, dict[str, str], Any]:
        known = self.started.get(name)
        if known is not None and known[0] != body:
            return 409, {"x-amzn-errortype": "DurableExecutionAlreadyStartedException"}, {"message": name}
        if known is not None:
            return 202, {"X-Amz-Durable-Execution-Arn": known[1]}, None
        if self.workers.is_busy:  # the SDK's runner does one thing at a time, and this comes from what it does
            threading.Thread(target=self._start_once_free, args=(name, body), daemon=True).start()
            return 202, {}, None
        return 202, {"X-Amz-Durable-Execution-Arn": self._start(name, body)}, None

    def _start_once_free(self, name: str, body: bytes) -> None:
        while self.workers.is_busy:
            time.sleep(0.02)
        self._start(name, body)

    def _start(self, name: str, body: bytes) -> str:
        output = self.executor.start_execution(
            StartDurableExecutionInput(
                account_id="000000000000",
                function_name="orchestrator",
                function_qualifier="live",
                execution_name=name,
                execution_timeout_seconds=0,
                execution_retention_period_days=1,
                input=body.decode(),
            )
        )
        assert output.execution_arn is not None
        self.started[name] = (body, output.execution_arn)
        return output.execution_arn

    def checkpoint(self, arn: str, body: bytes) -> Any:
        request = CheckpointDurableExecutionRequest.from_dict(json.loads(body), arn)
        updates = request.updates or []
        ends = [update for update in updates if _ends_a_step(update)]
        self.checkpoints += 1
        self.checkpoint_bytes += len(body)
        self.largest_result = max([self.largest_result, *(len(update.payload or "") for update in ends)])
        moment = self._moment(ends)
        if moment == "before":
            self.workers.kill()
            return None
        answer = self.executor.checkpoint_execution(arn, request.checkpoint_token, updates, request.client_token)
        if moment == "after":
            self.workers.kill()
        return answer.to_dict()

    def _moment(self, ends: list[OperationUpdate]) -> Moment | None:
        for _ in ends:
            self.steps += 1
            moment = self.fates.at_boundaries(self.steps)
            if moment is not None:
                return moment
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
                pass

            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

            def do_GET(self) -> None:
                self._answer(b"")

            def _answer(self, body: bytes) -> None:
                try:
                    status, headers, answer = service.handle(self.path, dict(self.headers), body)
                except AwsApiException as error:
                    status, headers = 400, {"x-amzn-errortype": type(error).__name__}
                    answer = {"message": str(error)}
                content = b"" if answer is None else json.dumps(answer, default=_plain).encode()
                self.send_response(status)
                for key, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(content)

        return Handler

    def handle(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, str], Any]:
        path = unquote(path.partition("?")[0])
        if re.fullmatch(r"/2015-03-31/functions/[^/]+/invocations", path):
            return self.invoke(headers["X-Amz-Durable-Execution-Name"], body)
        if found := re.fullmatch(r"/2025-12-01/durable-execution-callbacks/(.+)/succeed", path):
            self.executor.send_callback_success(found[1], body)
            self.woken += 1
            return 200, {}, {}
        if found := re.fullmatch(r"/2025-12-01/durable-executions/(.+)/checkpoint", path):
            return 200, {}, self.checkpoint(found[1], body)
        if found := re.fullmatch(r"/2025-12-01/durable-executions/(.+)/state", path):
            return 200, {}, self.executor.get_execution_state(found[1]).to_dict()
        if found := re.fullmatch(r"/2025-12-01/durable-executions/(.+)", path):
            return 200, {}, self.executor.get_execution_details(found[1]).to_dict()
        return 404, {}, {"message": path}


def _ends_a_step(update: OperationUpdate) -> bool:
    return update.operation_type.value == "STEP" and update.action.value == "SUCCEED"


def _plain(value: Any) -> Any:
    """Times as epoch seconds, as in the API."""
    return value.timestamp() if hasattr(value, "timestamp") else str(value)
