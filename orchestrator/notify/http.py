"""HTTP to receivers: one request, a bounded time and answer, and faults in words that hold no URL or token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio

from orchestrator import __version__
from orchestrator.core.notifications import NotDeliveredError
from orchestrator.wording.http_faults import why_no_answer
from orchestrator.wording.text import one_line

if TYPE_CHECKING:
    import aiohttp

CALL = 5.0
"""Seconds for one request, from looking the host up to the last byte of the answer."""

BODY = 1024 * 1024
"""Bytes of an answer that are read; a list of a hundred GitHub deployments has some 300 kB."""

CLOSING = 1.0
"""Seconds that closing the connections may take."""

RETRY_LATER = frozenset({408, 425, 429})
MOVED = range(300, 400)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def fault(self, said: str = "") -> NotDeliveredError:
        """What this answer means for who wanted to deliver. `said`: the receiver's own words."""
        words = f": {one_line(said, 200)}" if said else ""
        if self.status in MOVED:
            return NotDeliveredError(f"HTTP {self.status}: redirects aren't followed", final=True)
        later = self.status in RETRY_LATER or self.status >= 500
        return NotDeliveredError(f"HTTP {self.status}{words}", final=not later, retry_after=self.retry_after)

    @property
    def retry_after(self) -> float | None:
        """Seconds; None where it doesn't say, or says it as a date."""
        value = self.headers.get("Retry-After", "")
        return float(value) if value.isdigit() else None


class Http:
    """Requests of all receivers, over one pool of connections that the first of them opens."""

    def __init__(self, environment: Mapping[str, str], *, limit: float = CALL) -> None:
        """Proxies are those of `environment`: HTTPS_PROXY, HTTP_PROXY and NO_PROXY. Nothing else of it counts.

        `limit`: seconds for one request.
        """
        self._limit = limit
        self._proxies = proxies_of(environment)
        self._session: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        if self._session is not None:
            with anyio.move_on_after(CLOSING, shield=True):
                await self._session.close()

    async def send(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """One request; redirects aren't followed, since neither tokens nor what is told must travel.

        Raises `NotDeliveredError` when there is no answer, and TimeoutError.
        """
        import aiohttp  # noqa: PLC0415 - 0.2 s of CPU that only those pay for who notify

        if self._session is None:
            # Not trust_env: it would also read ~/.netrc, and put what stands there in place of our token.
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None), cookie_jar=aiohttp.DummyCookieJar()
            )
        headers = {"User-Agent": f"orchestrator/{__version__}", **headers}
        try:
            with anyio.fail_after(self._limit):
                async with self._session.request(
                    method, url, headers=headers, data=body, allow_redirects=False, proxy=self._proxy_for(url)
                ) as answer:
                    content = await _read(answer.content)
                    return Answer(answer.status, dict(answer.headers), content)
        except TimeoutError:
            raise NotDeliveredError(f"no answer within {self._limit:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotDeliveredError(why_no_answer(error, url)) from None

    async def send_json(self, method: str, url: str, data: object, *, token: str | None = None) -> Answer:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return await self.send(method, url, headers=headers, body=json.dumps(data).encode())

    def _proxy_for(self, url: str) -> str | None:
        from urllib.request import (  # type: ignore[attr-defined] # noqa: PLC0415 - 20 ms that only notifiers pay for
            proxy_bypass_environment,  # in no list of types, and what http.client's own users go by
        )

        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme)
        if proxy is None or proxy_bypass_environment(parts.netloc, dict(self._proxies)):
            return None
        return proxy


def proxies_of(environment: Mapping[str, str]) -> dict[str, str]:
    """By scheme, and under `no` what goes without; the names in small letters win, as curl has it."""
    found = {}
    for scheme in ("http", "https", "no"):
        value = environment.get(f"{scheme}_proxy") or environment.get(f"{scheme}_proxy".upper())
        if value:
            found[scheme] = value
    return found


async def _read(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    while len(body) < BODY and (piece := await content.read(BODY - len(body))):
        body += piece
    return bytes(body)
