"""An S3 that is far away: a process of its own on loopback that takes uploads at the pace of a real network, keeps
nothing, and answers RegisterApplicationRevision besides.

    python -m tests.benchmarks.slow_s3 '{"latency": 0.03, "connection": 40, "total": 100}'

Latency in seconds (a round trip), the others in MB/s; 0 is no limit. It prints one line of JSON: port and path of
its certificate. `GET /stats` says what came in. TLS, as S3 is; what a body holds is only counted, so that the server
takes little of the machine's time.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MB = 1_000_000
_BUFFER = 256 * 1024
_RECEIVE_WINDOW = 256 * 1024
"""Bytes that the kernel takes in advance; more would look like a faster network."""
_TICK = 0.002
"""Seconds; shorter waits aren't worth a timer."""


@dataclass
class Stats:
    bytes: int = 0
    """Of objects and parts."""
    objects: int = 0
    parts: int = 0
    open_uploads: int = 0
    connections: int = 0


class Pace:
    """When so many bytes have gone over a line of this speed."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free = 0.0

    def after(self, size: int, now: float) -> float:
        """The loop's time at which the line has carried them."""
        if not self._rate:
            return now
        self._free = max(self._free, now - _TICK) + size / self._rate
        return self._free


class Connection(asyncio.BufferedProtocol):
    """Reads requests one after the other, and answers each a round trip after its end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, latency: float, own: Pace, shared: Pace, stats: Stats) -> None:
        self._loop = loop
        self._latency = latency
        self._paces = (own, shared)
        self._stats = stats
        self._buffer = bytearray(_BUFFER)
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._body = Body()
        self._answers: Callable[[int], bytes] | None = None
        self._handshake = 2 * latency

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._stats.connections += 1

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)

    def buffer_updated(self, nbytes: int) -> None:
        self._pause(nbytes)
        data: bytes | memoryview = memoryview(self._buffer)[:nbytes]
        while data:
            data = self._of_body(data) if self._answers is not None else self._of_head(bytes(data))

    def _pause(self, size: int) -> None:
        assert self._transport is not None
        now = self._loop.time()
        # A new connection takes two round trips, for TCP and for TLS, before anything is sent on it.
        ready, self._handshake = now + self._handshake, 0.0
        for pace in self._paces:
            ready = max(ready, pace.after(size, now))
        if ready - now > _TICK:
            self._transport.pause_reading()
            self._loop.call_at(ready, self._go_on)

    def _go_on(self) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _of_head(self, data: bytes) -> bytes:
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return b""
        head, rest = self._head[:end].decode("latin-1"), self._head[end + 4 :]
        self._head = b""
        line, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
        method, target, _ = line.split(" ", 2)
        self._body = Body(headers)
        self._answers = lambda size: self._answer(method, target, size)
        if headers.get("expect", "").lower() == "100-continue":
            self._later(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._body.is_done:
            self._finish()
        return rest

    def _of_body(self, data: bytes | memoryview) -> memoryview:
        rest = self._body.feed(memoryview(data))
        if self._body.is_done:
            self._finish()
        return rest

    def _finish(self) -> None:
        assert self._answers is not None
        answer, self._answers = self._answers(self._body.size), None
        self._later(answer)

    def _later(self, data: bytes) -> None:
        self._loop.call_later(self._latency, self._send, data)

    def _send(self, data: bytes) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(data)

    def _answer(self, method: str, target: str, size: int) -> bytes:
        path, _, query = target.partition("?")
        if path == "/stats":
            return _response(json.dumps(asdict(self._stats)).encode())
        if method == "PUT":
            return self._stored(query, size)
        if method == "POST" and path != "/":
            return self._of_upload(begins=re.match(r"uploads(=|&|$)", query) is not None)
        if method == "DELETE":
            self._stats.open_uploads -= 1
        if method == "HEAD" and path.count("/") == 1:
            return _response(b"")  # a bucket; objects are never there
        return _response(*_PLAIN.get(method, (b"{}", "200 OK")))

    def _stored(self, query: str, size: int) -> bytes:
        self._stats.bytes += size
        if "partNumber=" in query:
            self._stats.parts += 1
        else:
            self._stats.objects += 1
        return _response(b"", more='ETag: "00000000000000000000000000000000"\r\n')

    def _of_upload(self, *, begins: bool) -> bytes:
        if begins:
            self._stats.open_uploads += 1
            return _response(_result("InitiateMultipartUpload", "<UploadId>u</UploadId>"))
        self._stats.open_uploads -= 1
        self._stats.objects += 1
        return _response(_result("CompleteMultipartUpload", "<ETag>&quot;0-1&quot;</ETag>"))


class Body:
    """Counts a body, with a length or in chunks."""

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        headers = headers or {}
        self._is_chunked = "chunked" in headers.get("transfer-encoding", "")
        self._left = int(headers.get("content-length", 0))
        self._line = b""
        self._is_last = False
        self.size = int(headers.get("x-amz-decoded-content-length", self._left))
        self.is_done = not self._is_chunked and not self._left

    def feed(self, data: memoryview) -> memoryview:
        """What is left of it for the next request."""
        while data and not self.is_done:
            if self._left:
                taken = min(self._left, len(data))
                self._left -= taken
                data = data[taken:]
                self.is_done = not self._is_chunked and not self._left
            else:
                data = self._chunk_line(data)
        return data

    def _chunk_line(self, data: memoryview) -> memoryview:
        """A chunk's size, or the end of one."""
        head = bytes(data[:64])
        end = head.find(b"\n")
        if end < 0:
            self._line += head
            return data[len(head) :]
        line = (self._line + head[:end]).strip()
        self._line = b""
        if line:
            self._left = int(line.split(b";")[0], 16)
            self._is_last = not self._left
        elif self._is_last:
            self.is_done = True
        return data[end + 1 :]


_PLAIN: Mapping[str, tuple[bytes, str]] = {
    "HEAD": (b"", "404 Not Found"),
    "GET": (b"<ListMultipartUploadsResult/>", "200 OK"),
    "DELETE": (b"", "204 No Content"),
}
"""What is answered to a method, whatever it is about."""


def _result(operation: str, content: str) -> bytes:
    return f"<{operation}Result>{content}</{operation}Result>".encode()


def _response(body: bytes, status: str = "200 OK", *, more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


async def serve(latency: float, connection: float, total: float, folder: Path) -> None:
    loop, stats, shared = asyncio.get_running_loop(), Stats(), Pace(total * MB)
    pem = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_WINDOW)
    server = await loop.create_server(
        lambda: Connection(loop, latency, Pace(connection * MB), shared, stats), sock=listening, ssl=context
    )
    print(json.dumps({"port": listening.getsockname()[1], "certificate": str(pem)}), flush=True)
    await server.serve_forever()


def main(arguments: str) -> None:
    options = json.loads(arguments)
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as folder:
        asyncio.run(
            serve(options.get("latency", 0), options.get("connection", 0), options.get("total", 0), Path(folder))
        )


if __name__ == "__main__":
    main(sys.argv[1])
