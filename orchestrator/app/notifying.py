"""Wires notifications: which receiver each gets, with what secret from the environment; and the last of them."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio

from orchestrator.aws import AwsSession
from orchestrator.core.errors import BlockedError, StateError
from orchestrator.core.events import Record
from orchestrator.core.model import Location
from orchestrator.core.notification_events import NotificationClosed
from orchestrator.core.notification_specs import NotificationSpec, missing_variables, not_set
from orchestrator.core.notifying import HURRIED, LAST, Notifier
from orchestrator.core.ports import CallObserver, Receiver
from orchestrator.core.recorder import Recorder
from orchestrator.core.runs import RunStore
from orchestrator.core.state import RunState, fold
from orchestrator.wording.phrases import phrase

GITHUB_API_URL = "GITHUB_API_URL"
"""GitHub's own variable: set in its Actions, also on an enterprise server."""

SLACK_API_URL = "SLACK_API_URL"


@asynccontextmanager
async def open_notifier(
    specs: Sequence[NotificationSpec],
    recorder: Recorder,
    env: Mapping[str, str],
    observer: CallObserver | None = None,
) -> AsyncIterator[Notifier | None]:
    """None where nobody is to be told. The connections close with the block."""
    if not specs:
        yield None
        return
    from orchestrator.notify import Http  # noqa: PLC0415 - only where somebody is told

    async with AsyncExitStack() as stack:
        http = Http(env)
        stack.push_async_callback(http.aclose)
        session = await stack.enter_async_context(AwsSession(observer=observer))

        async def publish(location: Location, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
            return await session.call("sns", location, operation, parameters)

        make = Receivers(env, http, publish)
        yield Notifier(recorder, [(spec, make.of(spec)) for spec in specs])


class Receivers:
    """Makes receivers; says what they lack."""

    def __init__(self, env: Mapping[str, str], http: Any, publish: Callable[..., Any]) -> None:
        """`http`: `notify.Http`; `publish`: `notify.sns.CallSns`."""
        self._env = env
        self._http = http
        self._publish = publish

    def of(self, spec: NotificationSpec) -> Receiver | str:
        """The receiver, or why there is none."""
        from orchestrator import notify  # noqa: PLC0415 - as above

        missing = missing_variables(spec, self._env)
        if missing:
            return not_set(missing)
        settings, http, clock = spec.settings, self._http, time.time
        match spec.kind:
            case "webhook":
                url = settings.get("url") or self._env[settings["url_env"]]
                secret = self._env[settings["secret_env"]] if settings["signed"] else None
                return notify.WebhookReceiver(spec, http, url=url, secret=secret, clock=clock)
            case "slack" if "url_env" in settings:
                return notify.SlackWebhook(spec, http, url=self._env[settings["url_env"]], clock=clock)
            case "slack":
                api = self._env.get(SLACK_API_URL) or notify.SLACK_API
                return notify.SlackMessage(spec, http, api=api, token=self._env[settings["token_env"]], clock=clock)
            case "github":
                api = self._env.get(GITHUB_API_URL) or notify.GITHUB_API
                return notify.GitHubReceiver(spec, http, api=api, token=self._env[settings["token_env"]], clock=clock)
            case "sns":
                return notify.SnsReceiver(spec, self._publish, clock=clock)


async def close_late(runs: RunStore, state: RunState, env: Mapping[str, str], tell: Callable[[str], object]) -> None:
    """Closes the notifications of a run that is over, where its process died before it could."""
    if not state.notifications.unclosed(state):
        return
    try:
        async with runs.open_journal(state.run, new=False) as journal:
            state = fold(journal.found.records)
            specs = state.notifications.unclosed(state)
            recorder = Recorder(run=state.run, state=state, journal=journal, sinks=[_Teller(tell)], clock=time.time)
            async with open_notifier(specs, recorder, env) as notifier:
                if notifier is not None:
                    notifier.begin()
                    await tell_the_end(notifier)
    except (BlockedError, StateError) as error:  # another process is at it, or nothing can be written: not our day
        tell(f"notifications are left as they are: {error.message}")


class _Teller:
    """What becomes of notifications, for people."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell

    def handle(self, record: Record, state: RunState) -> None:
        if isinstance(record.event, NotificationClosed):
            self._tell(f"notification {record.event.notification}: closed, {record.event.outcome}")
        elif (said := phrase(record, state)) is not None:
            self._tell(said.text)


async def tell_the_end(notifier: Notifier | None, *, hurried: bool = False, died: bool = False) -> None:
    """The last deliveries, bounded; a signal cuts them short.

    `hurried`: we were told to leave at once; `died`: a fault has ended the run in the middle.
    """
    if notifier is None:
        return
    enough = anyio.Event()
    with anyio.CancelScope(shield=True):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_wait_for_a_signal, enough)
            await notifier.finish(HURRIED if hurried else LAST, died=died, enough=enough)
            tasks.cancel_scope.cancel()


async def _wait_for_a_signal(enough: anyio.Event) -> None:
    """The release has ended; nobody has to wait for the receivers."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async for _ in received:
            enough.set()
