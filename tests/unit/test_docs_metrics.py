"""docs/metrics.md lists the metrics, of a run and of all runs: all of them, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pages
from prometheus_client.parser import text_string_to_metric_families
from world import World, target

from orchestrator.core import events as ev
from orchestrator.core.delivery import Release
from orchestrator.core.model import Outcome, Policy
from orchestrator.core.state import RunState
from orchestrator.sinks.exposition import TEXT, render
from orchestrator.sinks.history import families_of
from orchestrator.sinks.metrics import Metrics
from orchestrator.testing import Script

Virtual = Callable[[Coroutine[Any, Any, None]], None]


def a_run(virtual: Virtual) -> Metrics:
    """A success, and a failure that CodeDeploy rolls back."""
    world = World([target("api/fleet"), target("web/fleet")], policy=Policy(on_failure="continue"))
    world.codedeploy.scripts["web", "fleet"] = Script(status="Failed", rollback="Succeeded")
    virtual(world.run())
    metrics, state = Metrics(rates=lambda: {("codedeploy", "eu-west-1"): 5.0}), RunState()
    for record in world.journal.records:
        state.apply(record)
        metrics.handle(record, state)
    # The fake doesn't count instances, and a call is told by the transport.
    seen = ev.DeploymentProgressed(
        target="api/fleet", deployment_id="d-1", status="InProgress", overview={"Pending": 3}
    )
    last = ev.Record(state.last_seq + 1, 0.0, state.run, seen)
    state.apply(last)
    metrics.handle(last, state)
    metrics.called(service="codedeploy", operation="CreateDeployment", outcome="throttled", seconds=0.1)
    return metrics


def exported(text: bytes) -> dict[str, tuple[str, set[str]]]:
    """Kind and labels by name, as they stand in the text format."""
    found: dict[str, tuple[str, set[str]]] = {}
    for family in text_string_to_metric_families(text.decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name] = (family.type, labels)
    return found


def a_history() -> bytes:
    """A failure, made good by the next release."""
    releases = [
        Release(
            run=f"r{number}",
            release="shop",
            environment="prod",
            manifest="release.yaml",
            outcome=outcome,
            started_at=number * 100.0,
            ended_at=number * 100.0 + 50,
            committed_at=1.0,
        )
        for number, outcome in enumerate((Outcome.FAILED, Outcome.SUCCEEDED))
    ]
    return render(families_of(releases, 0, 1000.0), TEXT)


def test_the_tables_are_what_is_exported(virtual: Virtual) -> None:
    real = exported(a_run(virtual).render(TEXT)) | exported(a_history())
    listed = {
        pages.codes(row[0])[0]: (row[1], set(pages.codes(row[2])))
        for row in pages.rows(pages.page("metrics"))
        if len(row) == 4
    }
    assert set(listed) == set(real)
    for name, (kind, labels) in real.items():
        # A success of the whole run is what makes the one sample that this run doesn't have.
        wanted = {"release", "environment"} if name == "orchestrator_last_success_timestamp_seconds" else labels
        assert listed[name] == (kind, wanted), name
