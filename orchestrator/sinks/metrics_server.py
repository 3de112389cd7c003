"""`/metrics` over HTTP, for a Prometheus that scrapes: in threads of its own, so that no scrape delays the release."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from socketserver import TCPServer, ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from orchestrator.core import addresses
from orchestrator.core.errors import UsageError
from orchestrator.sinks.negotiation import Render, metrics_response

EXAMPLE = 9464
"""A port that others use for this, too."""
_REQUEST_TIMEOUT = 10.0
_SHUTDOWN_POLL = 0.05


def parse_listen(text: str) -> tuple[str, int]:
    """Raises `UsageError`."""
    return addresses.parse_listen(text, "--metrics-listen", EXAMPLE)


@contextmanager
def metrics_server(render: Render, host: str, port: int) -> Iterator[str]:
    """Serves until the block is left; gives the URL, with the real port where 0 was asked for.

    Raises `UsageError` when the address can't be had.
    """
    server = _listen(render, host, port)
    thread = threading.Thread(target=server.serve_forever, args=(_SHUTDOWN_POLL,), name="metrics", daemon=True)
    thread.start()
    try:
        yield _url(host, server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _url(host: str, port: object) -> str:
    return f"http://{addresses.in_url(host)}:{port}/metrics"


def _listen(render: Render, host: str, port: int) -> _Server:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        server = (_Server6 if family == socket.AF_INET6 else _Server)((str(address[0]), int(address[1])), _Handler)
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"--metrics-listen: can't listen on {host}:{port}: {reason}"
        raise UsageError(message, hint="choose another port, or 0 for any that is free") from None
    server.set_app(_app(render))
    return server


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Without the library's look-up of the host's full name, which may ask a DNS server that isn't there."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is nobody's business; the library would print a traceback into our output."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = _REQUEST_TIMEOUT

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """No line for each scrape."""


def _app(render: Render) -> WSGIApplication:
    one_at_a_time = threading.Lock()  # many scrapers may wait; they don't take all of the CPU together

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if environ.get("PATH_INFO") != "/metrics":
            return _plain(start_response, "404 Not Found", b"not found; the metrics are at /metrics\n")
        if method not in {"GET", "HEAD"}:
            return _plain(start_response, "405 Method Not Allowed", b"GET or HEAD\n", ("Allow", "GET, HEAD"))
        with one_at_a_time:
            accept, encoding = environ.get("HTTP_ACCEPT", ""), environ.get("HTTP_ACCEPT_ENCODING", "")
            body, headers = metrics_response(render, accept, encoding)
        start_response("200 OK", [*headers.items(), ("Content-Length", str(len(body)))])
        return [b"" if method == "HEAD" else body]

    return answer


def _plain(start_response: StartResponse, status: str, text: bytes, *more: tuple[str, str]) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), *more])
    return [text]
