"""The configuration of configs/ as a test uses it: the same rules, alerts and queries, at a hundred times the pace."""

from __future__ import annotations

import http.server
import json
import re
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pages
import yaml
from programs import program, running

CONFIGS = pages.ROOT / "configs"
PACE = "200ms"
STRETCH = "3s"
"""Instead of the minutes that a rate or a change is looked for in."""


def fast_prometheus(folder: Path, ports: Mapping[int, int]) -> Path:
    """A copy of configs/prometheus that scrapes these ports instead of the usual ones. Gives its prometheus.yml."""
    config = yaml.safe_load((CONFIGS / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": PACE, "scrape_timeout": PACE, "evaluation_interval": PACE}
    (folder / "targets").mkdir()
    for name in config["rule_files"]:
        text = (CONFIGS / "prometheus" / name).read_text()
        text = re.sub(r"\bfor: \w+", "for: 0s", text)
        (folder / name).write_text(re.sub(r"\[\d+m\]", f"[{STRETCH}]", text))
    path = folder / "prometheus.yml"
    path.write_text(_with_ports(yaml.safe_dump(config), ports))
    return path


def fast_alertmanager(folder: Path, ports: Mapping[int, int]) -> Path:
    config = yaml.safe_load((CONFIGS / "alertmanager" / "alertmanager.yml").read_text())
    config["route"] |= {"group_wait": "100ms", "group_interval": "500ms"}
    path = folder / "alertmanager.yml"
    path.write_text(_with_ports(yaml.safe_dump(config), ports))
    return path


def _with_ports(text: str, ports: Mapping[int, int]) -> str:
    for usual, ours in ports.items():
        assert f":{usual}" in text
        text = text.replace(f":{usual}", f":{ours}")
    return text


@contextmanager
def alertmanager(config: Path, port: int) -> Iterator[str]:
    address = f"127.0.0.1:{port}"
    options = [f"--config.file={config}", f"--storage.path={config.parent / 'alerts'}", "--cluster.listen-address="]
    command = [program("prometheus-alertmanager"), *options, f"--web.listen-address={address}", "--log.level=error"]
    with running(command, f"http://{address}", config.parent / "alertmanager.log") as url:
        yield url


@contextmanager
def receiver() -> Iterator[tuple[int, list[Mapping[str, Any]]]]:
    """What Alertmanager's webhooks are posted to: its port, and the alerts that came."""
    came: list[Mapping[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.server_address[1], came
        server.shutdown()
        thread.join()


class Asked:
    """Prometheus by its HTTP API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def now(self, query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get("query", query=query)["result"]
        return found

    def over(self, query: str, start: float, end: float) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get("query_range", query=query, start=start, end=end, step=0.2)["result"]
        return found

    def values_of(self, label: str, selector: str) -> list[str]:
        found: list[str] = self._get(f"label/{label}/values", **{"match[]": selector})
        return found

    def firing(self) -> set[str]:
        alerts = self._get("alerts")["alerts"]
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}

    def _get(self, what: str, **parameters: object) -> Any:
        """Raises `HTTPError` for a query that can't be parsed or evaluated."""
        url = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
            return json.load(answer)["data"]


# --- the dashboard ---------------------------------------------------------------------------------------------------


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CONFIGS / "grafana" / "orchestrator.json").read_text())
    return found


def variable_queries() -> dict[str, tuple[str, str]]:
    """Selector and label of each variable that asks Prometheus."""
    found = {}
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert match is not None, variable["query"]
            found[variable["name"]] = (match[1], match[2])
    return found


def panel_queries() -> list[tuple[str, str]]:
    """Title and query, as they stand there."""
    return [(panel["title"], each["expr"]) for panel in dashboard()["panels"] for each in panel.get("targets", [])]


def substituted(query: str, variables: Mapping[str, str]) -> str:
    """As Grafana does it, for a choice of one value each, and its pace for ours."""
    for name, value in variables.items():
        query = query.replace(f"${name}", value)
    query = query.replace("$__rate_interval", STRETCH)
    assert "$" not in query, query
    return query
