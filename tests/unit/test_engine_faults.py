"""The engine where timing is nasty: each of these went wrong once."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest
from world import World, target

from orchestrator.core import events as ev
from orchestrator.core.control import OnCancel
from orchestrator.core.errors import AnswerLostError, CredentialsError, ExitCode, UsageError
from orchestrator.core.model import Concurrency, Outcome, Policy
from orchestrator.core.phases import Phases
from orchestrator.core.plan import Step, step_from_dict, step_to_dict
from orchestrator.core.result import exit_code_of, result_of
from orchestrator.core.state import RunState
from orchestrator.testing import EventLog, InstantArtifacts, MemoryJournal, Script, ScriptedCodeDeploy

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]


def at(seconds: float, tell: Callable[[Phases], None]) -> Callable[[Phases], Coroutine[Any, Any, None]]:
    async def meanwhile(engine: Phases) -> None:
        await anyio.sleep(seconds)
        tell(engine)

    return meanwhile


def interrupt(mode: OnCancel) -> Callable[[Phases], None]:
    return lambda engine: engine.cancel(mode, reason="interrupted by SIGINT", signal=2)


def after_a_crash(world: World, until: Callable[[ev.Event], bool]) -> None:
    """The world as the next process finds it: the journal up to the first event of which `until` says so."""
    records = world.journal.records
    end = next(number for number, record in enumerate(records, start=1) if until(record.event))
    world.state, world.log, world.journal = RunState(), EventLog(), MemoryJournal()
    for record in records[:end]:
        world.state.apply(record)
    world.journal.records, world.journal.durable = records[:end], end


# --- nothing new starts ---------------------------------------------------------------------------------------------


def test_requests_that_wait_for_the_budget_are_taken_back_by_a_cancel(virtual: Virtual) -> None:
    world = World([target(f"a{n}/g") for n in range(40)], rate=1.0)
    world.meanwhile = at(10.4, interrupt(OnCancel.WAIT))
    virtual(world.run())
    assert world.codedeploy.made
    assert max(made.created for made in world.codedeploy.made.values()) < 1000 + 10.5
    assert all(run.intent is None for run in world.state.targets.values())
    unmade = {run.id for run in world.state.targets.values() if run.deployment_id is None}
    assert unmade
    assert {world.states()[name] for name in unmade} == {"cancelled"}


# --- leaving --------------------------------------------------------------------------------------------------------


def test_leaving_while_uploading_ends_nothing(virtual: Virtual) -> None:
    world = World([target("a/g"), target("b/g", needs=["a/g"])], artifacts=InstantArtifacts(seconds=1000))
    world.meanwhile = at(5, lambda engine: engine.leave("the 5 s of --for are over"))
    virtual(world.run())
    assert not any(run.state.is_final for run in world.state.targets.values())
    assert exit_code_of(world.state) is ExitCode.RUNNING
    (detached,) = world.events(ev.RunDetached)
    assert detached.running == ()
    assert world.seconds < 6


def test_what_is_left_running_is_named_by_ids_alone(virtual: Virtual) -> None:
    """A rollback is one of them; an intent without an answer has no id to name."""
    scripts = {("a", "g"): Script(status="Failed", seconds=5, rollback="never")}
    world = World(
        [target("a/g"), target("b/g")], codedeploy=ScriptedCodeDeploy(scripts), policy=Policy(on_failure="continue")
    )
    world.codedeploy.before = lambda op, p: (
        AnswerLostError("lost", operation=op) if op == "CreateDeployment" and p["applicationName"] == "b" else None
    )
    world.meanwhile = at(30, lambda engine: engine.leave("--for is over"))
    virtual(world.run())
    (rollback,) = [made.id for made in world.codedeploy.made.values() if made.creator != "user"]
    (detached,) = world.events(ev.RunDetached)
    assert detached.running == (rollback,)


def test_a_cancel_after_the_end_changes_nothing(virtual: Virtual) -> None:
    world = World([target("a/g")], codedeploy=ScriptedCodeDeploy({("a", "g"): Script(status="Failed")}))
    engines: list[Phases] = []
    world.meanwhile = at(0, engines.append)

    async def play() -> None:
        await world.run()
        interrupt(OnCancel.WAIT)(engines[0])

    virtual(play())
    assert isinstance(world.journal.records[-1].event, ev.RunFinished)
    assert exit_code_of(world.state) is ExitCode.FAILED
    assert result_of(world.state)["outcome"] == "failed"


# --- what is known of a deployment stands ---------------------------------------------------------------------------


def test_a_listed_deployment_that_batches_leave_out_is_found_all_the_same(virtual: Virtual) -> None:
    """BatchGetDeployments may not know a young id yet; taken as "there is none", it would be deployed twice."""
    world = World([target("a/g")], codedeploy=ScriptedCodeDeploy({("a", "g"): Script(seconds=3)}))
    answers = iter([True])
    world.codedeploy.after = lambda op, _p: (
        AnswerLostError("lost", operation=op) if op == "CreateDeployment" and next(answers, False) else None
    )
    world.codedeploy.rewrite = lambda op, answer: {"deploymentsInfo": []} if op == "BatchGetDeployments" else answer
    virtual(world.run())
    assert len(world.codedeploy.of("a", "g")) == 1
    assert world.states() == {"a/g": "succeeded"}


def test_a_failed_deployment_is_failed_also_when_its_rollback_cannot_be_looked_for(virtual: Virtual) -> None:
    scripts = {("a", "g"): Script(status="Failed", rollback="Succeeded", rollback_delay=10)}
    world = World([target("a/g")], codedeploy=ScriptedCodeDeploy(scripts))
    expired = CredentialsError("the token has expired", code="ExpiredTokenException")
    world.codedeploy.before = lambda op, _p: expired if op == "GetDeployment" else None
    virtual(world.run())
    assert world.states() == {"a/g": "failed"}
    assert "the token has expired" in (world.state.targets["a/g"].reason or "")


def test_a_rollback_that_never_ends_has_a_way_out(virtual: Virtual) -> None:
    scripts = {("a", "g"): Script(status="Failed", rollback="never")}
    world = World([target("a/g")], codedeploy=ScriptedCodeDeploy(scripts), timeouts={"a/g": 120})
    virtual(world.run())
    assert world.states() == {"a/g": "timed_out"}
    assert exit_code_of(world.state) is ExitCode.ROLLBACK_FAILED
    assert world.seconds < 200


def test_a_stop_that_cannot_be_sent_is_sent_again(virtual: Virtual) -> None:
    world = World([target("a/g")], codedeploy=ScriptedCodeDeploy({("a", "g"): Script(seconds=5000)}))
    refused = iter([True] * 3)
    expired = CredentialsError("the token has expired", code="ExpiredTokenException")
    world.codedeploy.before = lambda op, _p: expired if op == "StopDeployment" and next(refused, False) else None
    world.meanwhile = at(20, interrupt(OnCancel.STOP))
    virtual(world.run())
    assert world.states() == {"a/g": "stopped"}
    assert world.seconds < 100


@pytest.mark.parametrize("error", [UsageError("no such file"), OSError("No space left on device")])
def test_whatever_is_wrong_with_one_bundle_ends_no_other_target(virtual: Virtual, error: Exception) -> None:
    class Artifacts(InstantArtifacts):
        async def prepare(self, targets: Any) -> Any:
            if targets[0].id == "a/g":
                raise error
            return await super().prepare(targets)

    world = World([target("a/g"), target("b/g")], artifacts=Artifacts(), policy=Policy(on_failure="continue"))
    virtual(world.run())
    assert world.states() == {"a/g": "errored", "b/g": "succeeded"}


# --- going on with a run --------------------------------------------------------------------------------------------


def test_what_runs_already_takes_its_place(virtual: Virtual) -> None:
    targets = [target("new/g", pool="database"), target("old/g", pool="database")]
    scripts = {("old", "g"): Script(seconds=300)}
    world = World(targets, codedeploy=ScriptedCodeDeploy(scripts), concurrency=Concurrency(pools={"database": 1}))

    async def play() -> None:
        world.targets = [targets[1]]
        world.meanwhile = at(10, lambda engine: engine.leave("--for is over"))
        await world.run()
        started = [record.event for record in world.journal.records if isinstance(record.event, ev.DeploymentStarted)]
        world.targets, world.meanwhile = targets, None
        world.state, world.journal, world.log = RunState(), MemoryJournal(), EventLog()
        await _resumed_with(world, started)

    virtual(play())
    assert world.codedeploy.most_at_once() == 1
    assert world.state.outcome is Outcome.SUCCEEDED


async def _resumed_with(world: World, started: list[ev.DeploymentStarted]) -> None:
    """A run of all the world's targets, of which these deployments have been started."""
    steps = tuple(step_to_dict(Step(target=each)) for each in world.targets)
    first = ev.RunStarted(
        release="r",
        environment="e",
        manifest="",
        manifest_digest="",
        targets=steps,
        policy={},
        concurrency={},
        version="0",
        host="h",
        pid=1,
    )
    for number, event in enumerate([first, *started], start=1):
        record = ev.Record(number, 1_800_001_000.0, "r1", event)
        world.state.apply(record)
        world.journal.append(record)
    await world.run()


def test_an_open_intent_is_looked_for_with_its_own_revision_before_any_bundle(virtual: Virtual) -> None:
    """The source has changed since, and its bundle can't be made: the deployment is found and watched all the same."""
    world = World([target("a/g")], codedeploy=ScriptedCodeDeploy({("a", "g"): Script(seconds=100)}))

    async def play() -> None:
        await world.run()
        after_a_crash(world, lambda event: isinstance(event, ev.DeploymentIntended))
        world.artifacts = InstantArtifacts(error=OSError("the source is gone"))
        await world.run()

    virtual(play())
    assert len(world.codedeploy.of("a", "g")) == 1
    assert [event.adopted for event in world.events(ev.DeploymentStarted)] == [True]
    assert world.states() == {"a/g": "succeeded"}


def test_a_failure_before_the_crash_counts_after_it(virtual: Virtual) -> None:
    scripts = {("bad", "g"): Script(status="Failed", seconds=5), ("slow", "g"): Script(seconds=60)}
    targets = [target("bad/g"), target("slow/g"), target("later/g", needs=["slow/g"])]
    world = World(targets, codedeploy=ScriptedCodeDeploy(scripts))

    async def play() -> None:
        await world.run()
        after_a_crash(world, lambda event: isinstance(event, ev.TargetFinished))
        await world.run()

    virtual(play())
    assert world.states() == {"bad/g": "failed", "slow/g": "succeeded", "later/g": "skipped"}
    assert not world.codedeploy.of("later", "g")


def test_a_step_without_end_is_json() -> None:
    step = Step(target=target("a/g"), timeout=float("inf"))
    text = json.dumps(step_to_dict(step), allow_nan=False)
    assert step_from_dict(json.loads(text)) == step


# --- leaving once all has started -----------------------------------------------------------------------------------


def test_detach_leaves_once_all_that_can_start_has_started(virtual: Virtual) -> None:
    targets = [target("a/g"), target("b/g"), target("c/g", needs=["a/g"])]
    world = World(targets, artifacts=InstantArtifacts(3.0), detach=True)
    virtual(world.run())
    assert world.seconds < 9
    assert world.states() == {"a/g": "running", "b/g": "running", "c/g": "pending"}
    assert exit_code_of(world.state) is ExitCode.RUNNING
    assert world.state.targets["c/g"].revision is not None, "its bundle is made: a resume needs no checkout"
    for made in world.codedeploy.made.values():
        made.ends = 1000.0
    virtual(world.run())
    assert sorted(world.starts()) == ["a/g", "b/g", "c/g"], "the resume starts what has become free, and leaves again"
    assert world.states()["c/g"] == "running"


@pytest.mark.parametrize("limit", ["deployments", "pools"])
def test_detach_waits_for_no_slot(virtual: Virtual, limit: str) -> None:
    concurrency = Concurrency(deployments=1) if limit == "deployments" else Concurrency(pools={"db": 1})
    world = World([target("a/g", pool="db"), target("b/g", pool="db")], concurrency=concurrency, detach=True)
    virtual(world.run())
    assert world.starts() == ["a/g"]
    assert exit_code_of(world.state) is ExitCode.RUNNING


def test_detach_of_what_ends_at_once_is_no_detach(virtual: Virtual) -> None:
    world = World([target("a/g")], unchanged=frozenset({"a/g"}), detach=True)
    virtual(world.run())
    assert exit_code_of(world.state) is ExitCode.OK


def test_detach_waits_for_a_lost_answer_and_not_for_a_busy_group(virtual: Virtual) -> None:
    world = World([target("a/g"), target("b/g")], detach=True)
    lost = iter([AnswerLostError("gone", operation="CreateDeployment")])
    world.codedeploy.after = lambda operation, _asked: next(lost, None) if operation == "CreateDeployment" else None

    async def scenario() -> None:
        world.codedeploy.create("b", "g", creator="autoscaling", script=Script(status="never"))
        await world.run()

    virtual(scenario())
    assert world.state.targets["a/g"].deployment_id is not None
    assert world.states()["b/g"] == "blocked"
