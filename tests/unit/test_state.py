"""The fold: its table of transitions, and the outcome and exit code as a total table."""

from __future__ import annotations

from itertools import combinations, product

import pytest
from world import target

from orchestrator.core import bundle_events as bev
from orchestrator.core import events as ev
from orchestrator.core.errors import ExitCode, StateError
from orchestrator.core.model import FINAL_STATES, Outcome, TargetState
from orchestrator.core.outcome import outcome_of
from orchestrator.core.plan import Step, step_to_dict
from orchestrator.core.result import exit_code_of
from orchestrator.core.state import RunState
from orchestrator.core.transitions import TRANSITIONS

S = TargetState
GOOD = {S.SUCCEEDED, S.UNCHANGED}


def a_state(*states: TargetState) -> RunState:
    """A run whose targets t0/g, t1/g, … stand so."""
    run = RunState()
    steps = tuple(step_to_dict(Step(target=target(f"t{number}/g"))) for number, _ in enumerate(states))
    apply(
        run,
        ev.RunStarted(
            release="r",
            environment="e",
            manifest="m",
            manifest_digest="",
            targets=steps,
            policy={},
            concurrency={},
            version="0",
            host="h",
            pid=1,
        ),
    )
    for each, state in zip(run.targets.values(), states, strict=True):
        each.state = state
    return run


def apply(run: RunState, event: ev.Event) -> None:
    run.apply(ev.Record(run.last_seq + 1, 1000.0 + run.last_seq, "r1", event))


# --- transitions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new"), list(product(TargetState, TargetState)))
def test_each_pair_of_states_is_allowed_or_raises(old: TargetState, new: TargetState) -> None:
    run = a_state(old)
    event = ev.TargetFinished(target="t0/g", state=new)
    if new is old or new in TRANSITIONS[old]:
        apply(run, event)
        assert run.targets["t0/g"].state is new
    else:
        with pytest.raises(StateError, match=f"{old} can't become {new}"):
            apply(run, event)
        assert run.targets["t0/g"].state is old


def test_the_table_is_total_and_has_a_way_out_of_every_state() -> None:
    assert set(TRANSITIONS) == set(TargetState)
    for state in TargetState:
        only_back = TRANSITIONS[state] <= {S.ROLLING_BACK}
        assert only_back == (state in FINAL_STATES), "what has ended can only go back"
        assert state in FINAL_STATES or S.ERRORED in TRANSITIONS[state], "anything may go wrong on our side"


def test_only_what_ran_can_have_succeeded_and_what_ran_is_never_skipped() -> None:
    assert {old for old in TargetState if S.SUCCEEDED in TRANSITIONS[old]} == {S.RUNNING, S.BAKING}
    assert {old for old in TargetState if S.ROLLED_BACK in TRANSITIONS[old]} == {S.ROLLING_BACK}
    for state in (S.RUNNING, S.BAKING, S.ROLLING_BACK):
        assert not TRANSITIONS[state] & {S.SKIPPED, S.CANCELLED, S.UNCHANGED, S.STARTING}
    assert {old for old in (S.RUNNING, S.BAKING, S.ROLLING_BACK) if S.PENDING in TRANSITIONS[old]} == {S.RUNNING}, (
        "another attempt"
    )


def test_a_gap_and_a_stranger_are_refused() -> None:
    run = a_state(S.PENDING)
    with pytest.raises(StateError, match="event 3 follows event 1"):
        run.apply(ev.Record(3, 1.0, "r1", ev.WarningRaised(message="x")))
    with pytest.raises(StateError, match="no target of this run"):
        apply(run, ev.TargetReady(target="who/g", waited=0))


def test_an_intent_that_was_refused_is_closed_and_its_target_waits_again() -> None:
    run = a_state(S.PENDING)
    name = "t0/g"
    intent = ev.DeploymentIntended(
        target=name,
        token="t",
        attempt=1,
        application_name="t0",
        deployment_group_name="g",
        region="r",
        role_arn=None,
        revision={},
    )
    apply(run, intent)
    assert run.targets[name].is_live
    assert run.targets[name].running_ids == ()
    apply(run, ev.DeploymentRefused(target=name, token="t", code="NotSent", message=""))
    assert not run.targets[name].is_live
    assert run.targets[name].state is S.PENDING


@pytest.mark.parametrize(
    ("state", "deployment", "rollback", "back"),
    [
        (S.ERRORED, "d-1", None, S.RUNNING),
        (S.ERRORED, "d-1", "d-2", S.ROLLING_BACK),
        (S.ERRORED, None, None, S.PENDING),
        (S.CANCELLED, None, None, S.PENDING),
        (S.SKIPPED, None, None, S.PENDING),
        (S.UPLOADING, None, None, S.PENDING),
        (S.BLOCKED, None, None, S.PENDING),
        (S.RUNNING, "d-1", None, S.RUNNING),
        (S.FAILED, "d-1", None, S.FAILED),
        (S.SUCCEEDED, "d-1", None, S.SUCCEEDED),
        (S.UNCHANGED, None, None, S.UNCHANGED),
        (S.TIMED_OUT, "d-1", None, S.TIMED_OUT),
    ],
)
def test_a_resume_brings_back_what_has_no_verdict_on_a_deployment(
    state: TargetState, deployment: str | None, rollback: str | None, back: TargetState
) -> None:
    run = a_state(state)
    run.targets["t0/g"].deployment_id, run.targets["t0/g"].rollback_deployment_id = deployment, rollback
    apply(run, ev.CancelRequested(mode="wait", reason="x", signal=2))
    apply(run, ev.RunResumed(version="0", host="h", pid=2))
    assert run.targets["t0/g"].state is back
    assert (run.cancelled, run.closed_reason, run.outcome) == (None, None, Outcome.RUNNING)


# --- outcome and exit code ------------------------------------------------------------------------------------------

CANCELS = [
    None,
    ev.CancelRequested(mode="wait", reason="x"),
    ev.CancelRequested(mode="stop", reason="x", signal=2),
    ev.CancelRequested(mode="stop", reason="x", signal=15),
]
CODES = {None: ExitCode.FAILED, 2: ExitCode.SIGINT, 15: ExitCode.SIGTERM}


@pytest.mark.parametrize("cancel", CANCELS)
@pytest.mark.parametrize("states", [*combinations(TargetState, 1), *combinations(TargetState, 2)], ids=str)
def test_outcome_and_exit_code_agree_with_the_states(
    states: tuple[TargetState, ...], cancel: ev.CancelRequested | None
) -> None:
    run = a_state(*states)
    for each in run.targets.values():
        ran = {S.SUCCEEDED, S.FAILED, S.STOPPED, S.TIMED_OUT, S.RUNNING, S.BAKING, S.ROLLING_BACK, S.ROLLED_BACK}
        each.deployment_id = "d-1" if each.state in ran else None
        each.rollback_deployment_id = "d-2" if each.state in {S.ROLLED_BACK, S.ROLLING_BACK} else None
    if cancel is not None:
        apply(run, cancel)
    outcome, code = _expected(set(states), cancel)
    assert outcome_of(run) is outcome
    assert exit_code_of(run) is code


def _expected(states: set[TargetState], cancel: ev.CancelRequested | None) -> tuple[Outcome, ExitCode]:
    signal = cancel.signal if cancel is not None else None
    if not states <= FINAL_STATES:
        return Outcome.RUNNING, ExitCode.RUNNING if signal is None else CODES[signal]
    if states <= GOOD:
        return Outcome.SUCCEEDED, ExitCode.OK
    if cancel is not None:
        return Outcome.CANCELLED, CODES[signal]
    nothing_changed = {S.UNCHANGED, S.SKIPPED, S.CANCELLED, S.ERRORED}
    if S.ROLLED_BACK in states and states <= {S.ROLLED_BACK, *nothing_changed}:
        return Outcome.ROLLED_BACK, ExitCode.ROLLED_BACK
    return Outcome.FAILED, ExitCode.FAILED


@pytest.mark.parametrize("state", [S.FAILED, S.STOPPED, S.TIMED_OUT])
def test_a_rollback_that_failed_has_its_own_code(state: TargetState) -> None:
    run = a_state(state, S.ROLLED_BACK, S.SUCCEEDED)
    for name in ("t0/g", "t1/g"):
        run.targets[name].deployment_id, run.targets[name].rollback_deployment_id = "d-1", "d-2"
    assert (outcome_of(run), exit_code_of(run)) == (Outcome.ROLLBACK_FAILED, ExitCode.ROLLBACK_FAILED)


def test_an_intent_without_an_answer_may_have_changed_something() -> None:
    run = a_state(S.ROLLED_BACK, S.ERRORED)
    run.targets["t0/g"].deployment_id = "d-1"
    assert outcome_of(run) is Outcome.ROLLED_BACK
    run.targets["t1/g"].state = S.PENDING
    apply(
        run,
        ev.DeploymentIntended(
            target="t1/g",
            token="t",
            attempt=1,
            application_name="t1",
            deployment_group_name="g",
            region="r",
            role_arn=None,
            revision={},
        ),
    )
    apply(run, ev.TargetFinished(target="t1/g", state=S.ERRORED, reason="no answer"))
    assert outcome_of(run) is Outcome.FAILED


def test_what_was_left_is_running_whatever_its_targets_say() -> None:
    run = a_state(S.SUCCEEDED, S.PENDING)
    apply(run, ev.RunDetached(reason="--for", running=()))
    assert (outcome_of(run), exit_code_of(run)) == (Outcome.RUNNING, ExitCode.RUNNING)


def test_every_outcome_has_an_exit_code_of_the_contract() -> None:
    from orchestrator.core.result import _EXIT_CODES  # noqa: PLC0415 - the table itself

    assert set(_EXIT_CODES) == set(Outcome)
    assert [outcome for outcome, code in _EXIT_CODES.items() if code is ExitCode.OK] == [Outcome.SUCCEEDED]


def test_its_history_tells_each_state_with_the_time_at_which_it_came() -> None:
    run = a_state(S.PENDING)
    name = "t0/g"
    intent = ev.DeploymentIntended(
        target=name,
        token="t",
        attempt=1,
        application_name="t0",
        deployment_group_name="g",
        region="r",
        role_arn=None,
        revision={},
    )
    apply(run, bev.UploadStarted(application="t0", region="r", targets=(name,)))
    apply(run, bev.RevisionPinned(application="t0", region="r", targets=(name,), revision={}))
    apply(run, ev.TargetReady(target=name, waited=0.5))
    apply(run, intent)
    apply(run, ev.DeploymentStarted(target=name, token="t", deployment_id="d-1"))
    apply(run, ev.DeploymentProgressed(target=name, deployment_id="d-1", status="InProgress"))
    apply(run, ev.TargetRetried(target=name, deployment_id="d-1", retry=1, reason="x", wait=5.0))
    apply(run, ev.TargetFinished(target=name, state=S.CANCELLED))
    apply(run, ev.RunResumed(version="0", host="h", pid=2))
    assert run.targets[name].history == [
        (S.PENDING, 1000.0),
        (S.UPLOADING, 1001.0),
        (S.PENDING, 1002.0),
        (S.STARTING, 1004.0),
        (S.RUNNING, 1005.0),
        (S.PENDING, 1007.0),
        (S.CANCELLED, 1008.0),
        (S.PENDING, 1009.0),
    ]
    assert run.targets[name].needs_met_at == 1002.5
