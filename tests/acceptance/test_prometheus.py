"""The gate for PromQL against a real Prometheus, which scrapes a server of ours."""

from __future__ import annotations

import http.server
import json
import shutil
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from rig import MakeRig, Rig, wait_until

TOKEN = "s3cr3t-token"

CONFIG = """
global: {scrape_interval: 200ms, scrape_timeout: 200ms}
scrape_configs:
  - job_name: shop
    static_configs: [{targets: ["%s"]}]
"""

MANIFEST = """
version: 1
release: shop
gates:
  errors:
    {{type: prometheus, url: "{url}", query: 'sum(shop_errors{{group="${{deployment_group}}"}}) < 5', interval: 300ms,
     {more}}}
applications:
  web:
    revision: {{github: {{repository: acme/x, commit: {commit}}}}}
    deployment_groups: {{fleet: {{bake: {bake}, gates: {{after: [errors]}}}}}}
"""


class Shop:
    """What is scraped: one gauge, which a test turns."""

    def __init__(self) -> None:
        self.errors = 0
        shop = self

        class Metrics(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = f'shop_errors{{group="fleet"}} {shop.errors}\n'.encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"127.0.0.1:{self.server.server_address[1]}"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def prometheus(folder: Path, shop: Shop) -> Iterator[str]:
    """A missing one is a failure: a skipped judge would look like a satisfied one."""
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.fail("no prometheus: `make test` installs it, or apt-get install prometheus")
    folder.mkdir()
    config = folder / "prometheus.yml"
    config.write_text(CONFIG % shop.address)
    url = f"http://127.0.0.1:{free_port()}"
    arguments = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}", "--log.level=error"]
    process = subprocess.Popen(
        [binary, *arguments, f"--web.listen-address={url.removeprefix('http://')}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: value(url, "shop_errors") is not None, "it has scraped the shop")
        yield url
    finally:
        process.kill()
        process.wait()


def value(url: str, query: str) -> str | None:
    """As Prometheus's own API says it; None: nothing, or it isn't there yet."""
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query?query={query}", timeout=5) as answer:  # noqa: S310 - loopback
            result = json.load(answer)["data"]["result"]
    except OSError:
        return None
    return str(result[0]["value"][1]) if result else None


@pytest.fixture
def shop() -> Iterator[Shop]:
    found = Shop()
    yield found
    found.server.shutdown()
    found.server.server_close()


def prepared(make_rig: MakeRig, url: str, *, more: str, bake: str = "0s") -> Rig:
    rig = make_rig(["web/fleet"], time_scale=200)
    rig.command.write(MANIFEST.format(url=url, more=more, bake=bake, commit="a" * 40))
    return rig


def test_a_query_over_real_metrics_passes_and_fails(make_rig: MakeRig, shop: Shop, tmp_path: Path) -> None:
    with prometheus(tmp_path / "prometheus", shop) as url:
        rig = prepared(make_rig, url, more="successes: 3, failures: 2", bake="20s")
        with rig.command.start("apply", "release.yaml", "--result", "result.json") as process:
            wait_until(lambda: "gate errors (good: the result is 0)" in rig.command("status").out, "it is good")
            shop.errors = 7  # in the middle of the bake
            out, err = process.communicate(timeout=60)
        assert process.returncode == 3, out + err
        assert "gate errors: bad: the result is empty (2 times in a row)" in out
        shop.errors = 1
        wait_until(lambda: value(url, "shop_errors") == "1", "it is scraped")
        rig.command.write(MANIFEST.format(url=url, more="successes: 3", bake="0s", commit="b" * 40))
        ended = rig.command("apply", "release.yaml")
        assert ended.code == 0, ended.out + ended.err
        assert "gate errors passed: the result is 1" in ended.err


def test_a_prometheus_that_goes_away_decides_nothing_until_the_time_is_up(
    make_rig: MakeRig, shop: Shop, tmp_path: Path
) -> None:
    with prometheus(tmp_path / "prometheus", shop) as url:
        rig = prepared(make_rig, url, more="successes: 1000, timeout: 4s")
        environment = {**rig.command.environment, "ORCHESTRATOR_PROMETHEUS_TOKEN": TOKEN}
        rig = replace(rig, command=replace(rig.command, environment=environment))
        told = rig.command.folder / "events.jsonl"
        told.write_text("")
        process = rig.command.start("apply", "release.yaml", "--events", told.name)
        wait_until(lambda: '"verdict":"good"' in told.read_text() or process.poll() is not None, "it is good")
    with process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 3, out + err
    assert "gate errors: not passed within 4s; last measurement: unknown: connection refused" in out
    journal = next((rig.command.folder / ".orchestrator" / "runs").glob("*/journal.jsonl")).read_text()
    assert TOKEN not in out + err + journal


def test_a_query_that_cannot_be_parsed_is_unknown_and_says_so(make_rig: MakeRig, shop: Shop, tmp_path: Path) -> None:
    with prometheus(tmp_path / "prometheus", shop) as url:
        rig = prepared(make_rig, url, more="timeout: 1s")
        text = (rig.command.folder / "release.yaml").read_text()
        rig.command.write(text.replace("< 5", "<< 5"))
        ended = rig.command("apply", "release.yaml")
    assert ended.code == 3
    assert "unknown: Prometheus says bad_data:" in ended.out
