"""Blue/green before its end, against the scripted CodeDeploy and in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import anyio
import pytest
from world import World, target

from orchestrator.core import gate_events as gev
from orchestrator.core.approvals import Decision
from orchestrator.core.control import OnCancel
from orchestrator.core.controls import Controls, GateSpec
from orchestrator.core.errors import AnswerLostError, CallError, ExitCode
from orchestrator.core.model import GitHubRevision, Outcome, Policy
from orchestrator.core.phases import Phases
from orchestrator.core.result import exit_code_of
from orchestrator.core.stages import Outside
from orchestrator.core.state import fold
from orchestrator.testing import Script, ScriptedCodeDeploy, wall_clock
from orchestrator.testing_gates import ScriptedCommands, ScriptedGates

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]

BLUE_GREEN = Script(ready=60.0, seconds=100.0, termination=50.0)
SMOKE = GateSpec(name="smoke", kind="http", interval=10.0, successes=3)
CAB = GateSpec(name="cab", kind="approval")
OLD = GitHubRevision(repository="acme/x", commit_id="0" * 40)


def world_of(controls: Controls, script: Script = BLUE_GREEN, **answers: Sequence[str]) -> World:
    targets = [target("a/g", controls=controls), target("b/g", needs=["a/g"])]
    gates = ScriptedGates(answers=answers)  # type: ignore[arg-type]  # words of a test
    outside = Outside(gates=gates, commands=ScriptedCommands())
    return World(targets, codedeploy=ScriptedCodeDeploy({("a", "g"): script}), outside=outside)


def run(virtual: Virtual, world: World) -> World:
    virtual(world.run())
    return world


def again(virtual: Virtual, world: World) -> World:
    world.journal.records = world.journal.records[: world.journal.durable]
    world.state = fold(world.journal.records)
    return run(virtual, world)


def moments(world: World) -> tuple[float, float, float]:
    """When a was continued, when it ended, and when b was created, in seconds of the run."""
    a, b = world.codedeploy.of("a", "g")[0], world.codedeploy.of("b", "g")[0]
    assert a.continued is not None
    return a.continued - 1000, a.ends - 1000, b.created - 1000


def test_at_ready_the_gates_are_asked_then_dependents_and_the_traffic_go_on(virtual: Virtual) -> None:
    world = run(virtual, world_of(Controls(gates_after=(SMOKE,), wait_for="ready", on_ready="continue")))
    assert world.states() == {"a/g": "succeeded", "b/g": "succeeded"}
    continued, ended, dependent = moments(world)
    assert 80 < continued < 95, "three measurements, 10 s apart, after the minute until it was ready"
    assert dependent < ended, "b didn't wait for a's end"
    assert [event.milestone for event in world.events(gev.MilestoneReached)] == ["ready"]
    assert [event.accepted for event in world.events(gev.TrafficContinued)] == [True]
    assert world.events(gev.BakeStarted) == [], "gates that have passed before the end aren't asked again"


def test_on_ready_continue_alone_shifts_at_once_and_dependents_wait_for_the_end(virtual: Virtual) -> None:
    world = run(virtual, world_of(Controls(on_ready="continue")))
    continued, ended, dependent = moments(world)
    assert 60 < continued < 70
    assert dependent > ended


def test_a_gate_that_fails_at_ready_stops_the_deployment_before_its_traffic(virtual: Virtual) -> None:
    controls = Controls(gates_after=(SMOKE,), wait_for="ready", on_ready="continue")
    world = run(virtual, world_of(controls, smoke=["bad"]))
    assert world.states() == {"a/g": "failed", "b/g": "skipped"}
    assert world.state.targets["a/g"].reason == "gate smoke: bad: scripted bad"
    made = world.codedeploy.of("a", "g")[0]
    assert made.stopped
    assert made.continued is None


def test_gates_at_traffic_shifted_are_asked_once_it_has(virtual: Virtual) -> None:
    controls = Controls(gates_after=(SMOKE,), wait_for="traffic_shifted", on_ready="continue")
    world = run(virtual, world_of(controls))
    continued, ended, dependent = moments(world)
    assert isinstance(world.outside.gates, ScriptedGates)
    assert world.outside.gates.asked[0][1] - 1000 > continued + 50
    assert dependent < ended
    assert [event.milestone for event in world.events(gev.MilestoneReached)] == ["traffic_shifted"]


def test_what_reaches_no_milestone_lets_others_go_when_it_has_succeeded(virtual: Virtual) -> None:
    controls = Controls(gates_after=(SMOKE,), wait_for="ready", on_ready="continue")
    world = run(virtual, world_of(controls, script=Script(seconds=30)))
    assert world.states() == {"a/g": "succeeded", "b/g": "succeeded"}
    a, b = world.codedeploy.of("a", "g")[0], world.codedeploy.of("b", "g")[0]
    assert b.created > a.ends + 20
    assert world.codedeploy.calls["ContinueDeployment"] == 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_answer_of_continue_is_looked_up(virtual: Virtual, when: str) -> None:
    lost: list[str] = []

    def lose(operation: str, _parameters: Mapping[str, Any]) -> CallError | None:
        if operation != "ContinueDeployment" or lost:
            return None
        lost.append(operation)
        return AnswerLostError("connection reset", operation=operation)

    world = world_of(Controls(on_ready="continue"))
    setattr(world.codedeploy, when, lose)
    run(virtual, world)
    assert world.states() == {"a/g": "succeeded", "b/g": "succeeded"}
    assert world.codedeploy.calls["ContinueDeployment"] == (2 if when == "before" else 1)


def test_somebody_elses_continue_is_as_good(virtual: Virtual) -> None:
    controls = Controls(gates_after=(SMOKE,), wait_for="ready", on_ready="continue")
    world = world_of(controls)

    async def person(_engine: Phases) -> None:
        await anyio.sleep(70)  # the gate is being measured
        made = world.codedeploy.of("a", "g")[0]
        await world.codedeploy.call("ContinueDeployment", {"deploymentId": made.id})
        await anyio.sleep_forever()

    world.meanwhile = person
    run(virtual, world)
    assert world.states() == {"a/g": "succeeded", "b/g": "succeeded"}


def test_a_run_leaves_a_deployment_in_ready_for_people_and_goes_on_with_it(virtual: Virtual) -> None:
    world = world_of(Controls(gates_after=(CAB,), wait_for="ready", on_ready="continue"))
    run(virtual, world)
    made = world.codedeploy.of("a", "g")[0]
    assert exit_code_of(world.state) is ExitCode.BLOCKED
    assert world.state.blocked is not None
    assert world.state.blocked.running == (made.id,)
    assert not made.stopped

    async def approve(engine: Phases) -> None:
        engine.approvals.decide(Decision(gate="cab", approved=True, by="me", given_at=wall_clock()))
        await anyio.sleep_forever()

    world.meanwhile = approve
    again(virtual, world)
    assert world.states() == {"a/g": "succeeded", "b/g": "succeeded"}
    assert len(world.codedeploy.of("a", "g")) == 1


def test_a_resume_lets_dependents_go_that_an_earlier_process_let_go(virtual: Virtual) -> None:
    world = world_of(Controls(wait_for="ready"))  # nobody continues it

    async def leave(engine: Phases) -> None:
        await anyio.sleep(62)
        engine.leave("--for is over")
        await anyio.sleep_forever()

    world.meanwhile = leave
    run(virtual, world)
    assert world.state.targets["a/g"].milestones == ("ready",)

    async def stop(engine: Phases) -> None:
        await anyio.sleep(100)
        engine.cancel(OnCancel.STOP, reason="enough")
        await anyio.sleep_forever()

    world.meanwhile = stop
    again(virtual, world)
    assert world.states() == {"a/g": "stopped", "b/g": "succeeded"}
    assert len(world.events(gev.MilestoneReached)) == 1


def test_a_rollback_of_blue_green_is_continued_too(virtual: Virtual) -> None:
    world = world_of(Controls(on_ready="continue"))
    world.codedeploy.scripts["b", "g"] = Script(status="Failed")
    world.before, world.policy = {"a/g": OLD, "b/g": OLD}, Policy(rollback="release")
    world.codedeploy.choose = lambda asked: (
        Script() if asked["applicationName"] == "b" and "-back" in asked["description"] else None
    )
    run(virtual, world)
    assert world.state.outcome is Outcome.ROLLED_BACK
    assert [made.continued is not None for made in world.codedeploy.of("a", "g")] == [True, True]
