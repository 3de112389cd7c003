"""HTTP for gates: one request, a bounded answer, and faults in words that hold no URL, header or token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from orchestrator.wording.http_faults import why_no_answer

if TYPE_CHECKING:
    import aiohttp

BODY = 1024 * 1024
"""Bytes of an answer that are looked at."""


class CannotAskError(Exception):
    """There was no answer; the text says why, for people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    status: int
    body: bytes
    """Its first megabyte."""
    seconds: float
    """From the request to the end of the answer, or to its first megabyte."""


async def ask(
    method: str, url: str, *, headers: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None
) -> Reply:
    """One request; redirects aren't followed, since a token must not travel. Raises `CannotAskError`.

    The caller's own deadline ends one that hangs. Proxies are those of the environment.
    """
    import aiohttp  # noqa: PLC0415 - 0.2 s of CPU that only gates of this kind pay for

    began = anyio.current_time()
    timeout = aiohttp.ClientTimeout(total=None)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.request(method, url, headers=headers, data=form, allow_redirects=False) as answer,
        ):
            body = await _body(answer)
            return Reply(status=answer.status, body=body, seconds=anyio.current_time() - began)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise CannotAskError(why_no_answer(error, url)) from None


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    while len(body) < BODY and (piece := await answer.content.read(BODY - len(body))):
        body += piece
    return bytes(body)
