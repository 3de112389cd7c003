"""What stands in configs/ for Prometheus and Alertmanager, by the verdict of their own tools."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pages
import pytest
import yaml
from feeds import Feed
from programs import program

from orchestrator.core import events as ev
from orchestrator.core.delivery import Release
from orchestrator.core.model import Outcome, TargetState
from orchestrator.sinks.exposition import TEXT, render
from orchestrator.sinks.history import families_of
from orchestrator.sinks.metrics import Metrics

PROMETHEUS = pages.ROOT / "configs" / "prometheus"
RULES = sorted(PROMETHEUS.glob("*.rules.yml"))
TESTS = sorted((PROMETHEUS / "tests").glob("*.test.yml"))


def judged(*command: str, stdin: bytes | None = None) -> str:
    ended = subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)
    said = (ended.stdout + ended.stderr).decode()
    assert ended.returncode == 0, said
    return said


def groups() -> Iterator[dict[str, Any]]:
    for path in RULES:
        yield from yaml.safe_load(path.read_text())["groups"]


def alerts() -> list[dict[str, Any]]:
    return [rule for group in groups() for rule in group["rules"] if "alert" in rule]


def test_promtool_takes_the_configuration_with_its_rules() -> None:
    assert len(RULES) == 2
    assert "is valid" in judged(program("promtool"), "check", "config", str(PROMETHEUS / "prometheus.yml"))


def test_the_rules_do_what_their_tests_say() -> None:
    said = judged(program("promtool"), "test", "rules", *map(str, TESTS))
    assert said.count("SUCCESS") == len(TESTS) == 2


def test_every_rule_is_tested() -> None:
    text = "".join(path.read_text() for path in TESTS)
    tested = set(re.findall(r"alertname: (\w+)", text)) | set(
        re.findall(r"expr: (?:sum by \(\w+\) \()?(orch[\w:]+)", text)
    )
    rules = {rule.get("alert") or rule["record"] for group in groups() for rule in group["rules"]}
    assert tested == rules


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_every_alert_says_what_is_wrong_and_where_it_is_said_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"info", "warning", "critical"}
    assert {"summary", "description", "runbook"} == set(alert["annotations"])
    page, anchor = alert["annotations"]["runbook"].split("#")
    assert page == "docs/operations.md"
    headings = re.findall(r"^### (.+)$", (pages.ROOT / page).read_text(), re.MULTILINE)
    assert anchor in {heading.lower() for heading in headings}
    assert anchor == alert["alert"].lower()


def test_amtool_takes_the_configuration_of_alertmanager() -> None:
    said = judged(program("amtool"), "check-config", str(pages.ROOT / "configs" / "alertmanager" / "alertmanager.yml"))
    assert "SUCCESS" in said


def test_promtool_has_nothing_against_the_metrics() -> None:
    metrics = Metrics(last_success={("shop", "prod"): 5.0}, rates=lambda: {("codedeploy", "eu-west-1"): 5.0})
    feed = Feed(metrics)
    feed.start("api/canary")
    metrics.called(service="codedeploy", operation="GetDeployment", outcome="throttled", seconds=0.1)
    feed.tell(
        ev.DeploymentProgressed(target="api/canary", deployment_id="d", status="Failed", overview={"Failed": 1}),
        ev.DeploymentEnded(target="api/canary", deployment_id="d", status="Failed", lag=1.0, seconds=5.0),
        ev.TargetFinished(target="api/canary", state=TargetState.FAILED),
    )
    run = metrics.render(TEXT)
    releases = [
        Release(
            run=f"r{number}",
            release=f"shop-{number}",
            environment="prod",
            manifest="m",
            outcome=outcome,
            started_at=number * 100.0,
            ended_at=number * 100.0 + 50,
            committed_at=1.0,
        )
        for number, outcome in enumerate((Outcome.FAILED, Outcome.SUCCEEDED))
    ]
    for text in (run, render(families_of(releases, 0, 1000.0), TEXT)):
        assert judged(program("promtool"), "check", "metrics", stdin=text) == ""
