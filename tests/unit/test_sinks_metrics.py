"""The contract's metrics, from hand-made events: names, kinds, labels, values."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping

import pytest
from feeds import Feed
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.core import bundle_events as bev
from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.model import Outcome, TargetState
from orchestrator.sinks.exposition import OPENMETRICS, TEXT
from orchestrator.sinks.metrics import Metrics

CONTRACT: Mapping[str, tuple[str, set[str]]] = {
    "run_info": ("gauge", {"run", "release", "environment"}),
    "run_start_time_seconds": ("gauge", set()),
    "run_duration_seconds": ("gauge", set()),
    "run_outcome": ("gauge", {"outcome"}),
    "targets": ("gauge", {"state"}),
    "target_state": ("gauge", {"application", "deployment_group", "state"}),
    "target_instances": ("gauge", {"application", "deployment_group", "status"}),
    "deployment_duration_seconds": ("histogram", {"application", "deployment_group", "outcome"}),
    "queue_wait_seconds": ("histogram", set()),
    "detection_lag_seconds": ("histogram", set()),
    "bundle_bytes_total": ("counter", set()),
    "upload_bytes_total": ("counter", set()),
    "uploads_skipped_total": ("counter", set()),
    "upload_duration_seconds": ("histogram", set()),
    "api_requests_total": ("counter", {"service", "operation", "outcome"}),
    "api_request_duration_seconds": ("histogram", {"service", "operation"}),
    "api_throttles_total": ("counter", {"service", "operation"}),
    "api_rate_limit": ("gauge", {"service", "region"}),
    "last_success_timestamp_seconds": ("gauge", {"release", "environment"}),
    "rollbacks_total": ("counter", set()),
    "deployments_total": ("counter", {"outcome"}),
}


def a_whole_run(metrics: Metrics) -> Feed:
    feed = Feed(metrics)
    uploaded = bev.BundleUploaded(
        application="api", region="r", bucket="b", key="k", digest="", bytes=1000, seconds=2.0, skipped=False
    )
    again = bev.BundleUploaded(
        application="api", region="s", bucket="b", key="k", digest="", bytes=1000, seconds=0.1, skipped=True
    )
    feed.tell(uploaded, again, ev.TargetReady(target="api/canary", waited=4.0))
    metrics.called(service="codedeploy", operation="CreateDeployment", outcome="throttled", seconds=0.02)
    metrics.called(service="codedeploy", operation="CreateDeployment", outcome="ok", seconds=0.03)
    feed.tell(ev.ApiThrottled(service="codedeploy", operation="CreateDeployment", region="eu-west-1", rate=2.5))
    feed.start("api/canary")
    feed.tell(
        ev.DeploymentProgressed(
            target="api/canary", deployment_id="d-SECRET", status="InProgress", overview={"Succeeded": 2, "Pending": 1}
        )
    )
    feed.tell(
        ev.DeploymentEnded(target="api/canary", deployment_id="d-SECRET", status="Succeeded", lag=3.0, seconds=100.0),
        ev.TargetFinished(target="api/canary", state=TargetState.SUCCEEDED),
        after=100.0,
    )
    feed.start("api/fleet")
    feed.tell(
        ev.DeploymentEnded(target="api/fleet", deployment_id="d-SECRET", status="Failed", lag=-0.5),
        ev.RollbackStarted(target="api/fleet", deployment_id="d-SECRET", rollback_deployment_id="d-SECRET2"),
        after=50.0,
    )
    return feed


def values(metrics: Metrics) -> dict[str, float]:
    """`name{label="value",…}` -> value, as a scraper sees it."""
    text = metrics.render(TEXT).decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {series.removeprefix("orchestrator_"): float(value) for series, _, value in lines}


def test_names_kinds_and_labels_are_those_of_the_contract() -> None:
    metrics = Metrics(last_success={("shop", "prod"): 5.0}, clock=lambda: 2000.0)
    a_whole_run(metrics)
    text = metrics.render(TEXT).decode()
    kinds = dict(re.findall(r"^# TYPE orchestrator_(\S+) (\S+)$", text, re.MULTILINE))
    assert kinds == {name: kind for name, (kind, _) in CONTRACT.items()}
    seen: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = re.sub(r"_(bucket|sum|count)$", "", sample.name.removeprefix("orchestrator_"))
            seen.setdefault(name, set()).update(set(sample.labels) - {"le"})
    assert seen == {name: labels for name, (_, labels) in CONTRACT.items()}


def test_no_id_of_a_deployment_is_a_label_and_the_run_only_on_run_info() -> None:
    metrics = Metrics(clock=lambda: 2000.0)
    a_whole_run(metrics)
    text = metrics.render(TEXT).decode()
    assert "d-SECRET" not in text
    assert [line for line in text.splitlines() if "run-1" in line] == [
        'orchestrator_run_info{environment="prod",release="shop",run="run-1"} 1.0'
    ]


def test_the_openmetrics_format_is_sound_too() -> None:
    metrics = Metrics(clock=lambda: 2000.0)
    a_whole_run(metrics)
    text = metrics.render(OPENMETRICS).decode()
    families = list(parse_openmetrics(text))  # type: ignore[no-untyped-call]
    assert len(families) == len(CONTRACT)


def test_the_values_of_a_run() -> None:
    metrics = Metrics(clock=lambda: 1180.0)
    feed = a_whole_run(metrics)
    got = values(metrics)
    canary, fleet = 'application="api",deployment_group="canary"', 'application="api",deployment_group="fleet"'
    expected = {
        "run_start_time_seconds": 1000.0,
        "run_duration_seconds": 180.0,
        'run_outcome{outcome="running"}': 1.0,
        'run_outcome{outcome="failed"}': 0.0,
        'targets{state="succeeded"}': 1.0,
        'targets{state="rolling_back"}': 1.0,
        'targets{state="pending"}': 0.0,
        f'target_state{{{canary},state="succeeded"}}': 1.0,
        f'target_state{{{canary},state="running"}}': 0.0,
        f'target_instances{{{canary},status="Succeeded"}}': 2.0,
        f'target_instances{{{canary},status="Pending"}}': 1.0,
        f'deployment_duration_seconds_sum{{{canary},outcome="succeeded"}}': 100.0,
        f'deployment_duration_seconds_bucket{{{canary},le="60.0",outcome="succeeded"}}': 0.0,
        f'deployment_duration_seconds_bucket{{{canary},le="120.0",outcome="succeeded"}}': 1.0,
        f'deployment_duration_seconds_sum{{{fleet},outcome="failed"}}': 50.0,  # as far as we saw it
        "queue_wait_seconds_sum": 4.0,
        "detection_lag_seconds_sum": 3.0,  # clocks differ: a negative lag is none
        "detection_lag_seconds_count": 2.0,
        "bundle_bytes_total": 2000.0,
        "upload_bytes_total": 1000.0,
        "uploads_skipped_total": 1.0,
        "upload_duration_seconds_sum": 2.0,
        'api_requests_total{operation="CreateDeployment",outcome="ok",service="codedeploy"}': 1.0,
        'api_requests_total{operation="CreateDeployment",outcome="throttled",service="codedeploy"}': 1.0,
        'api_request_duration_seconds_sum{operation="CreateDeployment",service="codedeploy"}': 0.05,
        'api_throttles_total{operation="CreateDeployment",service="codedeploy"}': 1.0,
        'api_rate_limit{region="eu-west-1",service="codedeploy"}': 2.5,
        "rollbacks_total": 1.0,
        'deployments_total{outcome="succeeded"}': 1.0,
        'deployments_total{outcome="failed"}': 1.0,
    }
    assert {name: got.get(name) for name in expected} == pytest.approx(expected)
    assert sum(value for name, value in got.items() if name.startswith("target_state{")) == len(feed.state.targets)


def test_the_outcome_and_the_time_of_success_come_with_the_end() -> None:
    metrics = Metrics(last_success={("shop", "prod"): 5.0, ("shop", "staging"): 7.0}, clock=lambda: 9999.0)
    feed = Feed(metrics)
    assert values(metrics)['last_success_timestamp_seconds{environment="prod",release="shop"}'] == 5.0
    feed.tell(ev.RunFinished(outcome=Outcome.SUCCEEDED, exit_code=0), after=60.0)
    got = values(metrics)
    assert got["run_duration_seconds"] == 60.0
    assert got['run_outcome{outcome="succeeded"}'] == 1.0
    assert got['run_outcome{outcome="running"}'] == 0.0
    assert got['last_success_timestamp_seconds{environment="prod",release="shop"}'] == 1060.0
    assert got['last_success_timestamp_seconds{environment="staging",release="shop"}'] == 7.0


def test_of_many_successes_the_newest_of_each_environment_are_kept() -> None:
    earlier = {(f"shop-{number}", "prod"): float(number) for number in range(50)} | {("old", "staging"): 1.0}
    metrics = Metrics(last_success=earlier)
    Feed(metrics).tell(ev.RunFinished(outcome=Outcome.SUCCEEDED, exit_code=0))
    metrics.add_last_success({("shop-x", "prod"): 48.5, ("older", "prod"): 0.5})
    kept = {name: value for name, value in values(metrics).items() if name.startswith("last_success")}
    assert sorted(kept.values()) == [1.0, 42.0, 43.0, 44.0, 45.0, 46.0, 47.0, 48.0, 48.5, 49.0, 1000.0]


def test_a_failed_run_leaves_the_time_of_the_last_success_alone() -> None:
    metrics = Metrics(last_success={("shop", "prod"): 5.0})
    Feed(metrics).tell(ev.RunFinished(outcome=Outcome.FAILED, exit_code=3))
    assert values(metrics)['last_success_timestamp_seconds{environment="prod",release="shop"}'] == 5.0


def test_before_the_first_event_there_is_something_to_scrape() -> None:
    got = values(Metrics())
    assert got["rollbacks_total"] == 0.0
    assert not any(name.startswith("run_") for name in got)


def test_known_rates_need_no_throttle() -> None:
    metrics = Metrics(rates=lambda: {("codedeploy", "eu-west-1"): 12.5})
    Feed(metrics)
    assert values(metrics)['api_rate_limit{region="eu-west-1",service="codedeploy"}'] == 12.5


def test_label_values_may_be_anything() -> None:
    metrics = Metrics()
    feed = Feed(metrics, names=('a"\\\n/b',))
    assert len(feed.state.targets) == 1
    (family,) = [
        family
        for family in text_string_to_metric_families(metrics.render(TEXT).decode())
        if family.name == "orchestrator_target_state"
    ]
    assert {sample.labels["application"] for sample in family.samples} == {'a"\\\n'}


def test_a_resumed_run_shows_its_targets_at_once() -> None:
    feed = Feed(Metrics())
    later = Metrics()
    record = ev.Record(feed.state.last_seq + 1, 5.0, "run-1", ev.RunResumed(version="0", host="h", pid=1))
    feed.state.apply(record)
    later.handle(record, feed.state)
    assert values(later)['targets{state="pending"}'] == 2.0


def test_scrapes_beside_a_running_release_always_add_up() -> None:
    names = tuple(f"app{i}/fleet" for i in range(50))
    metrics = Metrics()
    feed = Feed(metrics, names)
    faults: list[str] = []
    done = threading.Event()

    def scrape() -> None:
        while not done.is_set():
            got = values(metrics)
            if sum(value for name, value in got.items() if name.startswith("targets{")) != len(names):
                faults.append("targets don't add up")

    thread = threading.Thread(target=scrape)
    thread.start()
    for name in names:
        feed.start(name)
        feed.tell(
            ev.DeploymentProgressed(target=name, deployment_id="d", status="InProgress", overview={"Succeeded": 1}),
            ev.DeploymentEnded(target=name, deployment_id="d", status="Succeeded", seconds=1.0),
            ev.TargetFinished(target=name, state=TargetState.SUCCEEDED),
        )
    done.set()
    thread.join()
    assert faults == []
    assert values(metrics)['targets{state="succeeded"}'] == 50.0


def test_without_detail_no_series_is_about_one_target_and_the_sums_are_the_same() -> None:
    whole, folded = Metrics(clock=lambda: 1180.0), Metrics(detail="run", clock=lambda: 1180.0)
    for metrics in (whole, folded):
        a_whole_run(metrics)
    text = folded.render(TEXT).decode()
    assert "application" not in text
    assert "deployment_group" not in text
    assert "target_state" not in text
    got, full = values(folded), values(whole)
    assert got['target_instances{status="Succeeded"}'] == 2.0
    assert got['deployment_duration_seconds_sum{outcome="failed"}'] == 50.0
    shared = {name: value for name, value in full.items() if "application" not in name}
    assert {name: got[name] for name in shared} == shared


def test_a_target_whose_state_is_the_same_keeps_its_lines_and_one_that_changes_does_not() -> None:
    metrics = Metrics()
    feed = Feed(metrics)
    series = 'target_state{application="api",deployment_group="canary",state="%s"}'
    assert values(metrics)[series % "pending"] == 1.0
    feed.start("api/canary")
    assert values(metrics)[series % "pending"] == 0.0
    assert values(metrics)[series % "running"] == 1.0
    for count in (1, 2):
        overview = {"Succeeded": count}
        feed.tell(
            ev.DeploymentProgressed(target="api/canary", deployment_id="d", status="InProgress", overview=overview)
        )
        found = 'target_instances{application="api",deployment_group="canary",status="Succeeded"}'
        assert values(metrics)[found] == count


def test_a_run_that_waits_for_somebody_is_blocked_and_runs_again_when_it_is_resumed() -> None:
    metrics = Metrics()
    feed = Feed(metrics)
    feed.tell(gev.RunBlocked(reason="cab", gates=("cab",)))
    assert values(metrics)['run_outcome{outcome="blocked"}'] == 1.0
    feed.tell(ev.RunResumed(version="0", host="h", pid=2))
    assert values(metrics)['run_outcome{outcome="running"}'] == 1.0
