"""The page's server, over real sockets: what it answers, to whom, and what it bears."""

from __future__ import annotations

import base64
import gzip
import re
import socket
import time
import zlib
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from bigruns import big_run, finished_run
from web import RUN, Answer, answer_to, ask, listen, served, write

from orchestrator.core.errors import StateError, UsageError
from orchestrator.store.blobstore import BlobStore
from orchestrator.store.local import LocalStore
from orchestrator.testing_blobs import MemoryBlobs
from orchestrator.web.access import HEADERS, TOKEN, read_access
from orchestrator.web.limits import Limits
from orchestrator.web.site import Exposition

pytestmark = pytest.mark.anyio

SECRET = "0123456789abcdef-secret"


@pytest.fixture
async def state(tmp_path: Path) -> Path:
    """With a run under way, of 20 targets."""
    await write(LocalStore(tmp_path), big_run(20))
    return tmp_path


# --- what is answered ------------------------------------------------------------------------------------------------


async def test_every_answer_has_the_headers_that_keep_a_page_safe(state: Path) -> None:
    async with served(state) as (port, _):
        pages = [await ask(port, path) for path in ("/", f"/runs/{RUN}", "/nothing", "/runs/nope", "/runs/latest")]
        others = [await ask(port, "/", method="POST"), await ask(port, "/", Host="evil.example")]
        async with listen(port, f"/runs/{RUN}/events") as stream:
            pass
    assert [each.status for each in [*pages, *others]] == [200, 200, 404, 404, 302, 405, 421]
    for name, value in HEADERS.items():
        assert all(each.header(name) == value for each in [*pages, *others]), name
        assert f"{name}: {value}\r\n" in stream.head
    for each in [*pages, *others]:
        assert each.header("Cache-Control") == "no-store"
        assert each.header("Access-Control-Allow-Origin") is None
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


async def test_assets_are_found_by_the_pages_and_may_be_kept_for_ever(state: Path) -> None:
    async with served(state) as (port, _):
        page = (await ask(port, f"/runs/{RUN}")).text
        urls = re.findall(r'(?:href|src)="(/assets/[^"]+)"', page)
        found = {url: await ask(port, url) for url in urls}
        plain = [await ask(port, path) for path in ("/assets/page.js", "/assets/", "/assets/../pages.py")]
    assert {url.rpartition(".")[2] for url in urls} == {"css", "js", "svg"}
    assert all(each.status == 200 and "immutable" in str(each.header("Cache-Control")) for each in found.values())
    assert [each.status for each in plain] == [404, 404, 404]


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/runs/..%2f..%2fetc%2fpasswd",
        "/runs/%2e%2e",
        "/runs/..",
        "//evil.example/",
        "/<script>alert(1)</script>",
        "/runs/<img%20src=x%20onerror=alert(1)>",
        "/runs/x%00y",
        "/runs/%ff",
        "/assets/%2e%2e%2fpages.py",
        f"/runs/{RUN}/target?id=../../x",
        f"/runs/{RUN}?target=nope",
        "/metrics",
    ],
)
async def test_what_there_is_not_is_a_page_that_says_so(state: Path, path: str) -> None:
    async with served(state) as (port, _):
        found = await ask(port, path)
    assert found.status == 404
    assert "Not found" in found.text
    assert "<script>" not in found.text
    assert "<img" not in found.text
    assert found.header("Content-Type") == "text/html; charset=utf-8"


async def test_a_run_is_found_by_the_beginning_of_its_id_and_the_newest_by_a_word(state: Path) -> None:
    async with served(state) as (port, _):
        for name in ("latest", RUN[:8]):
            found = await ask(port, f"/runs/{name}")
            assert (found.status, found.header("Location")) == (302, f"/runs/{RUN}")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
async def test_nothing_but_reading_is_allowed(state: Path, method: str) -> None:
    async with served(state) as (port, _):
        found = await ask(port, f"/runs/{RUN}", method=method)
    assert found.status == 405
    assert found.header("Allow") == "GET, HEAD"


async def test_head_is_get_without_a_body(state: Path) -> None:
    async with served(state) as (port, _):
        for path in ("/", f"/runs/{RUN}", "/nothing"):
            whole, head = await ask(port, path), await ask(port, path, method="HEAD")
            assert (head.status, head.body) == (whole.status, b"")
            assert head.header("Content-Length") == str(len(whole.body))
        stream = await ask(port, f"/runs/{RUN}/events", method="HEAD")
        assert (stream.status, stream.body) == (200, b"")


async def test_large_answers_are_compressed_for_who_takes_that(state: Path) -> None:
    async with served(state) as (port, _):
        plain = await ask(port, f"/runs/{RUN}")
        packed = await ask(port, f"/runs/{RUN}", Accept_Encoding="br, gzip;q=0.5")
        refused = await ask(port, f"/runs/{RUN}", Accept_Encoding="gzip;q=0")
        async with listen(port, f"/runs/{RUN}/events", Accept_Encoding="gzip") as stream:
            piece = zlib.decompressobj(wbits=31).decompress(await stream.stream.receive())
    assert packed.header("Content-Encoding") == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 3
    assert refused.header("Content-Encoding") is None
    assert piece.startswith(b"retry: ")


async def test_the_state_is_only_read() -> None:
    writes: list[str] = []

    async def note(operation: str, name: str) -> None:
        if operation in {"put", "delete"}:
            writes.append(name)

    blobs = MemoryBlobs()
    store = BlobStore(blobs)
    await write(store, big_run(20))
    blobs.before = note
    async with served(store) as (port, _):
        for path in ("/", f"/runs/{RUN}", "/runs/latest", f"/runs/{RUN}/target?id=x", "/runs/nope"):
            await ask(port, path)
        for path in ("/events", f"/runs/{RUN}/events"):
            async with listen(port, path) as stream:
                await stream.next("hello")
    assert blobs.calls["get"] > 0
    assert writes == []


async def test_metrics_are_whoevers_they_are(state: Path) -> None:
    async def metrics(headers: Mapping[str, str]) -> Exposition:
        if headers.get("Accept") == "broken":
            raise StateError("the state can't be reached")
        return Exposition(body=b"up 1\n", headers={"Content-Type": "text/plain; version=0.0.4"})

    async with served(state, metrics=metrics) as (port, _):
        found = await ask(port, "/metrics")
        broken = await ask(port, "/metrics", Accept="broken")
    assert (found.status, found.body, found.header("Content-Type")) == (200, b"up 1\n", "text/plain; version=0.0.4")
    assert broken.status == 503


# --- who may look ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:1", 200),
        ("localhost", 200),
        ("LocalHost:9465", 200),
        ("[::1]:9465", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example:9465", 421),
        ("10.0.0.1", 421),
        ("", 421),
    ],
)
async def test_on_the_loopback_only_its_own_names_are_answered(state: Path, host: str, status: int) -> None:
    async with served(state) as (port, _):
        assert (await ask(port, "/", Host=host)).status == status


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def test_with_a_token_every_route_is_behind_it(state: Path) -> None:
    known = [f"Bearer {SECRET}", f"bearer {SECRET}", basic("me", SECRET), basic("", SECRET), basic("ü", SECRET)]
    unknown = [
        "",
        f"Bearer {SECRET}x",
        f"Bearer {SECRET[:-1]}",
        "Bearer",
        f"Token {SECRET}",
        basic(SECRET, ""),
        basic("me", SECRET + ":"),
        "Basic %%%",
        "Basic /w==",
        "Bearer ÿ",
    ]
    paths = ["/", "/events", f"/runs/{RUN}", f"/runs/{RUN}/events", f"/runs/{RUN}/target?id=x", "/metrics", "/nothing"]
    async with served(state, token=SECRET) as (port, _):
        inside = [await ask(port, "/", Authorization=each, Host="releases.example") for each in known]
        outside = [await ask(port, "/", Authorization=each) for each in unknown]
        everywhere = [await ask(port, path, method=method) for path in paths for method in ("GET", "POST")]
        in_url = await ask(port, f"/?token={SECRET}")
    assert [each.status for each in inside] == [200] * len(known)
    refused: list[Answer] = [*outside, *everywhere, in_url]
    assert {each.status for each in refused} == {401}
    for each in refused:
        challenges = [value for name, value in each.headers if name == "WWW-Authenticate"]
        assert [challenge.split()[0] for challenge in challenges] == ["Basic", "Bearer"]
        assert "targets" not in each.text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "releases.example", "127.0.0.1.nip.io"])  # noqa: S104 - nothing is bound
async def test_others_may_reach_it_only_with_a_token(host: str) -> None:
    with pytest.raises(UsageError, match=TOKEN):
        read_access(host, {}, "--listen")
    for bad in ("short", "x" * 15, "with spaces in between", "ümläute-und-mehr-zeichen"):
        with pytest.raises(UsageError, match="16 printable"):
            read_access(host, {TOKEN: bad}, "--listen")
    assert read_access(host, {TOKEN: "x" * 16}, "--listen").token == "x" * 16


async def test_on_the_loopback_a_token_may_be_there_and_then_counts() -> None:
    assert all(read_access(host, {TOKEN: ""}, "").token is None for host in ("127.0.0.1", "::1", "localhost"))
    assert read_access("127.0.0.1", {TOKEN: SECRET}, "").token == SECRET


async def test_a_port_that_is_taken_is_a_mistake_of_the_users(state: Path) -> None:
    async with served(state) as (port, _):
        with pytest.raises(UsageError, match=f"--listen: can't listen on 127.0.0.1:{port}: somebody else listens"):
            async with served(state, port=port):
                pass


# --- what it bears ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(5000)) + b"\r\n",
        b"GET /<script>alert(1)</script> HTTP/9\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 what a TLS client says first\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused_and_hurts_nobody(state: Path, raw: bytes) -> None:
    async with served(state) as (port, _):
        refused = (await answer_to(port, raw)).decode()
        assert refused.startswith("HTTP/1.0 400")
        assert "nosniff" in refused
        assert refused.endswith("\r\n\r\nthis can't be answered\n")  # and not what was sent
        assert (await ask(port, "/")).status == 200


async def test_more_connections_than_it_can_bear_are_let_go(state: Path) -> None:
    async with served(state, limits=Limits(connections=20)) as (port, _):
        async with AsyncExitStack() as kept:
            for _ in range(20):
                await kept.enter_async_context(await anyio.connect_tcp("127.0.0.1", port))
            with pytest.raises((anyio.BrokenResourceError, IndexError)):  # a reset, or nothing at all
                await ask(port, "/")
        async with listen(port, "/events") as stream:  # those have gone
            await stream.next("hello")


async def test_who_never_reads_holds_up_nobody(tmp_path: Path) -> None:
    """Their socket is full, their stream waits; the others are told all the same."""
    records = big_run(200)
    store = LocalStore(tmp_path)
    await write(store, records[:1])
    async with served(store) as (port, _), AsyncExitStack() as deaf, listen(port, f"/runs/{RUN}/events") as hears:
        for _ in range(3):
            connection = await deaf.enter_async_context(await anyio.connect_tcp("127.0.0.1", port))
            await connection.send(f"GET /runs/{RUN}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        seen = 0
        for start in range(1, len(records), 200):
            await write(store, records[start : start + 200])
            while seen < min(start + 200, len(records)):
                seen = (await hears.next("update"))["seq"]
        assert seen == len(records)


async def test_who_makes_no_room_is_let_go_and_who_is_quiet_hears_that_we_are_there(tmp_path: Path) -> None:
    records = big_run(1000)
    store = LocalStore(tmp_path)
    await write(store, records[:1])
    async with served(store, limits=Limits(patience=0.2, heartbeat=0.1)) as (port, _):
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", port))
            deaf.sendall(f"GET /runs/{RUN}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            async with listen(port, f"/runs/{RUN}/events") as hears:
                for start in range(1, len(records), 800):
                    await write(store, records[start : start + 800])
                    await hears.next("update")
                await hears.next("beat")
            deaf.settimeout(30)
            assert await anyio.to_thread.run_sync(read_to_the_end, deaf) > 0


def read_to_the_end(connection: socket.socket) -> int:
    """How much came until the server closed it. Raises TimeoutError where it goes on and on."""
    count, deadline = 0, time.monotonic() + 30
    try:
        while piece := connection.recv(2**20):
            count += len(piece)
            if time.monotonic() > deadline:
                raise TimeoutError
    except ConnectionResetError:
        pass
    return count


@pytest.mark.parametrize("trickle", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
async def test_who_takes_too_long_to_ask_is_let_go(state: Path, trickle: bytes) -> None:
    async with served(state, limits=Limits(idle=0.2)) as (port, _):
        assert await answer_to(port, trickle) == b""


async def test_a_mistake_of_ours_is_one_page_and_not_the_end(state: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_headers: Mapping[str, str]) -> Exposition:
        raise ZeroDivisionError("a mistake")

    async with served(state, metrics=broken) as (port, _):
        found = await ask(port, "/metrics")
        assert found.status == 500
        assert "a mistake" not in found.text
        assert (await ask(port, "/")).status == 200
    assert "a mistake" in caplog.text


async def test_a_run_that_has_ended_keeps_no_connection(tmp_path: Path) -> None:
    await write(LocalStore(tmp_path), finished_run(5))
    async with served(tmp_path) as (port, _):
        page = await ask(port, f"/runs/{RUN}")
        async with listen(port, f"/runs/{RUN}/events", Last_Event_ID="3") as stream:
            assert (await stream.next("update"))["seq"] > 3
            await stream.next("over")
            with pytest.raises(EOFError):
                await stream.next()
    assert "data-events" not in page.text
