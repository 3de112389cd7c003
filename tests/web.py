"""The page over HTTP as a client sees it, byte by byte where that matters."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from orchestrator.core.events import Record
from orchestrator.core.runs import RunStore
from orchestrator.store.local import LocalStore
from orchestrator.web.access import Access
from orchestrator.web.limits import Limits
from orchestrator.web.server import LIMITS, PageOptions, PageServer, page_server
from orchestrator.web.site import Metrics

RUN = "20251125-120000-big"
NOW = 1_764_073_000.0


@dataclass
class Answer:
    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


async def answer_to(port: int, raw: bytes) -> bytes:
    """All that comes until the connection is closed. What is sent is sent as it is."""
    async with await anyio.connect_tcp("127.0.0.1", port) as connection:
        await connection.send(raw)
        with anyio.fail_after(30):
            return b"".join([piece async for piece in connection])


async def ask(port: int, path: str, *, method: str = "GET", **headers: str) -> Answer:
    """`headers`: underscores stand for hyphens. Without a `Host` it is the loopback's own."""
    given = {"Host": f"127.0.0.1:{port}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "Connection: close"]
    found = await answer_to(port, "\r\n".join([*lines, "", ""]).encode("latin-1"))
    head, _, body = found.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    pairs = [(line.partition(": ")[0], line.partition(": ")[2]) for line in rest]
    return Answer(int(first.split()[1]), pairs, body)


@dataclass
class Events:
    """An EventSource: what has come so far, and what comes next."""

    stream: BufferedByteReceiveStream
    head: str
    raw: str = ""
    seen: list[tuple[str, Any]] = field(default_factory=list)

    async def next(self, kind: str | None = None) -> Any:
        """The data of the next event (of this kind). Raises EOFError at the end."""
        while True:
            lines: dict[str, str] = {}
            while (line := await self._line()) != "":
                name, _, value = line.partition(": ")
                lines[name] = value
            if "event" in lines:
                data = json.loads(lines["data"])
                self.seen.append((lines["event"], data))
                if kind in {None, lines["event"]}:
                    return data

    async def _line(self) -> str:
        try:
            with anyio.fail_after(30):
                line = (await self.stream.receive_until(b"\n", 2**24)).decode()
        except anyio.IncompleteRead:
            raise EOFError from None
        self.raw += line + "\n"
        return line


@asynccontextmanager
async def listen(port: int, path: str, **headers: str) -> AsyncIterator[Events]:
    async with await anyio.connect_tcp("127.0.0.1", port) as connection:
        given = {"Host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
        lines = [f"GET {path} HTTP/1.0", *(f"{name}: {value}" for name, value in given.items())]
        await connection.send("\r\n".join([*lines, "", ""]).encode())
        stream = BufferedByteReceiveStream(connection)
        yield Events(stream, (await stream.receive_until(b"\r\n\r\n", 2**16)).decode() + "\r\n")


async def write(store: RunStore, records: Sequence[Record]) -> None:
    """Into the run's journal, behind what is there already."""
    async with store.open_journal(records[0].run, new=records[0].seq == 1) as journal:
        for record in records:
            journal.append(record)


async def alive(_run: str) -> bool:
    return True


@asynccontextmanager
async def served(
    store: RunStore | Path,
    *,
    port: int = 0,
    token: str | None = None,
    metrics: Metrics | None = None,
    limits: Limits = LIMITS,
) -> AsyncIterator[tuple[int, PageServer]]:
    """A page on the loopback: its port, and itself."""
    found = LocalStore(store) if isinstance(store, Path) else store
    options = PageOptions(host="127.0.0.1", port=port, access=Access(token), list_every=0.05, limits=limits)
    async with page_server(found, alive, options, clock=lambda: NOW, metrics=metrics) as page:
        yield int(page.url.rstrip("/").rpartition(":")[2]), page
