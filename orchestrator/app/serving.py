"""The page: by itself (`serve`), and beside a run, in a thread of its own."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial

import anyio
import anyio.to_thread
from anyio.from_thread import start_blocking_portal

from orchestrator.app.history import History
from orchestrator.app.stores import State, is_alive, open_state
from orchestrator.core.addresses import parse_listen
from orchestrator.core.blobs import BlobPatience
from orchestrator.web.access import Access, read_access
from orchestrator.web.live import LiveSink
from orchestrator.web.server import PageOptions, PageServer, page_server
from orchestrator.web.site import Exposition, Metrics

PORT = 9465
"""The example in messages, and the default of `serve`."""

NEAR = 0.5
FAR = 10.0
"""Seconds between two looks at the list of runs and at who is alive: in a folder, and in S3, where each is paid for."""

PATIENCE = BlobPatience(seconds=5.0, credentials=5.0)
"""People are told that the state can't be reached, rather than nothing at all for a minute."""


_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """Where to listen, and over which runs."""

    host: str
    port: int
    access: Access
    option: str
    state: str | None
    """As `--state`."""
    env: Mapping[str, str]


def serving(listen: str, state: str | None, env: Mapping[str, str], *, option: str) -> Serving:
    """Raises `UsageError` for a bad address, and without a token where one is needed."""
    host, port = parse_listen(listen, option, PORT)
    return Serving(host=host, port=port, access=read_access(host, env, option), option=option, state=state, env=env)


async def serve(where: Serving, *, ready: Callable[[str], None]) -> None:
    """Until SIGINT or SIGTERM. `ready` is given the URL. Raises `UsageError` when the address can't be had."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async with page(where, warm=True) as served:
            ready(served.url)
            async for _ in received:
                break


@asynccontextmanager
async def page(where: Serving, *, warm: bool = False) -> AsyncIterator[PageServer]:
    """On this event loop. `warm`: see `PageOptions`."""
    async with open_state(where.state, None, where.env, patience=PATIENCE) as state:
        every = NEAR if state.session is None else FAR
        options = PageOptions(
            host=where.host,
            port=where.port,
            access=where.access,
            option=where.option,
            list_every=every,
            warm=warm and state.session is None,
        )
        alive = partial(is_alive, state) if state.session is None else _remembered(partial(is_alive, state), every)
        metrics = _metrics_of(state, every)
        async with page_server(state.runs, alive, options, clock=time.time, metrics=metrics) as served:
            yield served


def _metrics_of(state: State, every: float) -> Metrics:
    """What `/metrics` answers over the runs of a state."""
    history = History(state.runs, every=every)

    async def answer(headers: Mapping[str, str]) -> Exposition:
        body, about = await history.answer(headers.get("Accept", ""), headers.get("Accept-Encoding", ""))
        return Exposition(body=body, headers=about)

    return answer


@asynccontextmanager
async def page_beside(where: Serving) -> AsyncIterator[tuple[str, LiveSink]]:
    """In a thread of its own, so that drawing never holds up the run: the page's URL, and what it is told events by.

    Raises `UsageError` when the address can't be had.
    """
    with ExitStack() as stack:
        stack.enter_context(_quick_switches())
        portal = stack.enter_context(start_blocking_portal())
        served = portal.wrap_async_context_manager(page(where))
        found = served.__enter__()
        try:
            yield found.url, LiveSink(portal.start_task_soon, found.take)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_end, served)


@contextmanager
def _quick_switches() -> Iterator[None]:
    """For the block, the interpreter goes from thread to thread ten times as soon as usual.

    The engine wakes for moments, and would wait 5 ms for each of them while a page is being drawn.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 10)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def _end(served: AbstractContextManager[PageServer]) -> None:
    """Within a bounded time. Without the run's error, which would come back changed; and none of the page's is one."""
    try:
        served.__exit__(None, None, None)
    except Exception as error:  # noqa: BLE001 - the release has gone as it has gone, whatever becomes of its page
        _log.warning("the page ended badly: %s: %s", type(error).__name__, error)


def _remembered(ask: Callable[[str], Awaitable[bool]], seconds: float) -> Callable[[str], Awaitable[bool]]:
    """The same answer for so long."""
    known: dict[str, tuple[float, bool]] = {}

    async def answer(run: str) -> bool:
        now = anyio.current_time()
        if run not in known or now - known[run][0] >= seconds:
            known[run] = (now, await ask(run))
        return known[run][1]

    return answer
