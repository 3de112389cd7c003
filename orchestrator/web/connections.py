"""Connections below the answers: no more of them than can be borne, and what is no HTTP gets a plain no."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from orchestrator.web.access import HEADERS
from orchestrator.web.limits import Limits

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connections(web.Server):
    """aiohttp's server, within limits."""

    def __init__(self, handle: Handle, limits: Limits) -> None:
        # A request whose browser has gone is given up at once: streams end with their readers.
        super().__init__(handle, handler_cancellation=True)
        self._limits = limits
        self._settings: dict[str, Any] = {
            "access_log": None,
            "logger": _quiet(),
            "keepalive_timeout": limits.idle,
            "lingering_time": limits.last_words,
        }

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), **self._settings)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self.connections) > self._limits.connections:
            transport.abort()


class _Connection(web.RequestHandler):
    """Says no with the headers of all other answers, and without what was sent."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        super().handle_error(request, status, exc, message)
        response = web.Response(status=status, text="this can't be answered\n", headers=HEADERS)
        response.force_close()
        return response


def _quiet() -> logging.Logger:
    """What aiohttp says of clients that break off, or that talk no HTTP, is nobody's business."""
    found = logging.getLogger(f"{__name__}.aiohttp")
    found.setLevel(logging.CRITICAL)
    return found
