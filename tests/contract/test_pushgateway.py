"""Pushes against the real Pushgateway: what a next run, a failed run and the clean-up leave there."""

from __future__ import annotations

import http.server
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from feeds import Feed
from programs import pushgateway
from rig import wait_until

from orchestrator.core import events as ev
from orchestrator.core.model import Outcome, TargetState
from orchestrator.sinks.gateway import Gateway, to_gateway
from orchestrator.sinks.metrics import Metrics

GROUP = {"environment": "prod", "manifest": "release.yaml"}
OTHER = {"environment": "prod", "manifest": "other/r.yaml"}
SUCCESS = "orchestrator_last_success_timestamp_seconds"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pushgateway() as found:
        yield found


def series(url: str, group: Mapping[str, str] = GROUP) -> dict[str, float]:
    """Of the group, without its own labels."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:  # noqa: S310 - loopback
        text = answer.read().decode()
    lines = [line for line in text.splitlines() if line.startswith("orchestrator_")]
    mine = [line for line in lines if f'manifest="{group["manifest"]}"' in line and 'job="orchestrator"' in line]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in mine)}


def a_run(names: tuple[str, ...], outcome: Outcome, *, release: str = "shop") -> Metrics:
    metrics = Metrics()
    feed = Feed(metrics, names, release=release)
    for name in names:
        feed.start(name)
        feed.tell(ev.TargetFinished(target=name, state=TargetState.SUCCEEDED))
    feed.tell(ev.RunFinished(outcome=outcome, exit_code=0))
    return metrics


def test_a_next_run_replaces_the_one_before_and_keeps_its_success(url: str) -> None:
    to_gateway(a_run(("api/canary", "old/fleet"), Outcome.SUCCEEDED, release="shop-1"), url, lambda: GROUP).send()
    to_gateway(a_run(("x/y",), Outcome.SUCCEEDED), url, lambda: OTHER).send()
    before = series(url)
    assert any('application="old"' in name for name in before)
    (succeeded,) = [value for name, value in before.items() if name.startswith(SUCCESS)]
    failed = to_gateway(a_run(("api/canary",), Outcome.FAILED, release="shop-2"), url, lambda: GROUP)
    failed.send()
    failed.send()
    after = series(url)
    assert not any('application="old"' in name for name in after)  # a target that has left the manifest
    assert {name.partition("{")[0] for name in after} >= {"orchestrator_run_outcome", "orchestrator_target_state"}
    assert [name for name in after if "orchestrator_run_info" in name and 'release="shop-2"' in name]
    assert {name: value for name, value in after.items() if name.startswith(SUCCESS)} == {
        name: succeeded for name in before if name.startswith(SUCCESS)
    }
    assert any('application="x"' in name for name in series(url, OTHER))  # another manifest's group isn't touched


def test_the_clean_up_leaves_the_success_and_nothing_of_the_run(url: str) -> None:
    group = {"environment": "prod", "manifest": "cleaned.yaml"}
    export = to_gateway(a_run(("api/canary",), Outcome.SUCCEEDED), url, lambda: group, cleanup=True)
    export.send()
    assert len(series(url, group)) > 20
    assert export.end is not None
    export.end()
    assert [name.partition("{")[0] for name in series(url, group)] == [SUCCESS]


def test_the_clean_up_of_a_run_that_never_succeeded_leaves_nothing(url: str) -> None:
    group = {"environment": "prod", "manifest": "failed.yaml"}
    export = to_gateway(a_run(("api/canary",), Outcome.FAILED), url, lambda: group, cleanup=True)
    export.send()
    assert export.end is not None
    export.end()
    wait_until(lambda: series(url, group) == {}, "it is gone")  # it says 202 to a DELETE, and does it a moment later


def test_any_name_may_be_that_of_a_group(url: str) -> None:
    for manifest in ("", "ä b.yaml", "a+b%2F.yaml"):
        group = {"environment": "", "manifest": manifest}
        Gateway(a_run(("api/canary",), Outcome.SUCCEEDED), url, group.copy).push()
        assert len(series(url, group)) > 20, manifest


def test_before_the_first_event_nothing_is_pushed(url: str) -> None:
    Gateway(Metrics(), url, dict).push()
    Gateway(Metrics(), url, dict).clean_up()
    assert series(url, {"manifest": "nothing"}) == {}


# --- gateways that are not quite that --------------------------------------------------------------------------------


class Closed(http.server.BaseHTTPRequestHandler):
    """Lets others push, and nobody read."""

    taken: list[tuple[str, str, str]]

    def do_POST(self) -> None:  # PUT would be answered with 501
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.taken.append((self.command, self.path, self.headers.get("Authorization", "")))
        self.send_response(200 if "orchestrator_run_info" in body else 400)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_error(403)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


def test_a_gateway_that_cannot_be_read_is_added_to_so_that_no_success_is_lost() -> None:
    taken: list[tuple[str, str, str]] = []
    handler = type("Handler", (Closed,), {"taken": taken})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        address = f"http://me:pass%3Aword@127.0.0.1:{server.server_address[1]}/gateway/"
        export = to_gateway(a_run(("a/b",), Outcome.FAILED), address, lambda: GROUP, cleanup=True)
        export.send()
        assert export.end is not None
        export.end()
        server.shutdown()
    path = "/gateway/metrics/job/orchestrator/environment/prod/manifest/release.yaml"
    assert taken == [("POST", path, "Basic bWU6cGFzczp3b3Jk")] * 2


def test_what_the_gateway_says_against_a_push_is_told(url: str, tmp_path: Path) -> None:
    class Rubbish(Metrics):
        def render(self, form: object) -> bytes:
            return b"{{{ no metrics\n"

    gateway = Gateway(Rubbish(), url, lambda: GROUP)
    with pytest.raises(OSError, match="HTTP 400 Bad Request: text format parsing error"):
        gateway.push()
