"""A loopback proxy that delays, throttles and cuts: the network between the command and the sandbox, by a seed."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from urllib.parse import urlsplit

import anyio
from anyio.abc import SocketAttribute, SocketStream

CHUNK = 16 * 1024
GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


@dataclass(frozen=True, kw_only=True)
class Weather:
    cut: float = 0.0
    """The share of the connections that are reset, somewhere on their way."""
    within: int = 12_000
    """Bytes, in both directions together, within which they are."""
    delay: float = 0.0
    """The longest that a piece of data is held up, in seconds."""
    bytes_per_second: float = float("inf")
    """Of each connection and direction."""


@dataclass
class Proxy:
    """Counts what it did: a test that met no fault has shown nothing."""

    port: int
    connections: int = 0
    cuts: int = 0

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The sandbox's variables, with the proxy in its place."""
        url = f"http://127.0.0.1:{self.port}"
        return {name: url if name.startswith("AWS_ENDPOINT_URL") else value for name, value in variables.items()}


@asynccontextmanager
async def proxy(upstream: str, weather: Weather, seed: int) -> AsyncIterator[Proxy]:
    """Serves until the block ends. `upstream`: the URL that it leads to."""
    url = urlsplit(upstream)
    random = Random(seed)  # noqa: S311 - weather, no secret
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    made = Proxy(int(listener.extra(SocketAttribute.local_port)))  # noqa: S610 - anyio's, and no SQL
    handle = partial(_handle, made, weather, random, url.hostname or "", url.port or 80)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield made
        tasks.cancel_scope.cancel()


async def _handle(made: Proxy, weather: Weather, random: Random, host: str, port: int, client: SocketStream) -> None:
    made.connections += 1
    is_doomed = random.random() < weather.cut
    budget = _Budget(random.randint(0, weather.within) if is_doomed else None)
    async with client, await anyio.connect_tcp(host, port) as server, anyio.create_task_group() as tasks:
        if is_doomed:
            _reset_when_closed(client, server)

        async def carry(source: SocketStream, sink: SocketStream) -> None:
            with suppress(*GONE):
                await _carry(source, sink, weather, random, budget)
            tasks.cancel_scope.cancel()

        tasks.start_soon(carry, client, server)
        tasks.start_soon(carry, server, client)
    made.cuts += budget.is_spent


class _Budget:
    def __init__(self, left: int | None) -> None:
        self._left = left
        self.is_spent = False

    def take(self, data: bytes) -> bytes:
        """What of it still gets through."""
        if self._left is None:
            return data
        kept = data[: self._left]
        self._left -= len(kept)
        self.is_spent = len(kept) < len(data) or self._left == 0
        return kept


async def _carry(source: SocketStream, sink: SocketStream, weather: Weather, random: Random, budget: _Budget) -> None:
    while not budget.is_spent:
        data = await source.receive(CHUNK)
        await anyio.sleep(random.uniform(0, weather.delay) + len(data) / weather.bytes_per_second)
        await sink.send(budget.take(data))


def _reset_when_closed(*streams: SocketStream) -> None:
    """So that both sides see a reset and not an orderly end."""
    for stream in streams:
        raw = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - as above
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
