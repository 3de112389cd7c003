"""What goes back, in which order, and how the run that goes back tells of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest
from world import World, target

from orchestrator.core import events as ev
from orchestrator.core.control import OnCancel
from orchestrator.core.errors import ExitCode
from orchestrator.core.model import AppSpecRevision, GitHubRevision, Policy, Target
from orchestrator.core.phases import Phases
from orchestrator.core.plan import Step, step_from_dict, step_to_dict
from orchestrator.core.result import exit_code_of
from orchestrator.core.rollback import plan_rollback, with_request
from orchestrator.core.state import fold
from orchestrator.testing import Script, ScriptedCodeDeploy

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]
OLD = GitHubRevision(repository="acme/x", commit_id="0" * 40)
RELEASE = Policy(on_failure="continue", rollback="release")


def failing(*names: str) -> ScriptedCodeDeploy:
    return ScriptedCodeDeploy({(name, "g"): Script(status="Failed") for name in names})


def back_works(world: World) -> World:
    """Whatever a rollback deploys succeeds."""
    world.codedeploy.choose = lambda asked: Script() if "-back" in asked.get("description", "") else None
    return world


def world_of(*targets: Target, fails: str = "", policy: Policy = RELEASE, left_out: str = "") -> World:
    before = {each.id: OLD for each in targets if each.application not in left_out}
    world = World(list(targets), codedeploy=failing(*fails), policy=policy, before=before)
    return back_works(world)


def went_back(world: World) -> list[str]:
    made = sorted(world.codedeploy.made.values(), key=lambda each: each.created)
    return [each.key[0] for each in made if "-back" in each.parameters["description"]]


def test_what_waited_goes_first_also_through_a_target_that_stays(virtual: Virtual) -> None:
    targets = (target("a/g"), target("b/g", needs=["a/g"]), target("c/g", after=["b/g"]), target("d/g", needs=["c/g"]))
    world = world_of(*targets, fails="d")
    world.unchanged = frozenset({"b/g"})
    virtual(world.run())
    assert went_back(world) == ["d", "c", "a"]
    assert world.states() == {"a/g": "rolled_back", "b/g": "unchanged", "c/g": "rolled_back", "d/g": "rolled_back"}
    assert exit_code_of(world.state) is ExitCode.ROLLED_BACK


def test_independent_targets_go_back_side_by_side(virtual: Virtual) -> None:
    world = world_of(*(target(f"{name}/g") for name in "abcd"), fails="d")
    virtual(world.run())
    back = [made for made in world.codedeploy.made.values() if "-back" in made.parameters["description"]]
    moments = [made.created for made in back]
    assert (len(back), max(moments) - min(moments) < 1) == (4, True)


def test_what_has_nothing_before_it_is_left_and_named(virtual: Virtual) -> None:
    world = world_of(target("a/g"), target("b/g", needs=["a/g"]), fails="b", left_out="a")
    virtual(world.run())
    assert went_back(world) == ["b"]
    assert world.state.targets["a/g"].reason == "not rolled back: no earlier successful deployment of it is known"
    assert exit_code_of(world.state) is ExitCode.ROLLBACK_FAILED


def test_what_codedeploy_rolled_back_is_not_done_again(virtual: Virtual) -> None:
    world = world_of(target("a/g"), target("b/g", needs=["a/g"]))
    world.codedeploy.scripts["b", "g"] = Script(status="Failed", rollback="Succeeded")
    virtual(world.run())
    assert went_back(world) == ["a"]
    assert set(world.states().values()) == {"rolled_back"}


def test_a_rollback_that_fails_leaves_what_waits_for_it(virtual: Virtual) -> None:
    world = world_of(target("a/g"), target("b/g", needs=["a/g"]), fails="b")
    world.codedeploy.choose = lambda _asked: None
    virtual(world.run())
    assert went_back(world) == ["b"]
    assert world.states() == {"a/g": "succeeded", "b/g": "failed"}
    assert "not rolled back" in (world.state.targets["a/g"].reason or "")
    assert exit_code_of(world.state) is ExitCode.ROLLBACK_FAILED


def test_nothing_goes_back_when_all_went_well_or_nothing_was_changed(virtual: Virtual) -> None:
    well = world_of(target("a/g"))
    virtual(well.run())
    assert (went_back(well), exit_code_of(well.state)) == ([], ExitCode.OK)
    busy = world_of(target("a/g"), policy=Policy(rollback="release", if_active="fail"))

    async def scenario() -> None:
        busy.codedeploy.create("a", "g", script=Script(status="never"))
        await busy.run()

    virtual(scenario())
    assert (went_back(busy), exit_code_of(busy.state)) == ([], ExitCode.FAILED)


def test_scope_target_takes_back_what_failed_alone(virtual: Virtual) -> None:
    world = world_of(target("a/g"), target("b/g"), fails="b", policy=Policy(on_failure="continue", rollback="target"))
    virtual(world.run())
    assert world.states() == {"a/g": "succeeded", "b/g": "rolled_back"}
    assert exit_code_of(world.state) is ExitCode.FAILED


@pytest.mark.parametrize("order", [OnCancel.WAIT, OnCancel.STOP])
def test_a_rollback_that_has_begun_is_not_stopped_half_way(virtual: Virtual, order: OnCancel) -> None:
    """A request to stop only leaves it; a resume goes on with it."""

    async def cancel(engine: Phases) -> None:
        await anyio.sleep(25)
        assert engine.is_rolling_back
        engine.cancel(order, reason="interrupted by SIGINT", signal=2)

    world = world_of(target("a/g"), target("b/g", needs=["a/g"]), fails="b")
    world.meanwhile = cancel
    virtual(world.run())
    assert not any(made.stopped for made in world.codedeploy.made.values())
    if order is OnCancel.STOP:
        assert exit_code_of(world.state) is ExitCode.SIGINT
        world.meanwhile = None
        virtual(world.run())
    assert went_back(world) == ["b", "a"]
    assert set(world.states().values()) == {"rolled_back"}


def test_an_appspec_whose_content_nobody_has_any_more_is_named() -> None:
    step = Step(target=target("a/g"), current=AppSpecRevision(content="", sha256="0" * 64))
    assert step_from_dict(step_to_dict(step)).target == step.target
    state = fold(_records(step))
    planned = plan_rollback([step], state)
    assert (planned.steps, list(planned.left_out)) == ((), ["a/g"])


def test_a_preview_changes_nothing() -> None:
    step = Step(target=target("a/g"), current=OLD)
    records = _records(step, requested=False)
    first, second = with_request(records, [step]), with_request(records, [step])
    assert first == second
    assert [each.target.id for each in first.steps] == ["a/g"]
    assert first.steps[0].target.source == OLD
    assert first.steps[0].target.settings.auto_rollback == ()


def _records(step: Step, *, requested: bool = True) -> list[ev.Record]:
    started = ev.RunStarted(
        release="r",
        environment="e",
        manifest="m",
        manifest_digest="",
        targets=(step_to_dict(step),),
        policy={},
        concurrency={},
        version="0",
        host="h",
        pid=1,
    )
    intended = ev.DeploymentIntended(
        target="a/g",
        token="t",
        attempt=1,
        application_name="a",
        deployment_group_name="g",
        region="eu-west-1",
        role_arn=None,
        revision={},
        previous_deployment_id=None,
        previous_revision=None,
    )
    made = ev.DeploymentStarted(target="a/g", token="t", deployment_id="d-1", adopted=False, timeout=1.0)
    events = [started, intended, made, *([ev.ReleaseRollbackRequested(reason="asked for")] if requested else [])]
    return [ev.Record(seq, float(seq), "r1", event) for seq, event in enumerate(events, start=1)]
