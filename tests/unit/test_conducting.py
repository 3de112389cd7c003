"""A run that nobody stays with, from its launch to its end, in virtual time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import anyio
import pytest
import scale
from looked_in import RUN, LaunchedRun, SplitWorld
from world import HERE, target

from orchestrator.core import events as ev
from orchestrator.core.conducting import Conductor, Launched, Look, Order, event_of, launched_from
from orchestrator.core.controls import Controls, GateSpec
from orchestrator.core.errors import StateError, UsageError
from orchestrator.core.model import Concurrency, GitHubRevision, Location, Outcome, Policy, Target
from orchestrator.core.outcome import outcome_of
from orchestrator.core.state import RunState
from orchestrator.core.timing import Timing
from orchestrator.testing import Script, ScriptedCodeDeploy

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]
HOUR = 3600.0
THERE = Location(region="us-east-1")


def run_of(targets: Sequence[Target], scripts: dict[str, Script] | None = None, **more: Any) -> LaunchedRun:
    given = {(name, "g"): script for name, script in (scripts or {}).items()}
    places = {each.location: ScriptedCodeDeploy(given) for each in targets}
    chosen = {key: more.pop(key) for key in ("policy", "concurrency", "controls", "outside", "before") if key in more}
    return LaunchedRun(SplitWorld(list(targets), places=places, timing=Timing(), **chosen), **more)


def made(run: LaunchedRun) -> Counter[str]:
    """Deployments of ours by group."""
    return Counter(
        "/".join(each.key)
        for place in run.world.places.values()
        for each in place.made.values()
        if each.creator == "user"
    )


def bakes(seconds: float) -> Controls:
    return Controls(bake=seconds)


def approval(name: str) -> Controls:
    return Controls(gates_before=(GateSpec(name=name, kind="approval", settings={}, timeout=48 * HOUR),))


# --- a day -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dies", [lambda _look: False, lambda look: look % 3 == 0], ids=["lives", "workers are lost"])
def test_a_release_of_a_day(virtual: Virtual, dies: Callable[[int], bool]) -> None:
    """A canary that bakes for ten hours, an approval after fourteen, ten more hours of baking; and a part beside it."""
    targets = [
        target("canary/g", location=HERE, controls=bakes(10 * HOUR)),
        target("fleet/g", location=HERE, needs=["canary/g"], controls=replace(approval("cab"), bake=9 * HOUR)),
        target("last/g", location=HERE, needs=["fleet/g"]),
        target("other/g", location=THERE),
    ]
    scripts = {each.application: Script(seconds=1500.0) for each in targets}
    run = run_of(targets, scripts, decisions={"cab": 14 * HOUR}, dies=dies)

    async def play() -> None:
        with anyio.fail_after(30 * HOUR):
            state = await run.run()
        assert {name: str(each.state) for name, each in state.targets.items()} == dict.fromkeys(
            ("canary/g", "fleet/g", "last/g", "other/g"), "succeeded"
        )
        assert made(run) == dict.fromkeys(made(run), 1)
        started = {name: each.deployment_started_at or 0.0 for name, each in state.targets.items()}
        assert 14 * HOUR < started["fleet/g"] - (state.started_at or 0.0) < 14 * HOUR + 60, "the approval woke it"
        assert (state.targets["last/g"].ended_at or 0.0) - (state.started_at or 0.0) > 23.5 * HOUR
        assert run.figures.woken == 1
        assert run.figures.alive < (600 if dies(1) is dies(3) else 6000), "waiting costs nothing"
        assert run.figures.operations < 1000
        kept = [record for record in (await run.runs.read_run(RUN)).records if not _is_progress(record.event)]
        assert len(kept) < 45, "looks at which nothing happens leave nothing behind"

    virtual(play())


def _is_progress(event: ev.Event) -> bool:
    return isinstance(event, (ev.DeploymentProgressed, ev.InstancesSeen))


# --- what parts owe each other ---------------------------------------------------------------------------------------


def fleet(number: int, place: Location, first: str = "a") -> list[Target]:
    return [target(f"{first}{each}/g", location=place) for each in range(number)]


def test_failures_of_other_parts_count(virtual: Virtual) -> None:
    here = [target("bad/g", location=HERE)]
    there = [target("slow/g", location=THERE), target("after/g", location=THERE, after=["slow/g"])]
    scripts = {"bad": Script(seconds=30.0, status="Failed"), "slow": Script(seconds=600.0)}
    run = run_of([*here, *there], scripts, policy=Policy(on_failure="stop"))
    state = virtual(run.run())
    assert {name: str(each.state) for name, each in state.targets.items()} == {
        "bad/g": "failed",
        "slow/g": "succeeded",
        "after/g": "skipped",
    }
    assert "another part" in (state.targets["after/g"].reason or "")
    assert made(run) == {"bad/g": 1, "slow/g": 1}


def test_when_one_part_fails_the_others_go_back_too(virtual: Virtual) -> None:
    targets = [target("bad/g", location=HERE), target("good/g", location=THERE), target("next/g", location=THERE)]
    scripts = {"bad": Script(seconds=900.0, status="Failed"), "good": Script(seconds=60.0)}
    before = {each.id: GitHubRevision(repository="acme/x", commit_id="0" * 40) for each in targets}
    run = run_of(targets, scripts, policy=Policy(on_failure="continue", rollback="release"), before=before)
    for place in run.world.places.values():
        place.choose = lambda sent: Script(seconds=30.0) if "-back" in sent["description"].split(" ")[0] else None
    state = virtual(run.run())
    assert {name: str(each.state) for name, each in state.targets.items()} == dict.fromkeys(
        ("bad/g", "good/g", "next/g"), "rolled_back"
    )
    assert made(run) == dict.fromkeys(("bad/g", "good/g", "next/g"), 2), "there and back"
    assert str(outcome_of_finished(state)) == "rolled_back"


def outcome_of_finished(state: RunState) -> Outcome:
    """With the end of the rollback, which the run itself records once all parts are back."""
    state.rollback_finished = ev.ReleaseRollbackFinished(rollback_run="back")
    return outcome_of(state)


def test_together_they_never_run_more_than_the_release_allows(virtual: Virtual) -> None:
    targets = [*fleet(9, HERE, "a"), *fleet(7, THERE, "b")]
    run = run_of(
        targets, {each.application: Script(seconds=200.0) for each in targets}, concurrency=Concurrency(deployments=3)
    )
    state = virtual(run.run())
    assert all(each.state.is_good for each in state.targets.values())
    everything = ScriptedCodeDeploy()
    for number, place in enumerate(run.world.places.values()):
        everything.made |= {f"{number}{name}": each for name, each in place.made.items()}
    assert everything.most_at_once() <= 3


# --- the conductor alone ---------------------------------------------------------------------------------------------


@dataclass
class Played:
    """A worker that plays what each part's looks find."""

    looks: dict[str, list[Look]]
    wakes: list[bool] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)

    async def look(self, orders: Sequence[Order]) -> Sequence[Look]:
        self.told.append([(order.run, order.failed_elsewhere, order.go_back) for order in orders])
        return [self.looks[order.run].pop(0) for order in orders]

    async def pause(self, seconds: int, *, wakeable: bool) -> bool:
        self.told.append((seconds, wakeable))
        return wakeable and bool(self.wakes) and self.wakes.pop(0)

    async def finish(self) -> str:
        return "done"

    async def go_on_afresh(self, generation: int) -> None:
        self.told.append(generation)


def conduct(virtual: Virtual, worker: Played, *parts: str) -> str:
    launched = Launched(run=RUN, state="s3://b/s", parts=parts)
    found: str = virtual(Conductor(launched, worker).run())
    return found


def test_who_is_due_is_looked_at_and_nobody_else(virtual: Virtual) -> None:
    worker = Played(
        {
            "a": [Look(at=0.0, due=15.0), Look(at=16.0, over=True)],
            "b": [Look(at=0.0, due=400.0), Look(at=401.0, over=True)],
        }
    )
    assert conduct(virtual, worker, "a", "b") == "done"
    assert worker.told == [
        [("a", 0, None), ("b", 0, None)],
        (15, False),
        [("a", 0, None)],
        (384, True),
        [("b", 0, None)],
    ]


def test_who_is_woken_looks_at_all_that_goes_on(virtual: Virtual) -> None:
    worker = Played(
        {
            "a": [Look(at=0.0, due=100.0), Look(at=31.0, over=True)],
            "b": [Look(at=0.0, due=800.0), Look(at=31.0, over=True)],
        },
        wakes=[True],
    )
    conduct(virtual, worker, "a", "b")
    assert worker.told[2] == [("a", 0, None), ("b", 0, None)]


def test_what_is_over_goes_back_when_another_part_does(virtual: Virtual) -> None:
    worker = Played(
        {
            "a": [Look(at=0.0, over=True, changed=True), Look(at=9.0, over=True, changed=True, goes_back="release")],
            "b": [Look(at=0.0, due=5.0), Look(at=6.0, over=True, failed=1, changed=True, goes_back="release")],
        }
    )
    conduct(virtual, worker, "a", "b")
    assert worker.told[-1] == [("a", 1, "another part of the release goes back")]


def test_trouble_is_waited_out_and_at_last_told(virtual: Virtual) -> None:
    good = [Look(at=at, trouble="the bucket can't be reached") for at in (0.0, 5.0, 15.0, 35.0, 75.0)]
    worker = Played({RUN: [*good, Look(at=155.0, over=True)]})
    assert conduct(virtual, worker, RUN) == "done"
    assert [each[0] for each in worker.told if isinstance(each, tuple)] == [5, 10, 20, 40, 80]
    hopeless = Played({RUN: [Look(at=0.0, trouble="no")] * 100})
    with pytest.raises(StateError, match="41 looks in a row went wrong, the last one: no"):
        conduct(virtual, hopeless, RUN)


def test_a_fresh_execution_goes_on_before_the_history_is_long(virtual: Virtual) -> None:
    worker = Played({RUN: [Look(at=60.0 * n, due=60.0 * n + 60) for n in range(1000)]})
    assert conduct(virtual, worker, RUN) == "continued"
    assert worker.told[-1] == 2
    assert sum(isinstance(each, list) for each in worker.told) < 400


def test_an_event_is_what_launch_makes_or_nothing() -> None:
    launched = Launched(run=RUN, state="s3://b/s", parts=("a", "b"), generation=3)
    assert launched_from(event_of(launched)) == launched
    with pytest.raises(UsageError, match="this starts no run"):
        launched_from({"run": RUN})


@pytest.mark.parametrize("seed", range(2))
def test_random_fleets_with_workers_that_are_lost(virtual: Virtual, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - a scenario
    places = [replace(HERE, role_arn=f"arn:aws:iam::{number:012d}:role/d") for number in range(random.randint(1, 4))]
    targets: list[Target] = []
    for number in range(14):
        place = random.choice(places)
        before = [each.id for each in targets if each.location == place]
        targets.append(
            target(
                f"t{number}/g", location=place, needs=random.sample(before, min(len(before), random.choice([0, 1, 2])))
            )
        )
    scripts = {each.application: Script(seconds=random.choice([20.0, 300.0, 2000.0])) for each in targets}
    run = run_of(targets, scripts, dies=lambda _look: random.random() < 0.3, seed=seed)
    state = virtual(run.run())
    assert all(each.state.is_good for each in state.targets.values())
    assert made(run) == {each.id: 1 for each in targets}


# --- figures ---------------------------------------------------------------------------------------------------------


def test_what_docs_say_of_scale_holds_for_a_small_release() -> None:
    """`make scale` makes the figures of docs/scale.md in the same way."""
    row = scale.play(scale.Size(accounts=4, each=3))
    assert scale.violations(row) == []
    assert len(row.run.parts) == 4
    assert row.run.figures.largest_result < 200
    assert row.run.figures.alive < row.seconds / 10, "most of the time nobody is there"
    assert row.run.figures.operations < 300 * row.hours * len(row.run.parts)
    assert scale.line(row).count("|") == scale.HEAD.count("|")
