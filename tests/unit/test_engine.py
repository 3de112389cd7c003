"""The engine against a scripted CodeDeploy, in virtual time."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from world import World, target

from orchestrator.core import events as ev
from orchestrator.core.control import OnCancel
from orchestrator.core.errors import (
    AnswerLostError,
    CallError,
    CredentialsError,
    EndNotRecordedError,
    ExitCode,
    RefusedError,
    StateError,
)
from orchestrator.core.events import record_from_dict
from orchestrator.core.model import Concurrency, Outcome, Policy
from orchestrator.core.phases import Phases
from orchestrator.core.result import exit_code_of, result_of
from orchestrator.core.state import RunState
from orchestrator.core.timing import Timing
from orchestrator.testing import InstantArtifacts, MemoryJournal, Script, ScriptedCodeDeploy

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]


def run(virtual: Virtual, world: World) -> World:
    virtual(world.run())
    return world


def lost(operation: str, _parameters: Mapping[str, Any]) -> CallError:
    return AnswerLostError("connection reset", operation=operation)


# --- order ----------------------------------------------------------------------------------------------------------


def test_targets_start_when_their_own_needs_are_done_and_not_later(virtual: Virtual) -> None:
    scripts = {("slow", "g"): Script(seconds=600), ("quick", "g"): Script(seconds=10)}
    targets = [
        target("slow/g"),
        target("quick/g"),
        target("next/g", needs=["quick/g"]),
        target("last/g", needs=["slow/g"]),
    ]
    world = run(virtual, World(targets, codedeploy=ScriptedCodeDeploy(scripts)))
    assert world.starts().index("next/g") < world.starts().index("last/g")
    assert world.codedeploy.of("next", "g")[0].created < 1000 + 30
    assert world.state.outcome is Outcome.SUCCEEDED
    assert exit_code_of(world.state) is ExitCode.OK


def test_a_failed_need_skips_its_dependents_and_names_the_root(virtual: Virtual) -> None:
    scripts = {("db", "g"): Script(status="Failed", error={"code": "HEALTH_CONSTRAINTS", "message": "too many failed"})}
    targets = [target("db/g"), target("api/g", needs=["db/g"]), target("web/g", needs=["api/g"]), target("x/g")]
    policy = Policy(on_failure="continue")
    world = run(virtual, World(targets, codedeploy=ScriptedCodeDeploy(scripts), policy=policy))
    assert world.states() == {"db/g": "failed", "api/g": "skipped", "web/g": "skipped", "x/g": "succeeded"}
    assert world.state.targets["web/g"].blocked_by == ("db/g",)
    assert world.state.targets["db/g"].reason == "Failed: HEALTH_CONSTRAINTS: too many failed"
    assert exit_code_of(world.state) is ExitCode.FAILED


def test_after_is_order_only(virtual: Virtual) -> None:
    scripts = {("db", "g"): Script(status="Failed", seconds=60)}
    targets = [target("db/g"), target("jobs/g", after=["db/g"])]
    policy = Policy(on_failure="continue")
    world = run(virtual, World(targets, codedeploy=ScriptedCodeDeploy(scripts), policy=policy))
    assert world.states() == {"db/g": "failed", "jobs/g": "succeeded"}
    db, jobs = world.codedeploy.of("db", "g")[0], world.codedeploy.of("jobs", "g")[0]
    assert jobs.created >= db.ends


def test_on_failure_stop_starts_nothing_new_but_watches_what_runs(virtual: Virtual) -> None:
    scripts = {("bad", "g"): Script(status="Failed", seconds=5), ("long", "g"): Script(seconds=300)}
    targets = [target("bad/g"), target("long/g"), target("later/g", needs=["long/g"])]
    world = run(virtual, World(targets, codedeploy=ScriptedCodeDeploy(scripts)))
    assert world.states() == {"bad/g": "failed", "long/g": "succeeded", "later/g": "skipped"}
    assert "on_failure: stop" in (world.state.targets["later/g"].reason or "")


def test_max_failures_stops_the_run(virtual: Virtual) -> None:
    scripts = {(f"a{n}", "g"): Script(status="Failed", seconds=5) for n in range(6)}
    targets = [target(f"a{n}/g") for n in range(6)]
    policy = Policy(on_failure="continue", max_failures=2)
    limits = Concurrency(deployments=1)
    world = run(virtual, World(targets, codedeploy=ScriptedCodeDeploy(scripts), policy=policy, concurrency=limits))
    assert sorted(world.states().values()) == ["failed"] * 2 + ["skipped"] * 4


def test_an_unchanged_target_is_not_deployed_but_holds_the_order(virtual: Virtual) -> None:
    scripts = {("a", "g"): Script(seconds=60)}
    targets = [target("a/g"), target("b/g", needs=["a/g"]), target("c/g", needs=["b/g"])]
    world = run(virtual, World(targets, codedeploy=ScriptedCodeDeploy(scripts), unchanged=frozenset({"b/g"})))
    assert world.states() == {"a/g": "succeeded", "b/g": "unchanged", "c/g": "succeeded"}
    assert not world.codedeploy.of("b", "g")
    assert world.codedeploy.of("c", "g")[0].created >= world.codedeploy.of("a", "g")[0].ends


# --- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "pool", "most"),
    [
        (Concurrency(deployments=3), None, 3),
        (Concurrency(per_region=2), None, 2),
        (Concurrency(deployments=5, pools={"database": 1}), "database", 1),
        (Concurrency(), None, 8),
    ],
)
def test_concurrency(virtual: Virtual, limits: Concurrency, pool: str | None, most: int) -> None:
    targets = [target(f"a{n}/g", pool=pool) for n in range(8)]
    world = run(virtual, World(targets, concurrency=limits))
    assert world.codedeploy.most_at_once() == most
    assert world.state.outcome is Outcome.SUCCEEDED


def test_a_full_pool_keeps_nobody_else_waiting(virtual: Virtual) -> None:
    scripts = {(f"db{n}", "g"): Script(seconds=100) for n in range(3)}
    targets = [*(target(f"db{n}/g", pool="database") for n in range(3)), target("web/g")]
    limits = Concurrency(deployments=2, pools={"database": 1})
    world = run(virtual, World(targets, codedeploy=ScriptedCodeDeploy(scripts), concurrency=limits))
    assert world.codedeploy.of("web", "g")[0].created < 1000 + 20


def test_uploads_are_bounded_and_shared(virtual: Virtual) -> None:
    targets = [target(f"a{n}/{group}") for n in range(6) for group in ("one", "two")]
    world = run(virtual, World(targets, artifacts=InstantArtifacts(5), concurrency=Concurrency(uploads=2)))
    assert world.artifacts.most_at_once == 2
    assert len(world.artifacts.prepared) == 6
    assert all(len(ids) == 2 for ids in world.artifacts.prepared)


# --- exactly once ---------------------------------------------------------------------------------------------------


def test_an_answer_lost_after_handling_is_found_by_its_token(virtual: Virtual) -> None:
    world = World([target("a/g")])
    answers = iter([True])
    world.codedeploy.after = lambda op, p: lost(op, p) if op == "CreateDeployment" and next(answers, False) else None
    run(virtual, world)
    assert len(world.codedeploy.of("a", "g")) == 1
    started = world.events(ev.DeploymentStarted)
    assert [event.adopted for event in started] == [True]
    assert world.state.outcome is Outcome.SUCCEEDED


def test_an_answer_lost_before_handling_is_sent_again_after_the_grace(virtual: Virtual) -> None:
    world = World([target("a/g")], timing=Timing(resend_grace=30))
    attempts = iter([True])
    world.codedeploy.before = lambda op, p: lost(op, p) if op == "CreateDeployment" and next(attempts, False) else None
    run(virtual, world)
    (made,) = world.codedeploy.of("a", "g")
    assert made.created >= 1000 + 30
    assert len(world.events(ev.DeploymentIntended)) == 2


def test_an_intent_is_durable_before_the_call(virtual: Virtual) -> None:
    world = World([target("a/g")])
    durable: list[int] = []

    def look(operation: str, _parameters: Mapping[str, Any]) -> CallError | None:
        if operation == "CreateDeployment":
            durable.append(world.journal.durable)
        return None

    world.codedeploy.before = look
    run(virtual, world)
    kinds = [type(record.event) for record in world.journal.records]
    assert durable == [kinds.index(ev.DeploymentIntended) + 1]


def test_a_busy_group_that_is_ours_is_adopted(virtual: Virtual) -> None:
    """The answer was lost, the look found nothing yet, and the second attempt is told of the first."""
    world = World([target("a/g")], codedeploy=ScriptedCodeDeploy({("a", "g"): Script(seconds=500)}))
    answers = iter([True])
    world.codedeploy.after = lambda op, p: lost(op, p) if op == "CreateDeployment" and next(answers, False) else None
    hidden = iter([True] * 6)

    def hide(operation: str, answer: dict[str, Any]) -> dict[str, Any]:
        if operation == "BatchGetDeploymentGroups" and next(hidden, False):
            return {"deploymentGroupsInfo": []}
        if operation == "ListDeployments" and len(world.events(ev.DeploymentIntended)) == 1:
            return {"deployments": []}
        return answer

    world.codedeploy.rewrite = hide
    run(virtual, world)
    assert len(world.codedeploy.of("a", "g")) == 1
    assert world.states() == {"a/g": "succeeded"}


@pytest.mark.parametrize(
    ("if_active", "state", "ours"), [("wait", "succeeded", 1), ("stop", "succeeded", 1), ("fail", "failed", 0)]
)
def test_a_group_that_somebody_else_keeps_busy(virtual: Virtual, if_active: Any, state: str, ours: int) -> None:
    world = World([target("a/g")], policy=Policy(if_active=if_active))
    world.codedeploy.scripts["a", "g"] = Script(seconds=200)

    async def somebody(engine: Phases) -> None:
        await anyio.lowlevel.checkpoint()

    async def story() -> None:
        foreign = world.codedeploy.create("a", "g", creator="autoscaling")
        await world.run()
        assert foreign.stopped is (if_active == "stop")

    virtual(story())
    assert world.states() == {"a/g": state}
    assert len(world.codedeploy.of("a", "g")) == ours
    if if_active == "wait":
        assert world.codedeploy.of("a", "g")[0].created >= 1000 + 200


# --- faults never decide --------------------------------------------------------------------------------------------


def test_throttling_fails_nothing(virtual: Virtual) -> None:
    codedeploy = ScriptedCodeDeploy(rate=5)
    targets = [target(f"a{n}/g") for n in range(60)]
    world = run(virtual, World(targets, codedeploy=codedeploy, rate=5.0))
    assert world.state.outcome is Outcome.SUCCEEDED
    assert codedeploy.throttled <= 0.05 * codedeploy.calls.total()
    assert world.events(ev.ApiThrottled)


def test_lost_polls_decide_nothing(virtual: Virtual) -> None:
    world = World([target(f"a{n}/g") for n in range(5)])
    count = iter(range(10**6))
    world.codedeploy.before = lambda op, p: lost(op, p) if op == "BatchGetDeployments" and next(count) % 3 else None
    run(virtual, world)
    assert world.state.outcome is Outcome.SUCCEEDED


def test_an_unknown_status_and_a_missing_id_are_still_running(virtual: Virtual) -> None:
    world = World([target("a/g"), target("b/g")])
    looks = iter(range(10**6))

    def odd(operation: str, answer: dict[str, Any]) -> dict[str, Any]:
        if operation != "BatchGetDeployments" or next(looks) > 3:
            return answer
        first, *_rest = answer["deploymentsInfo"]
        return {"deploymentsInfo": [{**first, "status": "Pondering"}]}

    world.codedeploy.rewrite = odd
    run(virtual, world)
    assert world.states() == {"a/g": "succeeded", "b/g": "succeeded"}


def test_credentials_that_come_back_decide_nothing(virtual: Virtual) -> None:
    world = World([target("a/g")], codedeploy=ScriptedCodeDeploy({("a", "g"): Script(seconds=60)}))
    refused = iter([True] * 3)
    expired = CredentialsError("the token has expired", code="ExpiredTokenException")
    world.codedeploy.before = lambda op, _p: expired if op == "BatchGetDeployments" and next(refused, False) else None
    run(virtual, world)
    assert world.states() == {"a/g": "succeeded"}


def test_credentials_that_stay_away_error_and_say_what_still_runs(virtual: Virtual) -> None:
    world = World([target("a/g")], codedeploy=ScriptedCodeDeploy({("a", "g"): Script(seconds=600)}))
    expired = CredentialsError("the token has expired", code="ExpiredTokenException")
    world.codedeploy.before = lambda op, _p: expired if op == "BatchGetDeployments" else None
    run(virtual, world)
    assert world.states() == {"a/g": "errored"}
    (made,) = world.codedeploy.of("a", "g")
    assert f"still running: {made.id}" in (world.state.targets["a/g"].reason or "")
    assert exit_code_of(world.state) is ExitCode.FAILED


def test_a_refused_create_is_our_error_and_not_a_failed_deployment(virtual: Virtual) -> None:
    world = World([target("a/g")])
    refused = RefusedError("no such group", operation="CreateDeployment", code="DeploymentGroupDoesNotExistException")
    world.codedeploy.before = lambda op, _p: refused if op == "CreateDeployment" else None
    run(virtual, world)
    assert world.states() == {"a/g": "errored"}
    assert world.state.targets["a/g"].intent is None


def test_a_bundle_that_fails_errors_its_targets_alone(virtual: Virtual) -> None:
    world = World(
        [target("a/one"), target("a/two")], artifacts=InstantArtifacts(error=OSError("No space left")), policy=Policy()
    )
    run(virtual, world)
    assert set(world.states().values()) <= {"errored", "skipped"}
    assert "No space left" in str(result_of(world.state))
    assert not world.codedeploy.made


class StuckAtTheEnd(MemoryJournal):
    async def flush(self) -> None:
        if any(isinstance(record.event, ev.RunFinished) for record in self.records):
            await anyio.sleep_forever()
        await super().flush()


def test_a_run_whose_end_cannot_be_written_says_so_and_is_not_good(virtual: Virtual) -> None:
    world = World([target("a/g")], journal=StuckAtTheEnd())
    with pytest.raises(BaseExceptionGroup) as raised:
        run(virtual, world)
    assert raised.group_contains(EndNotRecordedError, match="could not be written within 10 s")
    assert EndNotRecordedError.exit_code is ExitCode.FAILED
    assert world.states() == {"a/g": "succeeded"}


def test_a_journal_that_breaks_stops_the_run_before_the_next_create(virtual: Virtual) -> None:
    world = World([target("a/g"), target("b/g", needs=["a/g"])])

    async def break_it(_engine: Phases) -> None:
        await anyio.sleep(5)
        world.journal.broken = True

    world.meanwhile = break_it
    with pytest.raises(BaseExceptionGroup) as raised:
        run(virtual, world)
    assert raised.group_contains(StateError)
    assert not world.codedeploy.of("b", "g")


# --- failures are explained -----------------------------------------------------------------------------------------


def test_a_failure_says_which_script_on_which_instance(virtual: Virtual) -> None:
    failure = {
        "lifecycleEventName": "AfterInstall",
        "scriptName": "scripts/migrate.sh",
        "errorCode": "ScriptFailed",
        "message": "exit code 1",
        "logTail": "ERROR: relation exists\nPGPASSWORD=hunter22 psql",
    }
    scripts = {("a", "g"): Script(status="Failed", failures=[failure])}
    world = run(virtual, World([target("a/g")], codedeploy=ScriptedCodeDeploy(scripts)))
    (diagnosed,) = world.events(ev.DeploymentDiagnosed)
    assert diagnosed.failed == 1
    assert diagnosed.instances[0]["lifecycle_event"] == "AfterInstall"
    assert diagnosed.instances[0]["script"] == "scripts/migrate.sh"
    assert diagnosed.instances[0]["log_tail"] == "ERROR: relation exists\nPGPASSWORD=*** psql"


@pytest.mark.parametrize(
    ("rollback", "delay", "state", "code"),
    [
        ("Succeeded", 0, "rolled_back", ExitCode.ROLLED_BACK),
        ("Succeeded", 12, "rolled_back", ExitCode.ROLLED_BACK),
        ("Failed", 0, "failed", ExitCode.ROLLBACK_FAILED),
        ("Succeeded", 10_000, "failed", ExitCode.FAILED),
    ],
)
def test_an_automatic_rollback_is_followed(
    virtual: Virtual, rollback: str, delay: float, state: str, code: ExitCode
) -> None:
    scripts = {("a", "g"): Script(status="Failed", rollback=rollback, rollback_delay=delay)}
    world = run(virtual, World([target("a/g")], codedeploy=ScriptedCodeDeploy(scripts)))
    assert world.states() == {"a/g": state}
    assert exit_code_of(world.state) is code


def test_a_rollback_of_one_does_not_hide_that_another_stayed(virtual: Virtual) -> None:
    scripts = {("a", "g"): Script(status="Failed", rollback="Succeeded", seconds=30)}
    world = run(virtual, World([target("a/g"), target("b/g")], codedeploy=ScriptedCodeDeploy(scripts)))
    assert world.states() == {"a/g": "rolled_back", "b/g": "succeeded"}
    assert exit_code_of(world.state) is ExitCode.FAILED


# --- time-outs and cancels ------------------------------------------------------------------------------------------


def test_a_timeout_stops_the_deployment(virtual: Virtual) -> None:
    scripts = {("a", "g"): Script(status="never")}
    world = run(virtual, World([target("a/g")], codedeploy=ScriptedCodeDeploy(scripts), timeouts={"a/g": 120}))
    assert world.states() == {"a/g": "timed_out"}
    assert world.codedeploy.of("a", "g")[0].stopped
    assert world.seconds < 150


def test_a_deployment_that_will_not_stop_has_a_way_out(virtual: Virtual) -> None:
    world = World([target("a/g")], codedeploy=ScriptedCodeDeploy({("a", "g"): Script(status="never")}))
    world.timeouts = {"a/g": 60}
    refused = RefusedError("no", code="UnsupportedActionForDeploymentTypeException")
    world.codedeploy.before = lambda op, _p: refused if op == "StopDeployment" else None
    run(virtual, world)
    assert world.states() == {"a/g": "errored"}
    assert "may still be running" in (world.state.targets["a/g"].reason or "")


def cancelled(mode: OnCancel, after: float = 20) -> World:
    scripts = {("a", "g"): Script(seconds=300), ("b", "g"): Script(seconds=300)}
    world = World([target("a/g"), target("b/g"), target("c/g", needs=["a/g"])], codedeploy=ScriptedCodeDeploy(scripts))

    async def interrupt(engine: Phases) -> None:
        await anyio.sleep(after)
        engine.cancel(mode, reason="interrupted by SIGINT", signal=2)
        await anyio.sleep_forever()

    world.meanwhile = interrupt
    return world


def test_cancel_wait(virtual: Virtual) -> None:
    world = run(virtual, cancelled(OnCancel.WAIT))
    assert world.states() == {"a/g": "succeeded", "b/g": "succeeded", "c/g": "cancelled"}
    assert world.state.outcome is Outcome.CANCELLED
    assert exit_code_of(world.state) is ExitCode.SIGINT


def test_cancel_stop(virtual: Virtual) -> None:
    world = run(virtual, cancelled(OnCancel.STOP))
    assert world.states() == {"a/g": "stopped", "b/g": "stopped", "c/g": "cancelled"}
    assert world.seconds < 30
    assert exit_code_of(world.state) is ExitCode.SIGINT


def test_cancel_detach_leaves_deployments_running_and_journalled(virtual: Virtual) -> None:
    world = run(virtual, cancelled(OnCancel.DETACH))
    (detached,) = world.events(ev.RunDetached)
    assert sorted(detached.running) == sorted(world.codedeploy.made)
    assert not any(made.stopped for made in world.codedeploy.made.values())
    assert world.seconds < 22
    assert exit_code_of(world.state) is ExitCode.SIGINT
    assert result_of(world.state)["outcome"] == "running"


def test_leaving_waits_for_a_create_that_is_under_way(virtual: Virtual) -> None:
    world = World([target("a/g")], codedeploy=ScriptedCodeDeploy({("a", "g"): Script(seconds=99)}, latency=2.0))

    async def leave(engine: Phases) -> None:
        await anyio.sleep(3)
        engine.leave("--for 3s is over")
        await anyio.sleep_forever()

    world.meanwhile = leave
    run(virtual, world)
    assert world.state.targets["a/g"].deployment_id in world.codedeploy.made
    assert exit_code_of(world.state) is ExitCode.RUNNING


def test_a_cancel_while_uploading_calls_the_upload_off(virtual: Virtual) -> None:
    world = cancelled(OnCancel.WAIT, after=5)
    world.artifacts = InstantArtifacts(seconds=1000)
    run(virtual, world)
    assert set(world.states().values()) == {"cancelled"}
    assert world.seconds < 10


# --- the journal ----------------------------------------------------------------------------------------------------


def test_the_state_is_the_fold_of_the_journal(virtual: Virtual) -> None:
    scripts = {("a", "g"): Script(status="Failed", rollback="Succeeded")}
    targets = [target("a/g"), target("b/g", needs=["a/g"]), target("c/g")]
    world = run(virtual, World(targets, codedeploy=ScriptedCodeDeploy(scripts), policy=Policy(on_failure="continue")))
    again = RunState()
    for record in world.journal.records:
        again.apply(record_from_dict(json.loads(record.to_json())))
    assert result_of(again) == result_of(world.state)
    assert world.journal.durable == len(world.journal.records)


def test_polls_are_batched(virtual: Virtual) -> None:
    world = run(virtual, World([target(f"a{n}/g") for n in range(60)], rate=40.0))
    assert max(world.codedeploy.batch_sizes) == 25
    polls = world.codedeploy.calls["BatchGetDeployments"]
    assert polls <= 1.2 * 3 * (world.seconds / 5 + 1)
