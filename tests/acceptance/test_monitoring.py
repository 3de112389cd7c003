"""Prometheus, Pushgateway and Alertmanager, each the real one and configured by configs/, looking at real runs.

Starting all of them takes most of the time, so there is one test for everything that they have to say.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest
from monitoring import (
    Asked,
    alertmanager,
    fast_alertmanager,
    fast_prometheus,
    panel_queries,
    receiver,
    substituted,
    variable_queries,
)
from programs import free_port, prometheus, pushgateway
from rig import MakeRig, Rig, wait_until

from orchestrator.sandbox.options import Failure, Faults

BAD, GOOD = "c" * 40, "a" * 40
"""The commit that fails in one group, and one that doesn't."""

FAULTS = Faults(failures=(Failure(target="api/fleet", revision=BAD),))

MANIFEST = """
version: 1
release: shop-{commit:.4}
defaults: {{bucket: releases}}
policy: {{on_failure: continue}}
environments: {{prod: {{region: eu-west-1}}}}
applications:
  web: {{revision: {{source: ./app}}, deployment_groups: [fleet]}}
  api: {{revision: {{github: {{repository: acme/x, commit: {commit}}}}}, deployment_groups: [fleet]}}
  cart: {{revision: {{github: {{repository: acme/x, commit: {commit}}}}}, needs: [web], deployment_groups: [fleet]}}
"""
AUTHOR = {f"GIT_{who}_{what}": "x@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@dataclass(frozen=True)
class Watched:
    """A rig whose runs are watched."""

    rig: Rig
    metrics_port: int
    gateway: str
    asked: Asked
    came: list[Mapping[str, Any]]
    """Alerts that Alertmanager has posted."""

    def apply(self, commit: str, *, exits: int) -> None:
        run = self.rig.command
        run.write(MANIFEST.format(commit=commit))
        run.bundle(version=commit)
        assert run.shell("git add -A && git commit -qm x", **AUTHOR).code == 0
        options = ["--metrics-listen", f"127.0.0.1:{self.metrics_port}", "--pushgateway", self.gateway]
        ended = run("apply", "release.yaml", "-e", "prod", *options)
        assert ended.code == exits, ended.out + ended.err


@pytest.fixture
def watched(make_rig: MakeRig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    rig = make_rig(["web/fleet", "api/fleet", "cart/fleet"], faults=FAULTS, time_scale=80)
    rig.command.write(".orchestrator\n", ".gitignore")
    assert rig.command.shell("git init -q .").code == 0
    folder, metrics_port, alerts_port = tmp_path_factory.mktemp("monitoring"), free_port(), free_port()
    with ExitStack() as stack:
        hook, came = stack.enter_context(receiver())
        gateway = stack.enter_context(pushgateway())
        page = stack.enter_context(rig.command.start("serve", "--listen", "127.0.0.1:0"))
        stack.callback(page.terminate)
        assert page.stdout is not None
        served = re.search(r":(\d+)", page.stdout.readline())
        assert served is not None
        stack.enter_context(alertmanager(fast_alertmanager(folder, {9099: hook}), alerts_port))
        ports = {9464: metrics_port, 9465: int(served[1]), 9091: int(gateway.rpartition(":")[2]), 9093: alerts_port}
        url = stack.enter_context(prometheus(fast_prometheus(folder, ports), folder / "data"))
        yield Watched(rig, metrics_port, gateway, Asked(url), came)


def test_what_prometheus_alertmanager_and_the_dashboard_say_of_real_runs(watched: Watched) -> None:
    began, asked = time.time(), watched.asked
    watched.apply(BAD, exits=3)
    watched.apply(GOOD, exits=0)
    watched.rig.set_faults(replace(FAULTS, throttled={"BatchGetDeployments": 1.0}))
    watched.apply(BAD, exits=3)
    summary = "The release shop-cccc to prod: failed"
    wait_until(lambda: summary in summaries(watched, "firing"), "the alert has come out of Alertmanager")
    wait_until(lambda: last_outcome(asked) == {"failed"}, "serve says how the last run ended")

    fired = {each["metric"]["alertname"] for each in asked.over('ALERTS{alertstate="firing"}', began, time.time())}
    assert {"OrchestratorTargetsFailing", "OrchestratorInstancesFailing", "OrchestratorReleaseFailed"} <= fired
    assert not fired & {"OrchestratorRollbackFailed", "OrchestratorNoSuccess", "OrchestratorManyReleasesFail"}
    # One at the gateway, one over the state: the group at the gateway is an instance of its own.
    (pushed,) = asked.now('orchestrator:run_outcome:by_release{outcome="failed", instance="prod/release.yaml"} == 1')
    assert pushed["metric"]["release"] == "shop-cccc"
    # What was made good between the two failures.
    assert summary in summaries(watched, "resolved")

    variables = {"environment": "prod", "release": ".*", "datasource": "x"}
    for name, (selector, label) in variable_queries().items():
        found = asked.values_of(label, substituted(selector, variables))
        assert {"environment": {"prod"}, "release": {"shop-aaaa", "shop-cccc"}}[name] == set(found)
    nothing = [
        (title, query)
        for title, query in panel_queries()
        for release in (".*", "shop-cccc")
        if not has_figures(asked.over(substituted(query, {**variables, "release": release}), began, time.time()))
    ]
    assert nothing == []

    ended = watched.rig.command("runs", "--stats", "--output", "json")
    week = json.loads(ended.out)[0]
    assert week["outcomes"] == {"failed": 2, "succeeded": 1}
    assert week["failure_ratio"] == pytest.approx(2 / 3)
    assert 0 < week["restore_seconds"]["p50"] < 60
    assert 0 < week["lead_time_seconds"]["commit"]["p50"] < 60


def summaries(watched: Watched, status: str) -> set[str]:
    return {each["annotations"]["summary"] for each in watched.came if each["status"] == status}


def last_outcome(asked: Asked) -> set[str]:
    return {each["metric"]["outcome"] for each in asked.now("orchestrator_last_run_outcome == 1")}


def has_figures(series: list[dict[str, Any]]) -> bool:
    return any(math.isfinite(float(value)) for each in series for _, value in each["values"])
