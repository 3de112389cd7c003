"""Random worlds in which releases go back, and what must hold of them then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import Any

import anyio
from chaos import Chaos, chaos
from invariants import journal_violations, ours

from orchestrator.core import events as ev
from orchestrator.core.errors import ExitCode
from orchestrator.core.model import GitHubRevision, Outcome, Rollback, TargetState
from orchestrator.core.outcome import FAILURES, goes_back, outcome_of
from orchestrator.core.result import exit_code_of
from orchestrator.core.state import fold
from orchestrator.testing import Made, Script

S = TargetState
OLD = "0" * 40


def backwards(seed: int) -> Chaos:
    """A world in which something fails or somebody cancels, and most groups have something to go back to."""
    random = Random(seed ^ 0xBAC)  # noqa: S311 - a scenario, not a secret
    made = chaos(seed, orders=False)
    world = made.world
    for each in world.targets:
        if random.random() < 0.3:
            world.codedeploy.scripts[each.application, "g"] = Script(
                seconds=random.choice([1.0, 20.0]), status="Failed"
            )
    back = {
        each.application: Script(
            seconds=random.choice([0.5, 10.0, 50.0]),
            status=random.choices(["Succeeded", "Failed", "never"], [8, 1, 1])[0],
        )
        for each in world.targets
    }

    def script_of(parameters: Mapping[str, Any]) -> Script | None:
        is_back = "-back" in str(parameters.get("description", "")).split(" ")[0]
        return back[parameters["applicationName"]] if is_back else None

    world.codedeploy.choose = script_of
    world.before = {
        each.id: GitHubRevision(repository="acme/x", commit_id=OLD) for each in world.targets if random.random() < 0.85
    }
    scopes: list[Rollback] = ["none", "target", "release", "release"]
    scope = random.choice(scopes)
    world.policy = replace(world.policy, rollback=scope)
    first = random.choice([0.0, random.uniform(0, 20), random.uniform(0, 150)])
    orders: list[tuple[float, str]] = []
    if scope == "none" or random.random() < 0.3:
        orders.append((first, "rollback"))
    if random.random() < 0.3:
        orders.append((first + random.uniform(0, 200), random.choice(["leave", "wait", "stop", "detach"])))
    made.orders = orders
    made.faults.is_durable = lambda token: _is_durable(made, token)
    return made


def _is_durable(chaos: Chaos, token: str) -> bool:
    journals = [chaos.world.journal, *chaos.world.children.values()]
    durable = [record for journal in journals for record in journal.records[: journal.durable]]
    return any(getattr(record.event, "token", None) == token for record in durable)


def back_violations(chaos: Chaos) -> list[str]:
    """Everything that is wrong with the run and its rollback; empty: nothing."""
    chaos.world.codedeploy.catch_up()
    return [
        *_once(chaos),
        *journal_violations(chaos),
        *_children(chaos),
        *_reversed(chaos),
        *_known(chaos),
        *_outcome(chaos),
        *(f"{token}: created before its intent was durable" for token in chaos.faults.created_before_durable),
    ]


def _of_rollbacks(chaos: Chaos, target: str) -> list[Made]:
    """The deployments that rollbacks of this run have made for the target."""
    mark = f"orchestrator:{chaos.world.run_id}-back"
    made = chaos.world.codedeploy.of(target.split("/", maxsplit=1)[0], "g")
    return [each for each in made if each.parameters["description"].startswith(mark)]


def _once(chaos: Chaos) -> Iterator[str]:
    for each in chaos.world.targets:
        if len(ours(chaos, each)) > 1 + each.retry.times:
            yield f"{each.id}: {len(ours(chaos, each))} deployments"
        back = _of_rollbacks(chaos, each.id)
        tokens = [made.parameters["description"].split(" ")[0] for made in back]
        if len(set(tokens)) < len(tokens):
            yield f"{each.id}: rolled back twice by one rollback: {tokens}"
        for made in back:
            if made.parameters["revision"] != {
                "revisionType": "GitHub",
                "gitHubLocation": {"repository": "acme/x", "commitId": OLD},
            }:
                yield f"{each.id}: {made.id} goes back to {made.parameters['revision']}"
        unanswered = chaos.world.state.targets[each.id].intent is not None
        if back and not ours(chaos, each) and not unanswered:
            yield f"{each.id}: rolled back, and it was never deployed"


def _children(chaos: Chaos) -> Iterator[str]:
    """The journals of the rollbacks are as whole as the run's own."""
    for name, journal in chaos.world.children.items():
        records = journal.records[: journal.durable]
        if [record.seq for record in records] != list(range(1, len(records) + 1)):
            yield f"{name}: seq has gaps"
        if chaos.world.state.is_finished and records and not fold(records).is_finished:
            yield f"{name}: the run has ended, and its rollback has not"


def _reversed(chaos: Chaos) -> Iterator[str]:
    """Nothing goes back before what needs it has; and nothing while the run's own deployments still go on."""
    went = {each.id: _of_rollbacks(chaos, each.id) for each in chaos.world.targets}
    lost = _without_answer(chaos)
    for each in chaos.world.targets:
        for made in went[each.id]:
            for own in ours(chaos, each):
                if own.ends > made.created and each.id not in lost:
                    yield f"{each.id}: rolled back while {own.id} was running"
        for need in each.needs:
            for made in went[need]:
                last = went[each.id][-1:]  # those before it were tried again
                if any(back.status != "Succeeded" or back.ends > made.created for back in last):
                    yield f"{need}: went back before {each.id} was back"


def _without_answer(chaos: Chaos) -> set[str]:
    events = [record.event for record in chaos.world.journal.records]
    return {event.target for event in events if isinstance(event, ev.TargetFinished) and event.state is S.ERRORED}


def _known(chaos: Chaos) -> Iterator[str]:
    """Each deployment that was made is known, or may be found by a resume."""
    state = chaos.world.state
    for each in chaos.world.targets:
        run = state.targets[each.id]
        back = _of_rollbacks(chaos, each.id)
        if state.is_finished and run.state is S.ROLLED_BACK and back and back[-1].status != "Succeeded":
            yield f"{each.id}: rolled back, and {back[-1].id} is {back[-1].status}"
        if not state.is_finished or not back or _may_be_running(chaos, each.id):
            continue
        if run.rollback_deployment_id not in {made.id for made in back}:
            yield f"{each.id}: {back[-1].id} was made to roll it back and is not known"
        running = [made for made in back if anyio.current_time() < made.ends and not made.stopped]
        if running and run.state not in {S.ERRORED, S.TIMED_OUT}:
            yield f"{each.id}: {running[0].id} still runs and the target is {run.state}"


def _may_be_running(chaos: Chaos, target: str) -> bool:
    """Whether a rollback's intent was never answered: its journal says so, and a resume looks it up."""
    states = [fold(journal.records) for journal in chaos.world.children.values()]
    return any(state.targets[target].intent is not None for state in states if target in state.targets)


def _outcome(chaos: Chaos) -> Iterator[str]:
    state = chaos.world.state
    code = exit_code_of(state)
    if state.is_finished and (state.outcome, state.exit_code) != (outcome_of(state), int(code)):
        yield f"finished as {state.outcome} {state.exit_code}, and is {outcome_of(state)} {code}"
    if not state.is_finished and state.detached is None:
        yield f"ended without an end: {state.outcome}"
    to_go_back = [run for run in state.targets.values() if goes_back(run, state)]
    if state.is_finished and state.rollback is not None and to_go_back:
        all_back = all(run.state is S.ROLLED_BACK for run in to_go_back)
        if not all_back and code is not ExitCode.ROLLBACK_FAILED:
            yield f"not all is back, and the exit code is {code}"
        if all_back and state.rollback.scope == "release" and code is not ExitCode.ROLLED_BACK:
            yield f"all is back, and the exit code is {code}"
        for run in to_go_back:
            if (
                run.state is not S.ROLLED_BACK
                and "rollback" not in (run.reason or "")
                and "rolled back" not in (run.reason or "")
            ):
                yield f"{run.id}: {run.state} and nothing says why it isn't back: {run.reason}"
    failed = any(run.state in FAILURES for run in state.targets.values())
    asked = chaos.world.policy.rollback == "release" and state.outcome is Outcome.FAILED
    changed = [run for run in state.targets.values() if run.was_changed]
    if asked and failed and changed and state.rollback is None:
        yield "the release failed, and nothing went back"
