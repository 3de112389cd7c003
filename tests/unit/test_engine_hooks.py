"""Hooks in the engine, against fakes and in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
from world import World, target

from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.control import OnCancel
from orchestrator.core.controls import Controls, HookSpec
from orchestrator.core.errors import ExitCode
from orchestrator.core.model import Concurrency, GitHubRevision, Outcome, Policy
from orchestrator.core.phases import Phases
from orchestrator.core.result import exit_code_of
from orchestrator.core.stages import Outside
from orchestrator.core.state import fold
from orchestrator.testing import Script, ScriptedCodeDeploy
from orchestrator.testing_gates import ScriptedCommands, ScriptedGates

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]
OLD = GitHubRevision(repository="acme/x", commit_id="0" * 40)


def hook(*command: str) -> HookSpec:
    return HookSpec(command=command)


ALL = Controls(
    hooks_before=(hook("drain"), hook("tell")), hooks_after=(hook("fill"),), hooks_on_failure=(hook("page"),)
)


def world_of(controls: Controls = ALL, *, seconds: float = 1.0, **codes: int) -> World:
    commands = ScriptedCommands(codes=codes, seconds=seconds)
    return World([target("a/g", controls=controls)], outside=Outside(gates=ScriptedGates(), commands=commands))


def ran(world: World) -> list[str]:
    assert isinstance(world.outside.commands, ScriptedCommands)
    return [command[0] for command in world.outside.commands.ran]


def facts(world: World) -> list[dict[str, str]]:
    assert isinstance(world.outside.commands, ScriptedCommands)
    return [dict(found) for found in world.outside.commands.facts]


def run(virtual: Virtual, world: World) -> World:
    virtual(world.run())
    return world


def again(virtual: Virtual, world: World) -> World:
    world.journal.records = world.journal.records[: world.journal.durable]
    world.state = fold(world.journal.records)
    world.meanwhile = None
    return run(virtual, world)


def leaving(after: float) -> Any:
    async def leave(engine: Phases) -> None:
        await anyio.sleep(after)
        engine.leave("--for is over")
        await anyio.sleep_forever()

    return leave


def test_hooks_run_around_the_deployment_in_their_order(virtual: Virtual) -> None:
    world = run(virtual, world_of())
    assert world.states() == {"a/g": "succeeded"}
    assert ran(world) == ["drain", "tell", "fill"]
    before, _, after = facts(world)
    assert before["ORCHESTRATOR_TARGET"] == "a/g"
    assert before["ORCHESTRATOR_HOOK"] == "before"
    assert before["ORCHESTRATOR_RUN"] == "r1"
    assert "ORCHESTRATOR_DEPLOYMENT_ID" not in before
    assert after["ORCHESTRATOR_DEPLOYMENT_ID"] == world.state.targets["a/g"].deployment_id
    assert after["ORCHESTRATOR_TARGET_STATE"] == "succeeded"
    assert after["ORCHESTRATOR_REVISION"].startswith("s3://releases/")
    assert world.events(gev.HookFinished)[0].output == "output of drain\n"


def test_a_before_hook_that_fails_starts_nothing(virtual: Virtual) -> None:
    world = run(virtual, world_of(drain=3))
    assert world.states() == {"a/g": "failed"}
    assert world.state.targets["a/g"].reason == "before hook `drain` exited with 3"
    assert ran(world) == ["drain", "page"]
    assert not world.codedeploy.made


def test_an_after_hook_that_fails_fails_the_target_and_it_goes_back(virtual: Virtual) -> None:
    world = world_of(fill=1)
    world.before, world.policy = {"a/g": OLD}, Policy(rollback="target")
    run(virtual, world)
    assert world.states() == {"a/g": "rolled_back"}
    assert ran(world) == ["drain", "tell", "fill", "page"], "a rollback runs no hooks"


def test_on_failure_hears_why_and_its_own_failure_is_a_warning(virtual: Virtual) -> None:
    world = world_of(page=1)
    world.codedeploy = ScriptedCodeDeploy({("a", "g"): Script(status="Failed", error={"code": "X", "message": "why"})})
    run(virtual, world)
    assert world.states() == {"a/g": "failed"}
    last = facts(world)[-1]
    assert (last["ORCHESTRATOR_TARGET_STATE"], last["ORCHESTRATOR_TARGET_REASON"]) == ("failed", "Failed: X: why")
    assert any("`page` exited with 1" in event.message for event in world.events(ev.WarningRaised))


def test_what_is_skipped_or_unchanged_has_no_hooks(virtual: Virtual) -> None:
    world = world_of()
    world.targets = [target("db/g"), target("a/g", needs=["db/g"], controls=ALL), target("c/g", controls=ALL)]
    world.unchanged = frozenset({"c/g"})
    world.codedeploy = ScriptedCodeDeploy({("db", "g"): Script(status="Failed")})
    run(virtual, world)
    assert world.states() == {"db/g": "failed", "a/g": "skipped", "c/g": "unchanged"}
    assert ran(world) == []


def test_a_hook_that_has_run_is_not_run_again(virtual: Virtual) -> None:
    world = world_of()
    world.meanwhile = leaving(after=5)  # in the middle of the deployment
    run(virtual, world)
    assert world.states() == {"a/g": "running"}
    again(virtual, world)
    assert world.states() == {"a/g": "succeeded"}
    assert ran(world) == ["drain", "tell", "fill"]


def test_a_hook_whose_outcome_is_unknown_is_run_again(virtual: Virtual) -> None:
    world = world_of(seconds=100)
    world.meanwhile = leaving(after=150)  # in the middle of the second hook
    run(virtual, world)
    assert ran(world) == ["drain", "tell"]
    assert not world.codedeploy.made
    again(virtual, world)
    assert world.states() == {"a/g": "succeeded"}
    assert ran(world) == ["drain", "tell", "tell", "fill"]


def test_a_hook_after_a_failure_is_still_owed_after_a_crash(virtual: Virtual) -> None:
    world = world_of(seconds=100)
    world.codedeploy = ScriptedCodeDeploy({("a", "g"): Script(status="Failed")})
    world.meanwhile = leaving(after=250)  # the two before-hooks, the deployment; in the middle of `page`
    run(virtual, world)
    assert world.states() == {"a/g": "failed"}
    assert ran(world)[-1] == "page"
    world.state = fold(world.journal.records[: world.journal.durable])
    assert not world.state.is_finished
    again(virtual, world)
    assert ran(world) == ["drain", "tell", "page", "page"]
    assert world.state.outcome is Outcome.FAILED


def test_stop_ends_a_hook_that_runs(virtual: Virtual) -> None:
    world = world_of(seconds=1000)

    async def interrupt(engine: Phases) -> None:
        await anyio.sleep(50)
        engine.cancel(OnCancel.STOP, reason="interrupted by SIGINT", signal=2)
        await anyio.sleep_forever()

    world.meanwhile = interrupt
    run(virtual, world)
    assert world.seconds < 60
    assert world.states() == {"a/g": "cancelled"}
    assert world.events(gev.HookFinished) == []


def test_before_hooks_run_with_the_targets_place_taken(virtual: Virtual) -> None:
    world = world_of(Controls(hooks_before=(hook("drain"),)), seconds=50)
    world.targets = [target(f"{name}/g", controls=Controls(hooks_before=(hook(name),))) for name in ("a", "b")]
    world.concurrency = Concurrency(deployments=1)
    run(virtual, world)
    starts = [made.created for made in world.codedeploy.made.values()]
    assert starts[1] - starts[0] > 50


def test_the_runs_own_hooks(virtual: Virtual) -> None:
    world = world_of(Controls())
    world.controls = ALL
    run(virtual, world)
    assert ran(world) == ["drain", "tell", "fill"]
    assert facts(world)[-1]["ORCHESTRATOR_RUN_STATE"] == "succeeded"
    assert "ORCHESTRATOR_TARGET" not in facts(world)[0]
    assert world.state.outcome is Outcome.SUCCEEDED


def test_a_before_hook_of_the_run_that_fails_starts_nothing(virtual: Virtual) -> None:
    world = world_of(Controls(), drain=2)
    world.controls = ALL
    run(virtual, world)
    assert world.states() == {"a/g": "skipped"}
    assert exit_code_of(world.state) is ExitCode.FAILED
    assert ran(world) == ["drain", "page"]


def test_an_after_hook_of_the_run_that_fails_fails_the_run(virtual: Virtual) -> None:
    world = world_of(Controls(), fill=2)
    world.controls = ALL
    run(virtual, world)
    assert world.states() == {"a/g": "succeeded"}
    assert exit_code_of(world.state) is ExitCode.FAILED
    assert facts(world)[-1]["ORCHESTRATOR_RUN_REASON"] == "after hook `fill` exited with 2"
