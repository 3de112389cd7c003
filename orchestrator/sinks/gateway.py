"""Metrics at a Pushgateway: one group of series for each manifest and environment, replaced as a whole.

A Pushgateway forgets nothing by itself. With POST, a metric that isn't pushed any more stays for ever: the series of a
target that has left the manifest, say. So a push is a PUT, which leaves nothing of the run before; and since that would
take away what only an earlier run knows, when it last succeeded, this is read from the gateway first. Where the gateway
doesn't let itself be read, POST is the lesser evil. Source: https://github.com/prometheus/pushgateway, its README.
"""

from __future__ import annotations

import base64
import http.client
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from orchestrator.core.errors import UsageError
from orchestrator.sinks.exports import Export
from orchestrator.sinks.exposition import TEXT, Format
from orchestrator.sinks.last_success import Successes, found_in

JOB = "orchestrator"

PATIENCE = 5.0
"""Seconds that any socket operation may take."""

READ_AT_MOST = 64_000_000
"""Bytes of the gateway's metrics that are looked through."""

Grouping = Callable[[], Mapping[str, str]]
"""The labels by which the gateway tells groups apart; empty as long as there is nothing to push."""


class Pushed(Protocol):
    """What is pushed: `sinks.metrics.Metrics`."""

    def render(self, form: Format) -> bytes: ...

    def render_lasting(self, form: Format) -> bytes: ...

    def add_last_success(self, earlier: Successes) -> None: ...


def to_gateway(metrics: Pushed, url: str, grouping: Grouping, *, cleanup: bool = False) -> Export:
    """`cleanup`: at the end only what stays true without the run is left there.

    Raises `UsageError` when `url` isn't one.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in {"http", "https"} or not parts.hostname or not _has_port(url):
        message = f"--pushgateway: {url!r} is no URL of a Pushgateway"
        raise UsageError(message, hint="such as http://pushgateway:9091")
    gateway = Gateway(metrics, url if "://" in url else f"http://{url}", grouping)
    # The name leaves out what may be a password.
    return Export(
        name=f"--pushgateway {parts.hostname}", send=gateway.push, end=gateway.clean_up if cleanup else gateway.push
    )


def _has_port(url: str) -> bool:
    try:
        return urlsplit(url if "://" in url else f"http://{url}").port != 0
    except ValueError:
        return False


@dataclass(slots=True)
class Gateway:
    """Each method blocks, and raises OSError."""

    metrics: Pushed
    url: str
    grouping: Grouping
    _knows_earlier: bool = field(default=False, init=False)
    """The time of the last success that stood there is ours to keep."""

    def push(self) -> None:
        """Replaces the group by the metrics as they are now."""
        group = self.grouping()
        if not group:
            return
        self._read_earlier(group)
        self._send("PUT" if self._knows_earlier else "POST", group, self.metrics.render(TEXT))

    def clean_up(self) -> None:
        """Replaces the group by what stays true when the run is over; without any such thing it goes."""
        group = self.grouping()
        if not group:
            return
        self._read_earlier(group)
        if not self._knows_earlier:  # better what is stale than to lose what nobody else knows
            self._send("POST", group, self.metrics.render(TEXT))
            return
        lasting = self.metrics.render_lasting(TEXT)
        has_any = any(not line.startswith(b"#") for line in lasting.splitlines())
        self._send("PUT" if has_any else "DELETE", group, lasting if has_any else b"")

    def _read_earlier(self, group: Mapping[str, str]) -> None:
        if self._knows_earlier:
            return
        try:
            with _asked(self._request("GET", "/metrics")) as answer:
                earlier = found_in(_lines(answer), {"job": JOB, **group})
        except HTTPError as error:
            error.close()
            return  # it may let others push and nobody read; what it says to the push counts
        except ValueError:
            return
        self.metrics.add_last_success(earlier)
        self._knows_earlier = True

    def _send(self, method: str, group: Mapping[str, str], body: bytes) -> None:
        path = "".join(f"/{_segment(name, value)}" for name, value in group.items())
        request = self._request(method, f"/metrics/job/{JOB}{path}")
        request.data = body
        request.add_header("Content-Type", TEXT.content_type)
        try:
            with _asked(request):
                pass
        except HTTPError as error:
            with error:
                reason = error.read(300).decode(errors="replace").strip()
            raise OSError(f"HTTP {error.code} {error.reason}{f': {reason}' if reason else ''}") from None

    def _request(self, method: str, path: str) -> Request:
        """`user:password@` of the URL goes where HTTP wants it."""
        parts = urlsplit(self.url)
        address = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/") + path, "", ""))
        request = Request(address, method=method)  # noqa: S310 - http or https, as `to_gateway` has seen to
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            request.add_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
        return request


@contextmanager
def _asked(request: Request) -> Iterator[http.client.HTTPResponse]:
    try:
        with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - as above
            yield answer
    except http.client.HTTPException as error:
        raise OSError(f"not an answer of HTTP: {error!r}") from None


def _lines(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Raises ValueError when there are too many to look through."""
    read = 0
    for each in answer:
        read += len(each)
        if read > READ_AT_MOST:
            raise ValueError(f"more than {READ_AT_MOST // 1_000_000} MB of metrics at the gateway")
        yield each


def _segment(name: str, value: str) -> str:
    """A label in the path of a group: values that a path can't hold are in base64, as the gateway's README says."""
    if not value or "/" in value:
        return f"{name}@base64/{base64.urlsafe_b64encode(value.encode()).decode() or '='}"
    return f"{name}/{quote(value, safe='')}"
