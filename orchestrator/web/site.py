"""What the page answers to each request: read-only, and for nobody but who may look."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import unquote

from aiohttp import web

from orchestrator import __version__
from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.web.access import Access
from orchestrator.web.answers import FOR_EVER, answer
from orchestrator.web.assets import assets
from orchestrator.web.board import Board
from orchestrator.web.hub import Hub
from orchestrator.web.limits import Limits
from orchestrator.web.links import RUNS_EVENTS, events_url, run_url
from orchestrator.web.pages import message_page, run_page, runs_page, target_fragment
from orchestrator.web.stream import position, stream

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exposition:
    """What `/metrics` answers."""

    body: bytes
    headers: Mapping[str, str]
    """Content-Type, and Content-Encoding where the body is compressed."""


Metrics = Callable[[Mapping[str, str]], Awaitable[Exposition]]
"""Is given a request's headers, whose names it may write in any case; raises `OrchestratorError`."""


class Site:
    """Answers every request."""

    def __init__(
        self, hub: Hub, access: Access, *, clock: Callable[[], float], metrics: Metrics | None, limits: Limits
    ) -> None:
        self._hub = hub
        self._access = access
        self._clock = clock
        self._metrics = metrics
        self._limits = limits
        self._server = secrets.token_hex(8)
        self._version = sha256("".join([__version__, *sorted(assets())]).encode()).hexdigest()[:16]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        refusal = self._access.refusal(request.headers.get("Host"), request.headers.get("Authorization"))
        if refusal is not None:
            response = await answer(request, refusal.message + "\n", status=refusal.status, content_type="text/plain")
            response.headers.extend([("WWW-Authenticate", challenge) for challenge in refusal.challenges])
            return response
        if request.method not in {"GET", "HEAD"}:
            allow = {"Allow": "GET, HEAD"}
            page = message_page("Read-only", f"{request.method} is not allowed: this page only shows.")
            return await answer(request, page, status=405, headers=allow)
        try:
            return await self._route(request)
        except UsageError as error:
            return await answer(request, message_page("Not found", error.message, error.hint), status=404)
        except OrchestratorError as error:
            return await answer(request, message_page("Can't be read", str(error), error.hint), status=503)
        except (ConnectionError, web.HTTPException):
            raise
        except Exception as error:  # noqa: BLE001 - the answer to any request that fails is a page
            _log.warning("the page %s failed: %s: %s", request.rel_url.raw_path, type(error).__name__, error)
            page = message_page("Internal error", "This page can't be shown: the mistake is ours. Please report it.")
            return await answer(request, page, status=500)

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        match [unquote(part) for part in request.rel_url.raw_path.split("/")[1:]]:
            case [""]:
                made = self._runs(request)
            case ["events"]:
                made = self._stream(request, self._hub.runs)
            case ["runs", run]:
                made = self._run(request, run)
            case ["runs", run, "events"]:
                made = self._stream(request, await self._hub.feed(run))
            case ["runs", run, "target"]:
                made = self._target(request, run)
            case ["assets", _]:
                made = self._asset(request)
            case ["metrics"]:
                made = self._exposition(request)
            case _:
                raise _nothing_at(request)
        return await made

    async def _runs(self, request: web.BaseRequest) -> web.StreamResponse:
        runs = self._hub.runs
        await runs.refresh()
        events = f"{RUNS_EVENTS}?{position(runs, self._server)}"
        page = runs_page(runs.runs, where=runs.where, problem=runs.problem, events=events)
        return await answer(request, page, status=200 if runs.problem is None else 503)

    async def _run(self, request: web.BaseRequest, run: str) -> web.StreamResponse:
        try:
            feed = await self._hub.feed(run)
        except UsageError:
            found = await self._hub.find(run)  # by the beginning of its id
            return await answer(request, b"", status=302, headers={"Location": run_url(found)})
        target = request.rel_url.query.get("target")
        if target is not None:
            _check(target, feed.state.targets, run)
        events = None if feed.is_over else f"{events_url(run)}?{position(feed, self._server)}"
        page = run_page(feed.view, self._clock(), events=events, target=target)
        return await answer(request, page, status=200 if feed.problem is None else 503)

    async def _target(self, request: web.BaseRequest, run: str) -> web.StreamResponse:
        feed = await self._hub.feed(run)
        target = request.rel_url.query.get("id", "")
        _check(target, feed.state.targets, run)
        return await answer(request, target_fragment(feed.view, target, self._clock()))

    async def _stream(self, request: web.BaseRequest, board: Board) -> web.StreamResponse:
        return await stream(request, board, server=self._server, version=self._version, limits=self._limits)

    async def _asset(self, request: web.BaseRequest) -> web.StreamResponse:
        asset = assets().get(request.rel_url.raw_path)
        if asset is None:
            raise _nothing_at(request)
        return await answer(request, asset.content, content_type=asset.content_type, cache=FOR_EVER)

    async def _exposition(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._metrics is None:
            raise _nothing_at(request)
        found = await self._metrics(request.headers)
        return await answer(request, found.body, headers=found.headers)


def _nothing_at(request: web.BaseRequest) -> UsageError:
    return UsageError(f"there is nothing at {request.rel_url.path}", hint="the runs are at /")


def _check(target: str, targets: Mapping[str, object], run: str) -> None:
    if target not in targets:
        raise UsageError(f"run {run} has no target {target!r}")
