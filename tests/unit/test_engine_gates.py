"""Gates, bakes and approvals in the engine, against fakes and in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from math import inf
from typing import Any

import anyio
import pytest
from world import World, target

from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.approvals import Decision
from orchestrator.core.control import OnCancel
from orchestrator.core.controls import Controls, GateSpec
from orchestrator.core.errors import CallError, ExitCode, RefusedError
from orchestrator.core.model import Concurrency, DeploymentSettings, GitHubRevision, Outcome, Policy, Retry
from orchestrator.core.phases import Phases
from orchestrator.core.result import exit_code_of
from orchestrator.core.stages import Outside
from orchestrator.core.state import fold
from orchestrator.testing import EPOCH, Script, ScriptedCodeDeploy
from orchestrator.testing_gates import ScriptedCommands, ScriptedGates

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]
OLD = GitHubRevision(repository="acme/x", commit_id="0" * 40)


def gate(name: str, **more: Any) -> GateSpec:
    return GateSpec(**{"name": name, "kind": "http", "interval": 10.0, **more})


def approval(name: str = "cab", timeout: float | None = None) -> GateSpec:
    return GateSpec(name=name, kind="approval", timeout=timeout)


def outside(seconds: float = 0.1, rehearsal: bool = False, **answers: Sequence[str]) -> Outside:
    gates = ScriptedGates(answers=answers, seconds=seconds)  # type: ignore[arg-type]  # words of a test
    return Outside(gates=gates, commands=ScriptedCommands(), rehearsal=rehearsal)


def asked(world: World, name: str) -> list[float]:
    """Seconds of the run at which the gate was asked."""
    assert isinstance(world.outside.gates, ScriptedGates)
    return [round(at - 1000.0) for found, at in world.outside.gates.asked if found == name]


def run(virtual: Virtual, world: World) -> World:
    virtual(world.run())
    return world


def again(virtual: Virtual, world: World, *, clock: float = 0.0) -> World:
    """Another process goes on, `clock` seconds after the first one has gone."""
    world.journal.records = world.journal.records[: world.journal.durable]
    world.state = fold(world.journal.records)
    if clock:
        now = world.clock
        world.clock = lambda: now() + clock
    return run(virtual, world)


# --- before ---------------------------------------------------------------------------------------------------------


def test_a_gate_holds_the_target_until_so_many_good_measurements_in_a_row(virtual: Virtual) -> None:
    controls = Controls(gates_before=(gate("errors", successes=3, failures=2),))
    world = World([target("a/g", controls=controls)], outside=outside(errors=["good", "bad", "good", "good", "good"]))
    run(virtual, world)
    assert world.states() == {"a/g": "succeeded"}
    assert asked(world, "errors") == [0, 10, 20, 30, 40]
    assert world.codedeploy.of("a", "g")[0].created > 1040
    told = [(event.verdict, event.reason) for event in world.events(gev.GateMeasured)]
    assert told == [("good", "scripted good"), ("bad", "scripted bad"), ("good", "scripted good")], "only changes"
    assert len(world.events(gev.GatePassed)) == 1


def test_a_gate_that_fails_fails_its_target_and_starts_nothing(virtual: Virtual) -> None:
    controls = Controls(gates_before=(gate("errors", failures=2),))
    targets = [target("a/g", controls=controls), target("b/g", needs=["a/g"])]
    world = run(virtual, World(targets, outside=outside(errors=["bad"])))
    assert world.states() == {"a/g": "failed", "b/g": "skipped"}
    assert world.state.targets["a/g"].reason == "gate errors: bad: scripted bad (2 times in a row)"
    assert world.state.targets["b/g"].blocked_by == ("a/g",)
    assert not world.codedeploy.made
    assert exit_code_of(world.state) is ExitCode.FAILED


def test_a_gate_takes_no_place_while_it_waits(virtual: Virtual) -> None:
    held = target("a/g", controls=Controls(gates_before=(gate("slow", successes=10),)))
    world = World([held, target("b/g"), target("c/g")], concurrency=Concurrency(deployments=1), outside=outside())
    run(virtual, world)
    assert world.starts() == ["b/g", "c/g", "a/g"]


def test_a_gate_that_cannot_be_asked_decides_nothing_until_its_time_is_up(virtual: Virtual) -> None:
    controls = Controls(gates_before=(gate("errors", timeout=300.0),))
    world = run(virtual, World([target("a/g", controls=controls)], outside=outside(errors=["unknown"])))
    assert world.states() == {"a/g": "failed"}
    reason = "gate errors: not passed within 5m; last measurement: unknown: scripted unknown"
    assert world.state.targets["a/g"].reason == reason
    assert 300 <= world.seconds < 305


def test_a_gate_that_never_answers_is_given_up_on_in_time(virtual: Virtual) -> None:
    controls = Controls(gates_before=(gate("errors", timeout=100.0, limit=30.0),))
    world = run(virtual, World([target("a/g", controls=controls)], outside=outside(seconds=inf)))
    assert "unknown: no answer within" in (world.state.targets["a/g"].reason or "")
    assert 100 <= world.seconds < 105


def test_an_unknown_gate_goes_on_when_it_answers(virtual: Virtual) -> None:
    controls = Controls(gates_before=(gate("errors"),))
    answers = ["unknown"] * 5 + ["good"]
    world = run(virtual, World([target("a/g", controls=controls)], outside=outside(errors=answers)))
    assert world.states() == {"a/g": "succeeded"}


def test_people_are_asked_first_so_that_what_is_measured_is_fresh(virtual: Virtual) -> None:
    controls = Controls(gates_before=(gate("errors"), approval()))
    world = World([target("a/g", controls=controls), target("b/g")], outside=outside())
    world.codedeploy.scripts["b", "g"] = Script(seconds=500)
    world.meanwhile = approves(after=200)
    run(virtual, world)
    assert world.states() == {"a/g": "succeeded", "b/g": "succeeded"}
    assert asked(world, "errors")[0] >= 200


def test_gates_of_unchanged_targets_are_not_asked(virtual: Virtual) -> None:
    controls = Controls(gates_before=(gate("errors"),), gates_after=(gate("errors"),))
    world = World([target("a/g", controls=controls)], unchanged=frozenset({"a/g"}), outside=outside(errors=["bad"]))
    run(virtual, world)
    assert world.states() == {"a/g": "unchanged"}
    assert asked(world, "errors") == []


def test_a_cancel_ends_the_wait_at_a_gate(virtual: Virtual) -> None:
    controls = Controls(gates_before=(gate("errors"),))
    world = World([target("a/g", controls=controls)], outside=outside(errors=["unknown"]))

    async def interrupt(engine: Phases) -> None:
        await anyio.sleep(100)
        engine.cancel(OnCancel.WAIT, reason="interrupted by SIGINT", signal=2)
        await anyio.sleep_forever()

    world.meanwhile = interrupt
    run(virtual, world)
    assert world.states() == {"a/g": "cancelled"}
    assert world.seconds < 105


# --- after, and the bake --------------------------------------------------------------------------------------------


def test_dependents_wait_for_the_bake_and_its_gates(virtual: Virtual) -> None:
    first = target("a/g", controls=Controls(gates_after=(gate("errors"),), bake=300.0))
    world = run(virtual, World([first, target("b/g", needs=["a/g"])], outside=outside()))
    assert world.states() == {"a/g": "succeeded", "b/g": "succeeded"}
    a, b = world.codedeploy.of("a", "g")[0], world.codedeploy.of("b", "g")[0]
    assert 300 <= b.created - a.ends < 320
    assert len(asked(world, "errors")) > 25, "it is watched all the while"
    assert [event.seconds for event in world.events(gev.BakeStarted)] == [300.0]


def test_a_gate_that_turns_bad_in_the_bake_fails_the_target(virtual: Virtual) -> None:
    answers = ["good"] * 10 + ["bad", "bad"]
    first = target("a/g", controls=Controls(gates_after=(gate("errors", failures=2),), bake=300.0))
    world = run(virtual, World([first, target("b/g", needs=["a/g"])], outside=outside(errors=answers)))
    assert world.states() == {"a/g": "failed", "b/g": "skipped"}
    assert world.codedeploy.of("a", "g")[0].status == "Succeeded"
    assert world.seconds < 150


def test_what_fails_after_its_success_goes_back(virtual: Virtual) -> None:
    first = target("a/g", controls=Controls(gates_after=(gate("errors"),)))
    world = World([first], outside=outside(errors=["bad"]), before={"a/g": OLD}, policy=Policy(rollback="target"))
    run(virtual, world)
    assert world.states() == {"a/g": "rolled_back"}
    assert len(world.codedeploy.of("a", "g")) == 2
    assert asked(world, "errors") == [10], "a rollback asks no gate"
    assert "gate errors: bad" in (world.state.targets["a/g"].reason or "")


def test_a_bake_watches_the_groups_alarms(virtual: Virtual) -> None:
    settings = DeploymentSettings(alarms={"enabled": True, "alarms": [{"name": "p99"}]})
    first = target("a/g", controls=Controls(bake=300.0), settings=settings)
    gates = ScriptedGates(answers={"the group's alarms": ["good", "good", "bad"]})
    world = World([first], outside=Outside(gates=gates, commands=ScriptedCommands()))
    run(virtual, world)
    assert world.states() == {"a/g": "failed"}
    assert world.events(gev.BakeStarted)[0].alarms == ("p99",)
    assert world.state.targets["a/g"].reason == "gate the group's alarms: bad: scripted bad"


def test_alarms_that_cannot_be_asked_for_are_a_warning_and_the_bake_goes_on(virtual: Virtual) -> None:
    def refuse(operation: str, _parameters: Any) -> CallError | None:
        return RefusedError("no", code="AccessDenied") if operation == "BatchGetDeploymentGroups" else None

    world = World([target("a/g", controls=Controls(bake=60.0))], outside=outside())
    world.codedeploy.before = refuse
    run(virtual, world)
    assert world.states() == {"a/g": "succeeded"}
    assert any("alarms aren't watched" in event.message for event in world.events(ev.WarningRaised))


def test_a_resume_goes_on_with_a_bake_where_it_stood(virtual: Virtual) -> None:
    first = target("a/g", controls=Controls(gates_after=(gate("errors"),), bake=300.0))
    world = World([first], outside=outside())

    async def leave(engine: Phases) -> None:
        await anyio.sleep(100)
        engine.leave("--for is over")
        await anyio.sleep_forever()

    world.meanwhile = leave
    run(virtual, world)
    assert world.states() == {"a/g": "baking"}
    assert exit_code_of(world.state) is ExitCode.RUNNING
    world.meanwhile, looks = None, world.codedeploy.calls["BatchGetDeployments"]
    again(virtual, world, clock=100 + 150)  # virtual time begins anew in each run
    assert world.states() == {"a/g": "succeeded"}
    assert 50 < world.seconds < 70, "its end is counted from its start"
    assert len(world.codedeploy.made) == 1
    assert len(world.events(gev.BakeStarted)) == 1
    assert world.codedeploy.calls["BatchGetDeployments"] == looks, "an ended deployment isn't watched any more"


def test_stop_ends_a_bake_and_says_so(virtual: Virtual) -> None:
    world = World([target("a/g", controls=Controls(bake=3000.0))], outside=outside())

    async def interrupt(engine: Phases) -> None:
        await anyio.sleep(100)
        engine.cancel(OnCancel.STOP, reason="interrupted by SIGINT", signal=2)
        await anyio.sleep_forever()

    world.meanwhile = interrupt
    run(virtual, world)
    assert world.states() == {"a/g": "stopped"}
    assert world.seconds < 110


# --- the run's own --------------------------------------------------------------------------------------------------


def test_the_runs_own_gates_hold_everything_and_then_everything_again(virtual: Virtual) -> None:
    controls = Controls(gates_before=(gate("open", successes=3),), gates_after=(gate("smoke", successes=3),))
    world = run(virtual, World([target("a/g"), target("b/g")], controls=controls, outside=outside()))
    assert world.state.outcome is Outcome.SUCCEEDED
    assert min(made.created for made in world.codedeploy.made.values()) > 1020
    assert asked(world, "smoke")[0] > 30
    assert len(asked(world, "smoke")) == 3


def test_a_run_whose_gate_fails_before_it_starts_nothing(virtual: Virtual) -> None:
    controls = Controls(gates_before=(gate("open"),))
    world = run(virtual, World([target("a/g"), target("b/g")], controls=controls, outside=outside(open=["bad"])))
    assert world.states() == {"a/g": "skipped", "b/g": "skipped"}
    assert world.state.targets["a/g"].reason == "gate open: bad: scripted bad"
    assert (world.state.outcome, exit_code_of(world.state)) == (Outcome.FAILED, ExitCode.FAILED)
    assert not world.codedeploy.made


def test_a_run_whose_gate_fails_after_it_goes_back(virtual: Virtual) -> None:
    controls = Controls(gates_after=(gate("smoke"),))
    world = World([target("a/g")], controls=controls, outside=outside(smoke=["bad"]), before={"a/g": OLD})
    world.policy = Policy(rollback="release")
    run(virtual, world)
    assert (world.state.outcome, exit_code_of(world.state)) == (Outcome.ROLLED_BACK, ExitCode.ROLLED_BACK)


def test_a_run_that_changes_nothing_asks_nothing(virtual: Virtual) -> None:
    controls = Controls(gates_before=(gate("open"),), gates_after=(gate("smoke"),))
    bad = outside(open=["bad"], smoke=["bad"])
    world = World([target("a/g")], controls=controls, outside=bad, unchanged=frozenset({"a/g"}))
    run(virtual, world)
    assert world.state.outcome is Outcome.SUCCEEDED


def test_a_run_is_not_over_while_its_own_gate_waits(virtual: Virtual) -> None:
    world = World([target("a/g")], controls=Controls(gates_after=(approval(),)), outside=outside())
    run(virtual, world)
    assert world.states() == {"a/g": "succeeded"}
    assert exit_code_of(world.state) is ExitCode.BLOCKED
    world.meanwhile = approves(after=0.5)
    again(virtual, world)
    assert world.state.outcome is Outcome.SUCCEEDED


# --- approvals ------------------------------------------------------------------------------------------------------


def approves(after: float, gate_name: str = "cab", approved: bool = True, at: float = 0.0) -> Any:
    async def decide(engine: Phases) -> None:
        await anyio.sleep(after)
        moment = EPOCH + anyio.current_time() + at
        engine.approvals.decide(Decision(gate=gate_name, approved=approved, by="arn:me", given_at=moment))
        await anyio.sleep_forever()

    return decide


def test_a_run_leaves_when_all_that_is_left_waits_for_people(virtual: Virtual) -> None:
    held = target("web/g", controls=Controls(gates_before=(approval(),)))
    targets = [target("api/g"), held, target("last/g", needs=["web/g"])]
    world = run(virtual, World(targets, outside=outside()))
    assert world.states() == {"api/g": "succeeded", "web/g": "blocked", "last/g": "pending"}
    assert exit_code_of(world.state) is ExitCode.BLOCKED
    assert world.state.blocked is not None
    assert world.state.blocked.gates == ("cab",)
    assert not world.state.is_finished
    assert 10 < world.seconds < 20, "not before everything else has ended, and not long after"


def test_an_approval_lets_a_resume_go_on(virtual: Virtual) -> None:
    held = target("web/g", controls=Controls(gates_before=(approval(),)))
    world = run(virtual, World([held], outside=outside()))
    world.meanwhile = approves(after=0.5)
    again(virtual, world)
    assert world.states() == {"web/g": "succeeded"}
    assert [event.by for event in world.events(gev.ApprovalDecided)] == ["arn:me"]
    assert world.state.gates.gates["web/g", "before", "cab"].reason == "approved by arn:me"


def test_one_decision_holds_wherever_the_gate_stands(virtual: Virtual) -> None:
    targets = [target(f"{name}/g", controls=Controls(gates_before=(approval(),))) for name in ("a", "b")]
    world = World([*targets, target("c/g")], outside=outside())
    world.codedeploy.scripts["c", "g"] = Script(seconds=100)
    world.meanwhile = approves(after=50)
    run(virtual, world)
    assert set(world.states().values()) == {"succeeded"}
    assert len(world.events(gev.ApprovalDecided)) == 1


def test_a_rejection_fails_the_target(virtual: Virtual) -> None:
    targets = [target("a/g", controls=Controls(gates_before=(approval(),))), target("b/g")]
    world = World(targets, outside=outside())
    world.codedeploy.scripts["b", "g"] = Script(seconds=100)
    world.meanwhile = approves(after=50, approved=False)
    run(virtual, world)
    assert world.states() == {"a/g": "failed", "b/g": "succeeded"}
    assert world.state.targets["a/g"].reason == "gate cab: rejected by arn:me"


def test_an_approval_has_its_time_from_when_it_began_to_wait(virtual: Virtual) -> None:
    held = target("a/g", controls=Controls(gates_before=(approval(timeout=3600.0),)))
    world = run(virtual, World([held], outside=outside()))
    assert exit_code_of(world.state) is ExitCode.BLOCKED
    again(virtual, world, clock=4000)
    assert world.states() == {"a/g": "failed"}
    assert world.state.targets["a/g"].reason == "gate cab: nobody approved it within 1h"
    assert world.seconds < 5


def test_what_was_decided_in_time_counts_whenever_it_is_read(virtual: Virtual) -> None:
    held = target("a/g", controls=Controls(gates_before=(approval(timeout=3600.0),)))
    world = run(virtual, World([held], outside=outside()))
    # The resume takes what lies there before anything else, as the app does: here in the same moment.
    world.meanwhile = approves(after=0.0, at=3000)
    again(virtual, world, clock=4000)
    assert world.states() == {"a/g": "succeeded"}


def test_a_decision_that_comes_too_late_is_refused(virtual: Virtual) -> None:
    held = target("a/g", controls=Controls(gates_before=(approval(timeout=3600.0),)))
    world = run(virtual, World([held], outside=outside()))
    world.meanwhile = approves(after=0.0, at=3700)
    again(virtual, world, clock=4000)
    assert world.states() == {"a/g": "failed"}
    assert world.events(gev.ApprovalDecided) == []


def test_a_rehearsal_grants_what_people_would_be_asked(virtual: Virtual) -> None:
    held = target("a/g", controls=Controls(gates_before=(approval(),)))
    world = run(virtual, World([held], outside=outside(rehearsal=True)))
    assert world.states() == {"a/g": "succeeded"}
    assert world.events(gev.ApprovalDecided)[0].by == "the rehearsal"


def test_measurements_that_go_on_keep_the_process(virtual: Virtual) -> None:
    """Not only people are waited for: a gate that is measured may pass by itself."""
    held = target("a/g", controls=Controls(gates_before=(approval(),)))
    other = target("b/g", controls=Controls(gates_before=(gate("slow", successes=30),)))
    world = run(virtual, World([held, other], outside=outside()))
    assert world.states() == {"a/g": "blocked", "b/g": "succeeded"}
    assert world.seconds > 290


@pytest.mark.parametrize("bake", [0.0, 120.0])
def test_an_approval_after_success_waits_with_the_bake(virtual: Virtual, bake: float) -> None:
    held = target("a/g", controls=Controls(gates_after=(approval(), gate("errors")), bake=bake))
    world = run(virtual, World([held], outside=outside()))
    assert world.states() == {"a/g": "baking"}
    assert exit_code_of(world.state) is ExitCode.BLOCKED
    assert world.seconds > bake
    world.meanwhile = approves(after=0.5)
    again(virtual, world)
    assert world.states() == {"a/g": "succeeded"}
    assert len(world.codedeploy.made) == 1


def test_the_fold_says_the_same(virtual: Virtual) -> None:
    controls = Controls(gates_before=(gate("errors"), approval()), gates_after=(gate("smoke"),), bake=60.0)
    world = World([target("a/g", controls=controls)], outside=outside())
    run(virtual, world)
    world.meanwhile = approves(after=1)
    again(virtual, world)
    assert fold(world.journal.records).targets == world.state.targets
    assert fold(world.journal.records).gates == world.state.gates
    assert isinstance(world.codedeploy, ScriptedCodeDeploy)


def test_another_attempt_is_baked_and_asked_anew_and_its_before_gates_stand(virtual: Virtual) -> None:
    controls = Controls(gates_before=(gate("open"),), gates_after=(gate("errors"),), bake=60.0)
    world = World([target("a/g", controls=controls, retry=Retry(times=1, wait=5.0))], outside=outside())
    broken = Script(status="Failed", error={"code": "AGENT_ISSUE", "message": "the agent was gone"})
    world.codedeploy.choose = lambda _asked: Script() if world.codedeploy.made else broken
    run(virtual, world)
    assert world.states() == {"a/g": "succeeded"}
    assert [made.status for made in world.codedeploy.of("a", "g")] == ["Failed", "Succeeded"]
    assert len(asked(world, "open")) == 1
    assert len(world.events(gev.BakeStarted)) == 1
    assert min(asked(world, "errors")) + 1000 > world.codedeploy.of("a", "g")[1].ends - 1
