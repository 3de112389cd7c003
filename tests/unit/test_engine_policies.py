"""Retries, and who gets a free place first."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from itertools import pairwise
from typing import Any

import anyio
import pytest
from world import World, target

from orchestrator.core import events as ev
from orchestrator.core.control import OnCancel
from orchestrator.core.model import Concurrency, Policy, Retry, Target
from orchestrator.core.phases import Phases
from orchestrator.core.ranking import ranks
from orchestrator.core.result import exit_code_of, result_of
from orchestrator.testing import Script, ScriptedCodeDeploy

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]
LOST = {
    "lifecycleEventName": "ApplicationStop",
    "errorCode": "UnknownError",
    "message": "CodeDeploy agent was not able to receive the lifecycle event. Check the CodeDeploy agent logs",
}
SCRIPT = {"lifecycleEventName": "AfterInstall", "scriptName": "x.sh", "errorCode": "ScriptFailed", "message": "1"}
TWICE = Retry(times=2, wait=60.0)


def failed(code: str, *failures: Mapping[str, str]) -> Script:
    return Script(status="Failed", error={"code": code, "message": "it failed"}, failures=failures)


def world_of(*scripts: Script, retry: Retry = TWICE, **more: Any) -> World:
    """One target whose deployments go by these scripts, one after the other; the last one stays."""
    codedeploy = ScriptedCodeDeploy()
    left = list(scripts)
    codedeploy.choose = lambda _sent: left.pop(0) if len(left) > 1 else left[0]
    return World([target("a/g", retry=retry), target("b/g", needs=["a/g"])], codedeploy=codedeploy, **more)


# --- retries ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [failed(code) for code in ("AGENT_ISSUE", "INTERNAL_ERROR", "RESOURCE_LIMIT_EXCEEDED", "THROTTLED", "TIMEOUT")]
    + [failed("HEALTH_CONSTRAINTS", LOST, LOST)],
    ids=lambda script: script.error["code"],
)
def test_what_another_attempt_may_mend_is_tried_again(virtual: Virtual, script: Script) -> None:
    world = world_of(script, script, Script())
    virtual(world.run())
    assert world.states() == {"a/g": "succeeded", "b/g": "succeeded"}
    assert exit_code_of(world.state) == 0
    made = world.codedeploy.of("a", "g")
    tokens = [each.parameters["description"].split()[0] for each in made]
    assert tokens == ["orchestrator:r1/1", "orchestrator:r1/1.1", "orchestrator:r1/1.2"]
    assert [later.created - before.ends >= 60.0 for before, later in pairwise(made)] == [True, True]
    result = result_of(world.state)["targets"][0]
    assert (result["attempts"], result["deployment_id"]) == ([made[0].id, made[1].id], made[2].id)
    assert [event.retry for event in world.events(ev.TargetRetried)] == [1, 2]


@pytest.mark.parametrize(
    "script",
    [
        failed("HEALTH_CONSTRAINTS", SCRIPT),
        failed("HEALTH_CONSTRAINTS", LOST, SCRIPT),
        failed("HEALTH_CONSTRAINTS"),
        failed("REVISION_MISSING"),
        Script(status="Stopped", error={"code": "TIMEOUT", "message": ""}),
    ],
)
def test_what_fails_by_itself_is_not(virtual: Virtual, script: Script) -> None:
    world = world_of(script)
    virtual(world.run())
    assert len(world.codedeploy.of("a", "g")) == 1
    assert world.states()["b/g"] == "skipped"


def test_attempts_are_counted(virtual: Virtual) -> None:
    world = world_of(failed("AGENT_ISSUE"))
    virtual(world.run())
    assert len(world.codedeploy.of("a", "g")) == 3
    assert world.states() == {"a/g": "failed", "b/g": "skipped"}
    assert exit_code_of(world.state) == 3
    once = world_of(failed("AGENT_ISSUE"), retry=Retry())
    virtual(once.run())
    assert len(once.codedeploy.of("a", "g")) == 1


def test_a_cancel_between_two_attempts_leaves_the_failure(virtual: Virtual) -> None:
    async def cancel(engine: Phases) -> None:
        await anyio.sleep(40.0)
        engine.cancel(OnCancel.WAIT, reason="enough")

    world = world_of(failed("AGENT_ISSUE"), meanwhile=cancel)
    virtual(world.run())
    assert world.states() == {"a/g": "failed", "b/g": "cancelled"}
    assert len(world.codedeploy.of("a", "g")) == 1
    assert world.seconds < 60.0


def test_a_run_that_died_between_two_attempts_goes_on_counting(virtual: Virtual) -> None:
    async def leave(engine: Phases) -> None:
        await anyio.sleep(40.0)
        engine.leave("gone")

    world = world_of(failed("AGENT_ISSUE"), failed("AGENT_ISSUE"), Script(), meanwhile=leave)

    async def twice() -> None:
        await world.run()
        assert (world.states()["a/g"], len(world.state.targets["a/g"].attempts)) == ("pending", 1)
        world.meanwhile = None
        await world.run()

    virtual(twice())
    assert world.states()["a/g"] == "succeeded"
    assert len(world.state.targets["a/g"].attempts) == 2


def test_what_has_failed_before_it_was_tried_again_goes_back_too(virtual: Virtual) -> None:
    world = world_of(failed("AGENT_ISSUE"), retry=Retry(times=1), policy=Policy(rollback="release"))
    world.before = {}
    virtual(world.run())
    assert "not rolled back" in (world.state.targets["a/g"].reason or "")
    assert exit_code_of(world.state) == 5


# --- who goes first --------------------------------------------------------------------------------------------------


def test_the_longest_way_goes_first_and_priority_before_it() -> None:
    targets = [
        target("short/g"),
        target("long/g"),
        target("end/g", needs=["long/g"]),
        target("urgent/g", priority=1),
        target("late/g", priority=-1),
        target("after/g", after=["late/g"]),
    ]
    equal = ranks(targets, {})
    assert sorted(equal, key=lambda name: equal[name])[:2] == ["urgent/g", "long/g"]
    assert max(equal, key=lambda name: equal[name]) == "late/g"
    assert equal["long/g"] == (0.0, -2.0)
    timed = ranks(targets, {"short/g": 600.0, "long/g": 30.0, "end/g": 20.0})
    assert timed["short/g"] < timed["long/g"]
    assert timed["long/g"] == (0.0, -50.0)


def order_of(virtual: Virtual, targets: list[Target], durations: Mapping[str, float] | None = None) -> list[str]:
    world = World(targets, concurrency=Concurrency(deployments=1), durations=durations or {})
    virtual(world.run())
    return world.starts()


def test_a_free_place_goes_to_the_first_in_rank(virtual: Virtual) -> None:
    targets = [target("low/g", priority=-5), target("one/g"), target("two/g"), target("high/g", priority=5)]
    assert order_of(virtual, targets) == ["high/g", "one/g", "two/g", "low/g"]
    assert order_of(virtual, targets, {"two/g": 900.0, "one/g": 60.0}) == ["high/g", "two/g", "one/g", "low/g"]
    deep = [target("leaf/g"), target("root/g"), target("mid/g", needs=["root/g"]), target("top/g", needs=["mid/g"])]
    assert order_of(virtual, deep)[0] == "root/g"
