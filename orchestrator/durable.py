"""The Lambda durable function: `orchestrator.durable.handler`.

Nothing of a run is kept here. Each look is a step that goes on with the run from its journal, for a bounded time, with
its own lease; what a step gives is small, and tells when the next look is due. A step that is done twice does nothing
twice: the journal decides, and not the replay. So it doesn't matter where a worker is lost, or which version goes on.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, TypeVar

import anyio

from orchestrator.app.finishing import finish
from orchestrator.app.stepping import LookOptions, look_in
from orchestrator.app.stores import open_state
from orchestrator.app.waking import Sleep, note
from orchestrator.aws import AwsSession, Function, Functions
from orchestrator.core.conducting import PROTOCOL, Conductor, Launched, Look, Order, event_of, launched_from
from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.core.lease import LeaseTiming

LOOK_SECONDS = 120.0
"""The longest look; most are over in a few seconds. `ORCHESTRATOR_LOOK_SECONDS` says otherwise."""

AT_ONCE = 8
"""Parts that are looked in on at the same time. `ORCHESTRATOR_LOOKS_AT_ONCE` says otherwise."""

MARGIN = 35.0
"""Seconds that the end of a look may take: an answer under way, the last events, the lease, the connections."""

Event = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    lease: LeaseTiming | None = None
    told: threading.Event = field(default_factory=threading.Event)
    """Set once this worker is about to be taken away: looks end soon then, and the run goes on in another."""

    @property
    def look_seconds(self) -> float:
        return float(self.env.get("ORCHESTRATOR_LOOK_SECONDS") or LOOK_SECONDS)

    @property
    def at_once(self) -> int:
        return int(self.env.get("ORCHESTRATOR_LOOKS_AT_ONCE") or AT_ONCE)


def handler(event: Any, context: Any) -> Any:
    """What Lambda calls."""
    return _usual()(event, context)


@cache
def _usual() -> Callable[[Any, Any], Any]:
    return make_handler(Settings())


def make_handler(settings: Settings) -> Callable[[Any, Any], Any]:
    """A handler as the SDK makes it. Raises `UsageError` where the SDK isn't installed."""
    try:
        from aws_durable_execution_sdk_python import durable_execution  # noqa: PLC0415 - only in a function
    except ImportError:
        hint = "pip install 'orchestrator[lambda]', or build the function with make lambda"
        raise UsageError("the SDK of durable functions isn't installed", hint=hint) from None

    @durable_execution
    def carry_on(event: Event, context: Any) -> dict[str, Any]:
        return _carry_on(event, context, settings)

    def handle(event: Any, context: Any) -> Any:
        with _told_to_go(settings.told):
            return carry_on(event, context)

    return handle


def _carry_on(event: Event, context: Any, settings: Settings) -> dict[str, Any]:
    launched = launched_from(event)
    worker = DurableWorker(context, launched, settings)
    if event.get("protocol") != PROTOCOL:
        worker.start_afresh(launched.generation + 1)  # no operation: those of this execution mean something else
        return {"run": launched.run, "outcome": "continued"}
    outcome = to_the_end(Conductor(launched, worker).run())
    return {"run": launched.run, "outcome": outcome}


def to_the_end(coroutine: Coroutine[Any, Any, T]) -> T:
    """What it gives. The SDK's operations block, so nothing in it ever waits for an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    raise AssertionError("a durable operation has awaited something")


class DurableWorker:
    """`core.conducting.Worker` over the SDK's `DurableContext`."""

    def __init__(self, context: Any, launched: Launched, settings: Settings) -> None:
        self._context = context
        self._launched = launched
        self._settings = settings

    async def look(self, orders: Sequence[Order]) -> Sequence[Look]:
        if len(orders) == 1:
            return [self._look(self._context, orders[0])]
        from aws_durable_execution_sdk_python.config import MapConfig  # noqa: PLC0415 - only in a function

        def branch(context: Any, order: Order, _index: int, _orders: Sequence[Order]) -> dict[str, Any]:
            return self._look(context, order).to_dict()

        config = MapConfig(max_concurrency=self._settings.at_once)
        result = self._context.map(orders, branch, name="parts", config=config)
        result.throw_if_error()
        return [Look.from_dict(found) for found in result.get_results()]

    async def pause(self, seconds: int, *, wakeable: bool) -> bool:
        from aws_durable_execution_sdk_python.config import CallbackConfig, Duration  # noqa: PLC0415 - as above
        from aws_durable_execution_sdk_python.exceptions import CallableRuntimeError  # noqa: PLC0415 - as above

        duration = Duration.from_seconds(seconds)
        if not wakeable:
            self._context.wait(duration, name="pause")
            return False
        callback = self._context.create_callback(name="pause", config=CallbackConfig(timeout=duration))
        if self._step("note", partial(self._note, callback.callback_id)):
            return True
        try:
            callback.result()
        except CallableRuntimeError:  # its time is over
            return False
        return True

    async def finish(self) -> str:
        return str(self._step("finish", partial(finish, self._launched, self._settings.env)))

    async def go_on_afresh(self, generation: int) -> None:
        self._step("go on afresh", partial(self._start_afresh, generation))

    def start_afresh(self, generation: int) -> None:
        anyio.run(self._start_afresh, generation)

    # --- the steps ---------------------------------------------------------------------------------------------------

    def _look(self, context: Any, order: Order) -> Look:
        async def work() -> dict[str, Any]:
            seconds = min(self._settings.look_seconds, self._remaining() - MARGIN)
            options = LookOptions(
                state=self._launched.state,
                seconds=max(1.0, seconds),
                env=self._settings.env,
                stdout=sys.stdout,
                stderr=sys.stderr,
                until=partial(_until_set, self._settings.told),
                lease=self._settings.lease,
            )
            return (await look_in(order, options)).to_dict()

        return Look.from_dict(self._step(f"look {order.run}", work, context))

    async def _note(self, callback: str) -> bool:
        launched = self._launched
        try:
            async with open_state(launched.state, None, self._settings.env) as kept:
                return await note(kept.blobs, launched.run, Sleep(callback=callback, region=self._region()))
        except OrchestratorError as error:
            sys.stderr.write(f"{launched.run}: nobody can wake it this time: {error}\n")
            return False

    async def _start_afresh(self, generation: int) -> None:
        launched = self._launched
        again = Launched(run=launched.run, state=launched.state, parts=launched.parts, generation=generation)
        async with AwsSession() as session:
            await Functions(session, self._region()).start(
                Function.parse(self._arn()), f"{launched.run}-g{generation}", event_of(again)
            )

    def _step(self, name: str, work: Callable[[], Coroutine[Any, Any, T]], context: Any = None) -> T:
        """Done at least once; its result is kept."""
        from aws_durable_execution_sdk_python.config import StepConfig  # noqa: PLC0415 - only in a function
        from aws_durable_execution_sdk_python.retries import RetryDecision  # noqa: PLC0415 - as above

        config = StepConfig(retry_strategy=lambda _error, _attempt: RetryDecision.no_retry())
        result: T = (context or self._context).step(lambda _step: anyio.run(work), name=name[:256], config=config)
        return result

    def _remaining(self) -> float:
        """Seconds that this invocation has."""
        return float(self._context.lambda_context.get_remaining_time_in_millis()) / 1000

    def _arn(self) -> str:
        return str(self._context.lambda_context.invoked_function_arn)

    def _region(self) -> str:
        return Function.parse(self._arn()).region or self._settings.env.get("AWS_REGION") or "us-east-1"


# --- being told to go ------------------------------------------------------------------------------------------------

TOLD_LOOK = 0.5
"""Seconds between two looks at it: signals reach the main thread, and looks have threads of their own."""


async def _until_set(told: threading.Event) -> None:
    while not told.is_set():  # noqa: ASYNC110 - a signal handler can't reach the event loops of other threads
        await anyio.sleep(TOLD_LOOK)


@contextmanager
def _told_to_go(told: threading.Event) -> Iterator[None]:
    """SIGTERM is what `--detach` is: what runs is left running, and the next look goes on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: told.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
