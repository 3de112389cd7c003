"""A page's EventSource: what has changed, as it changes, for one browser."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping

import anyio
from aiohttp import web

from orchestrator.web.access import HEADERS
from orchestrator.web.answers import takes_gzip
from orchestrator.web.board import MAIN, Board
from orchestrator.web.html import Markup
from orchestrator.web.limits import Limits

RETRY = 1000
"""Milliseconds after which a browser that has lost its connection asks again."""


async def stream(
    request: web.BaseRequest, board: Board, *, server: str, version: str, limits: Limits
) -> web.StreamResponse:
    """The answer, written to its end.

    `server`: a word that no other server has; `version`: of the program: a page of another one loads itself anew.
    """
    out = _Out(request, limits.patience)
    await out.open()
    if request.method == "HEAD":
        return out.response
    try:
        with board.watched():
            await out.send(f"retry: {RETRY}\nevent: hello\ndata: {json.dumps({'version': version})}\n\n")
            await _tell(out, board, _missed(request, board, server), limits.heartbeat)
    except _GoneError:
        if request.transport is not None:
            request.transport.abort()
    return out.response


async def _tell(out: _Out, board: Board, changed: Mapping[str, Markup], heartbeat: float) -> None:
    while True:
        seen = board.version
        if changed:
            await out.send(_update(board.seq, changed))
        if seen == board.version and (board.is_over or board.is_closing):
            await out.send(f"event: {'over' if board.is_over else 'closing'}\ndata: {board.seq}\n\n")
            return
        with anyio.move_on_after(heartbeat) as waiting:
            await board.newer(seen)
        if waiting.cancelled_caught:
            await out.send(f": still here\nevent: beat\ndata: {board.seq}\n\n")
        changed = board.since(seen)


def position(board: Board, server: str) -> str:
    """The query of an EventSource's URL, for a page that shows the newest drawing."""
    return f"from={server}.{board.version}"


def _missed(request: web.BaseRequest, board: Board, server: str) -> Mapping[str, Markup]:
    """What a browser lacks that comes back (it names an event), or that has just loaded its page (a drawing)."""
    query = request.rel_url.query
    event = request.headers.get("Last-Event-ID") or query.get("after")
    if event is not None:
        return board.since_event(int(event)) if _is_number(event) else board.since(0)
    known, _, drawing = query.get("from", "").partition(".")
    is_known = known == server and _is_number(drawing) and int(drawing) <= board.version
    return board.since(int(drawing) if is_known else 0)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 16


def _update(seq: int, changed: Mapping[str, Markup]) -> str:
    found = {"main": changed[MAIN]} if MAIN in changed else {"parts": changed}
    data = json.dumps({"seq": seq, **found}, ensure_ascii=False, separators=(",", ":"))
    return f"id: {seq}\nevent: update\ndata: {data}\n\n"


class _GoneError(Exception):
    """Nobody reads what we write."""


class _Out:
    """A response that goes out piece by piece, compressed where the browser takes that."""

    def __init__(self, request: web.BaseRequest, patience: float) -> None:
        headers = {
            **HEADERS,
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "Vary": "Accept-Encoding",
            "X-Accel-Buffering": "no",  # nginx would gather
        }
        self._compressor = None
        if takes_gzip(request):
            headers["Content-Encoding"] = "gzip"
            self._compressor = zlib.compressobj(level=1, wbits=31)
        self.response = web.StreamResponse(headers=headers)
        self._request = request
        self._patience = patience

    async def open(self) -> None:
        await self.response.prepare(self._request)

    async def send(self, text: str) -> None:
        """Raises `_GoneError`."""
        data = text.encode(errors="replace")
        if self._compressor is not None:
            data = self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        try:
            with anyio.fail_after(self._patience):
                await self.response.write(data)
        except (TimeoutError, ConnectionError) as error:
            raise _GoneError from error
