"""HTTP for gates: one request, a bounded answer, and faults in words that hold no URL, header or token."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio

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
        raise CannotAskError(_why(error, url)) from None


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    while len(body) < BODY and (piece := await answer.content.read(BODY - len(body))):
        body += piece
    return bytes(body)


def _why(error: Exception, url: str) -> str:
    import aiohttp  # noqa: PLC0415 - as above

    host = urlsplit(url).hostname or "the host"
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"{host} can't be resolved"
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
            return f"the certificate of {host} can't be trusted"
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno
            return "no connection" if number is None else os.strerror(number).lower()
        case aiohttp.ServerDisconnectedError() | ConnectionError():
            return "the connection was lost"
        case aiohttp.InvalidURL():
            return "not a URL"
        case _:
            return f"no answer that can be read ({type(error).__name__})"
