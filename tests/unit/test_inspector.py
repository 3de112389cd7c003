"""The instances of deployments that take their time are looked at, and nothing else is paid for it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from world import World, target

from orchestrator.core import events as ev
from orchestrator.core.errors import AnswerLostError, CallError
from orchestrator.core.model import Outcome
from orchestrator.testing import EPOCH, Script, ScriptedCodeDeploy

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]


def calls(world: World, operation: str) -> int:
    return world.codedeploy.calls[operation]


def seen(world: World) -> list[ev.InstancesSeen]:
    return [record.event for record in world.journal.records if isinstance(record.event, ev.InstancesSeen)]


def test_a_quick_deployment_costs_no_call(virtual: Virtual) -> None:
    world = World([target("a/g")], codedeploy=ScriptedCodeDeploy({("a", "g"): Script(seconds=50)}))
    virtual(world.run())
    assert calls(world, "ListDeploymentTargets") == 0
    assert seen(world) == []


def test_a_slow_one_says_where_its_instances_are_and_only_once_while_nothing_changes(virtual: Virtual) -> None:
    world = World([target("a/g")], codedeploy=ScriptedCodeDeploy({("a", "g"): Script(seconds=600)}))
    virtual(world.run())
    (found,) = seen(world)
    created = world.codedeploy.of("a", "g")[0].created
    assert [dict(each) for each in found.instances] == [
        {
            "instance": "i-slow",
            "status": "InProgress",
            "lifecycle_event": "ApplicationStart",
            "since": EPOCH + created,
        }
    ]
    assert world.state.targets["a/g"].instances == found.instances
    assert 8 <= calls(world, "ListDeploymentTargets") <= 10  # every 60 s


def test_a_hundred_slow_ones_share_a_tenth_of_the_budget(virtual: Virtual) -> None:
    targets = [target(f"a{number}/g") for number in range(100)]
    scripts = {(f"a{number}", "g"): Script(seconds=900) for number in range(100)}
    world = World(targets, codedeploy=ScriptedCodeDeploy(scripts))
    virtual(world.run())
    looks = calls(world, "ListDeploymentTargets")
    assert 0 < 2 * looks <= 0.1 * 40 * 900  # 40 calls a second is the most that the budget grows to
    assert len({each.target for each in seen(world)}) > 50


def test_looks_that_are_never_answered_change_nothing(virtual: Virtual) -> None:
    def fault(operation: str, _parameters: Mapping[str, Any]) -> CallError | None:
        return AnswerLostError("reset", operation=operation) if operation == "ListDeploymentTargets" else None

    codedeploy = ScriptedCodeDeploy({("a", "g"): Script(seconds=600)})
    codedeploy.before = fault
    world = World([target("a/g")], codedeploy=codedeploy)
    virtual(world.run())
    assert world.state.outcome is Outcome.SUCCEEDED
    assert seen(world) == []
