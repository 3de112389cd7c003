"""What a target has spent its time with."""

from __future__ import annotations

import pytest
from bigruns import NOON, Told, begin, big_run
from world import target

from orchestrator.core import bundle_events as bev
from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.model import TargetState
from orchestrator.core.spans import spans_of
from orchestrator.core.state import fold

S = TargetState


def intent(name: str) -> ev.DeploymentIntended:
    application, group = name.split("/")
    return ev.DeploymentIntended(
        target=name,
        token="t",
        attempt=1,
        application_name=application,
        deployment_group_name=group,
        region="r",
        role_arn=None,
        revision={},
    )


def deployed(told: Told, name: str, deployment: str) -> None:
    told.tell(intent(name))
    told.tell(ev.DeploymentStarted(target=name, token="t", deployment_id=deployment), after=1.0)


def shown(told: Told, name: str, now: float) -> list[tuple[str, float, float]]:
    return [
        (span.kind, span.start - NOON, span.end - NOON) for span in spans_of(told.state.targets[name], told.state, now)
    ]


def a_pair() -> Told:
    return begin([target("db/g"), target("api/g", needs=["db/g"])])


def test_from_waiting_for_its_needs_to_the_end_of_its_bake() -> None:
    told = a_pair()
    told.tell(bev.UploadStarted(application="api", region="r", targets=("api/g",)))
    told.tell(bev.RevisionPinned(application="api", region="r", targets=("api/g",), revision={}), after=3.0)
    deployed(told, "db/g", "d-1")
    told.tell(ev.TargetFinished(target="db/g", state=S.SUCCEEDED), after=6.0)
    told.tell(ev.TargetReady(target="api/g", waited=2.0), after=2.0)
    deployed(told, "api/g", "d-2")
    told.tell(gev.BakeStarted(target="api/g", seconds=60.0), after=10.0)
    told.tell(ev.TargetFinished(target="api/g", state=S.SUCCEEDED), after=60.0)
    assert shown(told, "api/g", NOON + 500) == [
        ("upload", 0, 3),
        ("needs", 3, 10),
        ("queue", 10, 12),
        ("starting", 12, 13),
        ("running", 13, 23),
        ("baking", 23, 83),
    ]


def test_what_is_under_way_lasts_until_now_and_no_event_is_needed_to_know_that_needs_are_met() -> None:
    told = a_pair()
    assert shown(told, "api/g", NOON + 5) == [("needs", 0, 5)]
    deployed(told, "db/g", "d-1")
    assert shown(told, "db/g", NOON + 5) == [("starting", 0, 1), ("running", 1, 5)]
    told.tell(ev.TargetFinished(target="db/g", state=S.SUCCEEDED), after=6.0)
    assert shown(told, "api/g", NOON + 20) == [("needs", 0, 7), ("queue", 7, 20)]


def test_an_attempt_that_failed_and_a_rollback_are_told_apart() -> None:
    told = a_pair()
    deployed(told, "db/g", "d-1")
    told.tell(ev.TargetRetried(target="db/g", deployment_id="d-1", retry=1, reason="x", wait=5.0), after=9.0)
    told.now += 5.0
    deployed(told, "db/g", "d-2")
    told.tell(ev.RollbackStarted(target="db/g", deployment_id="d-2", rollback_deployment_id="d-3"), after=4.0)
    told.tell(ev.TargetFinished(target="db/g", state=S.ROLLED_BACK), after=8.0)
    kinds = [(kind, end - start) for kind, start, end in shown(told, "db/g", NOON + 99)]
    assert kinds == [
        ("starting", 1),
        ("attempt", 9),
        ("queue", 5),
        ("starting", 1),
        ("running", 4),
        ("rolling_back", 8),
    ]


@pytest.mark.parametrize("count", [5, 200])
def test_spans_follow_each_other_without_gaps_whatever_happened(count: int) -> None:
    state = fold(big_run(count))
    now = (state.last_ts or 0.0) + 100
    for each in state.targets.values():
        spans = spans_of(each, state, now)
        assert all(span.start < span.end for span in spans)
        assert [span.start for span in spans[1:]] == [span.end for span in spans[:-1]]
        assert not each.state.is_final or all(span.end <= (each.ended_at or 0.0) for span in spans)
