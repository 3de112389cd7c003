"""The page's server: listens, and ends so that everybody has seen the last of it."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from aiohttp import web

from orchestrator.core.addresses import in_url
from orchestrator.core.errors import UsageError
from orchestrator.core.events import Record
from orchestrator.core.runs import RunStore
from orchestrator.web.access import Access
from orchestrator.web.connections import Connections
from orchestrator.web.hub import Hub
from orchestrator.web.limits import Limits
from orchestrator.web.site import Metrics, Site

LIMITS = Limits()


@dataclass(frozen=True, kw_only=True, slots=True)
class PageOptions:
    host: str
    port: int
    """0: any that is free."""
    access: Access
    list_every: float
    """Seconds between two looks at the list of runs, while somebody looks at it."""
    option: str = "--listen"
    """That chose the address, for messages."""
    limits: Limits = LIMITS
    warm: bool = False
    """Have the newest run ready before anybody asks for it; where looking costs nothing."""


@dataclass(frozen=True, eq=False, slots=True)
class PageServer:
    """A page that is being served."""

    url: str
    take: Callable[[Sequence[Record]], None]
    """Takes events of the run that this process carries on; see `Hub.take`."""


@asynccontextmanager
async def page_server(
    store: RunStore,
    is_alive: Callable[[str], Awaitable[bool]],
    options: PageOptions,
    *,
    clock: Callable[[], float],
    metrics: Metrics | None = None,
) -> AsyncIterator[PageServer]:
    """Serves until the block is left; then all who look see the last of it. `clock` gives epoch seconds.

    Raises `UsageError` when the address can't be had.
    """
    limits, refused = options.limits, None
    async with anyio.create_task_group() as tasks:
        hub = Hub(store, is_alive, tasks=tasks, list_every=options.list_every, clock=clock)
        site = Site(hub, options.access, clock=clock, metrics=metrics, limits=limits)
        runner = web.ServerRunner(Connections(site.handle, limits), shutdown_timeout=limits.last_words)
        await runner.setup()
        try:
            url = await _listen(runner, options)
            if options.warm:
                tasks.start_soon(hub.warm)
            yield PageServer(url, hub.take)
        except UsageError as error:
            refused = error  # the task group would wrap it
        finally:
            with anyio.CancelScope(shield=True):
                await hub.close()
                await runner.cleanup()
            tasks.cancel_scope.cancel()
    if refused is not None:
        raise refused


async def _listen(runner: web.ServerRunner, options: PageOptions) -> str:
    try:
        await web.TCPSite(runner, options.host, options.port).start()
    except OSError as error:
        reason = "somebody else listens there" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise UsageError(
            f"{options.option}: can't listen on {in_url(options.host)}:{options.port}: {reason}",
            hint="choose another port, or 0 for any that is free",
        ) from None
    return f"http://{in_url(options.host)}:{runner.addresses[0][1]}/"
