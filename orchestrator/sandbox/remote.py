"""A running sandbox, from another process: the other end of `control`. Needs neither aiohttp nor the SDK."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import shlex
from collections.abc import Mapping
from ipaddress import ip_address
from time import gmtime, strftime
from typing import Any
from urllib.parse import quote, urlsplit

from orchestrator.sandbox.control import PREFIX, SERVICE
from orchestrator.sandbox.errors import Json
from orchestrator.sandbox.signature import authorization

_SECONDS = 30
_EXPORT = re.compile(r"\s*(?:export\s+)?(\w+)=(.*)")


class RemoteError(Exception):
    """No sandbox there, or it refuses. `is_input`: whether what it was asked for is wrong."""

    def __init__(self, message: str, *, is_input: bool = False) -> None:
        super().__init__(message)
        self.is_input = is_input


def read_exports(text: str) -> dict[str, str]:
    """The variables of a file that `--env-file` has written."""
    lines = (_EXPORT.fullmatch(line) for line in text.splitlines())
    return {found[1]: "".join(shlex.split(found[2])) for found in lines if found}


class Remote:
    """The sandbox that the variables lead to, those of the export lines."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Raises `RemoteError` for variables that lead to no sandbox."""
        self.url = environment.get("AWS_ENDPOINT_URL") or environment.get("AWS_ENDPOINT_URL_CODEDEPLOY") or ""
        if not self.url:
            raise RemoteError("AWS_ENDPOINT_URL is not set: which sandbox?", is_input=True)
        parts = urlsplit(self.url)
        if parts.scheme != "http" or not _is_loopback(parts.hostname or ""):
            raise RemoteError(f"{self.url} is no sandbox: that would be http:// on a loopback address", is_input=True)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._netloc = parts.netloc
        self._keys = {name: environment.get(f"AWS_{name}", "") for name in _KEYS}

    def ask(self, method: str, *path: str) -> Json:
        """Raises `RemoteError`."""
        target = PREFIX + "/".join(quote(part, safe="") for part in path)
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_SECONDS)
        try:
            connection.request(method, target, headers=self._headers(method, target))
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise RemoteError(f"no sandbox answers at {self.url}: {error}") from None
        finally:
            connection.close()
        return _answer(self.url, response.status, body)

    def _headers(self, method: str, target: str) -> dict[str, str]:
        moment = strftime("%Y%m%dT%H%M%SZ", gmtime())
        headers = {"Host": self._netloc, "X-Amz-Date": moment}
        if token := self._keys["SESSION_TOKEN"]:
            headers["X-Amz-Security-Token"] = token
        headers["Authorization"] = authorization(
            method=method,
            path=target,
            headers=headers,
            payload=hashlib.sha256(b"").hexdigest(),
            key=self._keys["ACCESS_KEY_ID"],
            secret=self._keys["SECRET_ACCESS_KEY"],
            service=SERVICE,
        )
        return headers


_KEYS = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")


def _answer(url: str, status: int, body: bytes) -> Json:
    try:
        found: Any = json.loads(body)
    except ValueError:
        found = None
    answer: Json = found if isinstance(found, dict) else {}
    if status == 200 and answer:
        return answer
    message = answer.get("error")
    if message is None:
        raise RemoteError(f"what answers at {url} is no sandbox (HTTP {status})")
    raise RemoteError(str(message), is_input=status in (403, 404))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
