"""Metrics over HTTP, in a text file and at a Pushgateway; and that none of them can hold a release up."""

from __future__ import annotations

import http.server
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.core.errors import UsageError
from orchestrator.sinks.exports import Export, Exporter, read_last_success, to_textfile, write_textfile
from orchestrator.sinks.exposition import Format
from orchestrator.sinks.gateway import to_gateway
from orchestrator.sinks.metrics import Metrics
from orchestrator.sinks.metrics_server import metrics_server, parse_listen

pytestmark = pytest.mark.anyio


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics(last_success={("shop", "prod"): 1234.5})
    for _ in range(3):
        metrics.called(service="codedeploy", operation="GetDeployment", outcome="ok", seconds=0.1)
    return metrics


COUNTED = 'orchestrator_api_requests_total{operation="GetDeployment",outcome="ok",service="codedeploy"} 3.0'
SUCCESS = 'orchestrator_last_success_timestamp_seconds{environment="prod",release="shop"} 1234.5'


def get(url: str, accept: str = "*/*") -> tuple[str, str]:
    request = urllib.request.Request(url, headers={"Accept": accept})  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
        return answer.headers["Content-Type"], answer.read().decode()


# --- HTTP ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        (":9464", ("127.0.0.1", 9464)),
        ("9464", ("127.0.0.1", 9464)),
        ("0", ("127.0.0.1", 0)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),  # noqa: S104 - what a user may ask for
        ("localhost:80", ("localhost", 80)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_listen_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_listen(text) == address


@pytest.mark.parametrize(
    "text", ["", ":", "localhost", "localhost:", "host:99999", "host:-1", "::1:80", "a:b:1", "host:²"]
)
def test_bad_listen_addresses(text: str) -> None:
    with pytest.raises(UsageError, match="is no address") as caught:
        parse_listen(text)
    assert "--metrics-listen" in str(caught.value.hint)


def test_metrics_are_served_in_the_format_that_is_asked_for(metrics: Metrics) -> None:
    with metrics_server(metrics.render, "127.0.0.1", 0) as url:
        kind, text = get(url)
        assert kind.startswith("text/plain")
        assert COUNTED in text
        kind, text = get(url, accept="application/openmetrics-text; version=1.0.0")
        assert kind.startswith("application/openmetrics-text")
        assert text.endswith("# EOF\n")
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            get(url.replace("/metrics", "/other"))
        caught.value.close()


def test_the_server_is_gone_afterwards_at_once(metrics: Metrics) -> None:
    before = threading.active_count()
    with metrics_server(metrics.render, "127.0.0.1", 0) as url:
        get(url)
        began = time.monotonic()
    assert time.monotonic() - began < 10
    with pytest.raises(urllib.error.URLError):
        get(url)
    assert threading.active_count() <= before


def test_a_client_that_hangs_does_not_hold_the_end_up(metrics: Metrics) -> None:
    with metrics_server(metrics.render, "127.0.0.1", 0) as url:
        port = int(url.split(":")[2].split("/")[0])
        client = socket.create_connection(("127.0.0.1", port))
        client.send(b"GET /metrics HTT")
        get(url)  # and others are served
        began = time.monotonic()
    assert time.monotonic() - began < 10
    client.close()


def test_a_port_in_use_is_a_usage_error(metrics: Metrics) -> None:
    with metrics_server(metrics.render, "127.0.0.1", 0) as url:
        port = int(url.split(":")[2].split("/")[0])
        with (
            pytest.raises(UsageError, match="Address already in use") as caught,
            metrics_server(metrics.render, "127.0.0.1", port),
        ):
            pass
    assert "another port" in str(caught.value.hint)


def test_a_host_that_is_not_ours_is_a_usage_error(metrics: Metrics) -> None:
    with pytest.raises(UsageError, match=r"192\.0\.2\.1"), metrics_server(metrics.render, "192.0.2.1", 0):
        pass


# --- text file -------------------------------------------------------------------------------------------------------


def test_the_text_file_is_replaced_whole(metrics: Metrics, tmp_path: Path) -> None:
    path = tmp_path / "orchestrator.prom"
    path.write_text("old")
    with path.open() as reader:
        write_textfile(metrics.render, path)
        assert reader.read() == "old"  # who reads the old file reads all of it
    assert COUNTED in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["orchestrator.prom"]


def test_who_reads_the_text_file_again_and_again_always_gets_a_whole_one(tmp_path: Path) -> None:
    path, faults, done = tmp_path / "orchestrator.prom", [], threading.Event()
    successes = {("shop", f"prod-{number}"): 1.0 for number in range(2000)}
    metrics = Metrics(last_success=successes)
    write_textfile(metrics.render, path)

    def read() -> None:
        while not done.is_set():
            families = text_string_to_metric_families(path.read_text())
            counts = {family.name: len(family.samples) for family in families}
            if (
                counts["orchestrator_last_success_timestamp_seconds"] != 2000
                or "orchestrator_deployments" not in counts
            ):
                faults.append(counts)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(30):
        write_textfile(metrics.render, path)
    done.set()
    reader.join()
    assert faults == []


def test_a_link_stays_a_link(metrics: Metrics, tmp_path: Path) -> None:
    (tmp_path / "real.prom").touch()
    (tmp_path / "link.prom").symlink_to("real.prom")
    write_textfile(metrics.render, tmp_path / "link.prom")
    assert (tmp_path / "link.prom").is_symlink()
    assert "rollbacks" in (tmp_path / "real.prom").read_text()


def test_what_is_no_file_is_not_replaced(metrics: Metrics, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (fifo, tmp_path):
        with pytest.raises(OSError, match="is no regular file"):
            write_textfile(metrics.render, path)
    with pytest.raises(FileNotFoundError):
        write_textfile(metrics.render, tmp_path / "no" / "where.prom")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    def broken(form: Format) -> bytes:
        raise ValueError("no figures")

    path = tmp_path / "orchestrator.prom"
    path.write_text("old")
    with pytest.raises(ValueError, match="no figures"):
        write_textfile(broken, path)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["orchestrator.prom"]


def test_the_last_success_is_read_back(metrics: Metrics, tmp_path: Path) -> None:
    path = tmp_path / "orchestrator.prom"
    assert read_last_success(path) == {}
    write_textfile(metrics.render, path)
    assert read_last_success(path) == {("shop", "prod"): 1234.5}
    for rubbish in (b"{{{", b"\xff\xfe", b"orchestrator_last_success_timestamp_seconds 5\n"):
        path.write_bytes(rubbish)
        assert read_last_success(path) == {}


# --- Pushgateway -----------------------------------------------------------------------------------------------------


class Gateway(http.server.ThreadingHTTPServer):
    daemon_threads = True
    status = 202

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), GatewayHandler)
        self.pushes: list[tuple[str, str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class GatewayHandler(http.server.BaseHTTPRequestHandler):
    server: Gateway

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.pushes.append((self.command, self.path, body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


@contextmanager
def gateway() -> Iterator[Gateway]:
    with Gateway() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("url", ["", "ftp://x", "http://", "file:///etc/passwd"])
def test_a_bad_url_is_a_usage_error(metrics: Metrics, url: str) -> None:
    with pytest.raises(UsageError, match="is no URL of a Pushgateway"):
        to_gateway(metrics, url, dict)


# --- both, beside a run ----------------------------------------------------------------------------------------------


async def test_exports_happen_during_the_run_and_at_its_end(metrics: Metrics, tmp_path: Path) -> None:
    path = tmp_path / "orchestrator.prom"
    warnings: list[str] = []
    with gateway() as server:
        exports = [to_textfile(metrics.render, path), to_gateway(metrics, server.url, lambda: {"environment": "prod"})]
        exporter = Exporter(exports, warn=warnings.append, interval=0.01)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(exporter.run)
            with anyio.fail_after(10):
                while len(server.pushes) < 2 or not path.exists():  # noqa: ASYNC110 - another thread's doing
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        path.unlink()
        await exporter.finish()
        assert path.exists()
    assert warnings == []


async def test_a_failure_is_warned_of_once(metrics: Metrics, tmp_path: Path) -> None:
    warnings: list[str] = []
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: refused
        url = f"http://user:secret@127.0.0.1:{closed.getsockname()[1]}"
        exports = [
            to_textfile(metrics.render, tmp_path / "no" / "where.prom"),
            to_gateway(metrics, url, lambda: {"environment": "prod"}),
        ]
        exporter = Exporter(exports, warn=warnings.append)
        for _ in range(3):
            await exporter.finish()
    textfile, pushed = sorted(warnings)
    assert "--metrics-textfile" in textfile
    assert "No such file" in textfile
    assert pushed.startswith("--pushgateway 127.0.0.1: ")
    assert "secret" not in pushed


async def test_a_gateway_that_refuses_is_warned_of(metrics: Metrics) -> None:
    warnings: list[str] = []
    with gateway() as server:
        server.status = 400
        await Exporter(
            [to_gateway(metrics, server.url, lambda: {"environment": "prod"})], warn=warnings.append
        ).finish()
    assert len(warnings) == 1
    assert "400" in warnings[0]


async def test_an_export_that_hangs_holds_nothing_up_and_is_not_begun_anew() -> None:
    released, begun = threading.Event(), 0

    def hang() -> None:
        nonlocal begun
        begun += 1
        released.wait(30)

    warnings: list[str] = []
    exporter = Exporter([Export(name="it", send=hang)], warn=warnings.append, interval=0.01, patience=0.05)
    began = time.monotonic()
    with anyio.move_on_after(0.3):
        await exporter.run()
    await exporter.finish()
    assert time.monotonic() - began < 2
    assert begun == 1
    assert warnings == ["it: no answer within 0.05 s; the release goes on without these metrics"]
    released.set()
    await exporter.finish()
    assert begun == 2


def test_a_hanging_export_does_not_keep_the_process() -> None:
    script = (
        "import anyio, threading\n"
        "from orchestrator.sinks.exports import Export, Exporter\n"
        "hang = Export(name='it', send=threading.Event().wait)\n"
        "anyio.run(Exporter([hang], warn=print, patience=0.05).finish)\n"
    )
    began = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", script], check=False, timeout=30, capture_output=True, text=True)
    assert ended.returncode == 0
    assert ended.stderr == ""
    assert time.monotonic() - began < 10


async def test_the_last_figures_are_sent_also_when_the_run_is_cancelled(metrics: Metrics, tmp_path: Path) -> None:
    path = tmp_path / "orchestrator.prom"
    with anyio.CancelScope() as scope:
        scope.cancel()
        await Exporter([to_textfile(metrics.render, path)], warn=print).finish()
    assert path.exists()
