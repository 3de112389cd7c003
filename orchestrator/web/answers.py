"""Whole answers: with the headers that all of them have, compressed where that pays."""

from __future__ import annotations

import gzip
from collections.abc import Mapping

import anyio.to_thread
from aiohttp import web

from orchestrator.web.access import HEADERS

WORTH = 1400
"""Bytes that fit into one packet anyway."""
LEVEL = 4
NO_STORE = "no-store"
FOR_EVER = "public, max-age=31536000, immutable"


async def answer(
    request: web.BaseRequest,
    body: str | bytes,
    *,
    status: int = 200,
    content_type: str = "text/html",
    cache: str = NO_STORE,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    data = body.encode(errors="replace") if isinstance(body, str) else body
    response = web.Response(status=status, headers={**HEADERS, "Cache-Control": cache, "Vary": "Accept-Encoding"})
    response.headers["Content-Type"] = f"{content_type}; charset=utf-8"
    response.headers.update(headers or {})
    if len(data) > WORTH and "Content-Encoding" not in response.headers and takes_gzip(request):
        data = await anyio.to_thread.run_sync(lambda: gzip.compress(data, LEVEL, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
    response.body = data
    return response


def takes_gzip(request: web.BaseRequest) -> bool:
    """By its Accept-Encoding (RFC 9110, 12.5.3)."""
    for each in request.headers.get("Accept-Encoding", "").split(","):
        name, _, weight = each.partition(";")
        if name.strip().lower() in {"gzip", "*"}:
            return weight.replace(" ", "").lower() not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
