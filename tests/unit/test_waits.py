"""Why a target waits: the same in every view."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from orchestrator.core import bundle_events as bev
from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.result import result_of
from orchestrator.core.state import RunState
from orchestrator.core.waits import wait_of
from orchestrator.sinks.frame import frame
from orchestrator.sinks.plain import still
from orchestrator.sinks.summary import summary
from orchestrator.wording.waiting import waits_for

LIMITS = {"deployments": 2, "per_region": None, "pools": {"database": 1}}
LOCATION = {"region": "eu-west-1", "role_arn": None}


def target(name: str, **more: Any) -> dict[str, Any]:
    application, group = name.split("/")
    given = {"id": name, "application": application, "deployment_group": group, "location": LOCATION}
    return {**given, "action": "deploy", **more}


def told(*events: ev.Event, limits: Mapping[str, Any] = LIMITS) -> RunState:
    """`db/a` and `db/b` are in a pool of one, `web/c` needs `db/a`."""
    state = RunState()
    started = ev.RunStarted(
        release="shop",
        environment="staging",
        manifest="r.yaml",
        manifest_digest="",
        targets=(target("db/a", pool="database"), target("db/b", pool="database"), target("web/c", needs=("db/a",))),
        policy={},
        concurrency=limits,
        version="0",
        host="h",
        pid=1,
    )
    pinned = bev.RevisionPinned(application="db", region="eu-west-1", targets=("db/a", "db/b"), revision={"x": 1})
    for number, event in enumerate((started, pinned, *events), start=1):
        state.apply(ev.Record(number, 1_800_000_000.0 + number, "r1", event))
    return state


def intended(name: str) -> ev.DeploymentIntended:
    return ev.DeploymentIntended(
        target=name,
        token="t",
        attempt=1,
        application_name="a",
        deployment_group_name="g",
        region="eu-west-1",
        role_arn=None,
        revision={"x": 1},
    )


def started(name: str) -> tuple[ev.Event, ...]:
    return intended(name), ev.DeploymentStarted(target=name, token="t", deployment_id="d-1")


def waiting(gate: str, target: str | None, phase: str = "before", kind: str = "http") -> gev.GateWaiting:
    return gev.GateWaiting(gate=gate, target=target, phase=phase, kind=kind)


def measured(gate: str, verdict: Any, reason: str, target: str | None = "db/b") -> gev.GateMeasured:
    return gev.GateMeasured(gate=gate, target=target, phase="before", verdict=verdict, reason=reason)


throttled = ev.ApiThrottled(service="codedeploy", operation="CreateDeployment", region="eu-west-1", rate=1.25)
busy = ev.TargetBlocked(target="db/b", reason="the deployment group is busy with d-9 (InProgress by autoscaling)")
ready = ev.DeploymentProgressed(target="db/b", deployment_id="d-1", status="Ready")
hook = gev.HookStarted(target="db/b", when="before", number=0, command=("./drain.sh", "30"))


@pytest.mark.parametrize(
    ("events", "name", "kind", "text"),
    [
        ((), "web/c", "need", "db/a"),
        ((), "db/b", "limit", "a free slot"),
        (started("db/a"), "db/b", "pool", "a place in the pool database: 1 of 1 taken by db/a"),
        ((*started("db/a"), *started("db/b")), "db/b", None, ""),
        ((intended("db/b"),), "db/b", "answer", "CodeDeploy's answer"),
        (
            (throttled, intended("db/b")),
            "db/b",
            "throttle",
            "CodeDeploy's answer; eu-west-1 is throttled to 1.2 calls/s",
        ),
        ((busy,), "db/b", "group", "the deployment group is busy with d-9 (InProgress by autoscaling)"),
        ((waiting("errors", "db/b"),), "db/b", "gate", "gate errors"),
        (
            (waiting("errors", "db/b"), measured("errors", "unknown", "connection refused")),
            "db/b",
            "gate",
            "gate errors (unknown: connection refused)",
        ),
        (
            (waiting("cab", "db/b", kind="approval"),),
            "db/b",
            "approval",
            "approval cab (orchestrator approve r1 cab)",
        ),
        ((waiting("open", None),), "db/b", "gate", "the run: gate open"),
        ((hook,), "db/b", "hook", "its before hook `./drain.sh 30`"),
        ((*started("db/b"), ready), "db/b", "traffic", "somebody to let its traffic go on: the deployment is ready"),
        ((*started("db/b"), gev.BakeStarted(target="db/b", seconds=60.0)), "db/b", "bake", "the end of its bake"),
        (
            (
                *started("db/b"),
                gev.BakeStarted(target="db/b", seconds=60.0),
                waiting("errors", "db/b", phase="after"),
            ),
            "db/b",
            "gate",
            "its bake, and gate errors",
        ),
        ((ev.FailureLimitReached(reason="enough"),), "db/b", "run", "nothing: enough"),
    ],
)
def test_each_kind_of_wait_has_its_words(events: tuple[ev.Event, ...], name: str, kind: str | None, text: str) -> None:
    state = told(*events)
    found = wait_of(state.targets[name], state)
    assert (None if found is None else found.kind) == kind
    assert waits_for(state.targets[name], state) == text


def test_a_target_behind_a_gate_has_no_place_and_one_before_a_busy_group_has() -> None:
    limits: dict[str, Any] = {"deployments": 1, "per_region": None, "pools": {}}
    behind = told(waiting("errors", "db/b"), limits=limits)
    assert waits_for(behind.targets["db/a"], behind) == "a free slot"
    before = told(busy, limits=limits)
    assert waits_for(before.targets["db/a"], before) == "a place in concurrency.deployments: 1 of 1 taken by db/b"


def test_every_view_says_it() -> None:
    state = told(waiting("errors", "db/b"), measured("errors", "unknown", "connection refused"))
    said = "gate errors (unknown: connection refused)"
    result = {each["target"]: each["waiting_for"] for each in result_of(state)["targets"]}
    assert result["db/b"] == {"kind": "gate", "text": said, "targets": []}
    assert result["web/c"] == {"kind": "need", "text": "db/a", "targets": ["db/a"]}
    assert said in still(state, 1_800_000_060.0)
    assert said in "\n".join(line.text for line in frame(state, now=1_800_000_060.0, width=120, height=20))
    assert said in "\n".join(summary(state, width=120))


def test_a_baking_target_says_so_in_the_sign_of_life() -> None:
    state = told(*started("db/b"), gev.BakeStarted(target="db/b", seconds=60.0), waiting("errors", "db/b", "after"))
    assert "db/b" in still(state, 1_800_000_060.0)
    assert "waits for its bake, and gate errors" in still(state, 1_800_000_060.0)


def test_a_blocked_run_says_who_has_to_do_what() -> None:
    state = told(
        waiting("cab", "db/b", kind="approval"), gev.RunBlocked(reason="awaiting approval: cab", gates=("cab",))
    )
    lines = summary(state)
    assert lines[-2] == "awaiting approval: orchestrator approve r1 cab [--reason TEXT]"
    assert lines[-1] == "then resume with: orchestrator resume r1"
    assert result_of(state)["outcome"] == "blocked"
