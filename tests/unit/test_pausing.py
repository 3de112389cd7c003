"""A process that only looks in: what it leaves alone, when it wants to come back, and what it leaves in the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import anyio
from world import World, target

from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.control import OnCancel
from orchestrator.core.controls import Controls, GateSpec
from orchestrator.core.events import Event
from orchestrator.core.freezing import Frozen
from orchestrator.core.measuring import Answer
from orchestrator.core.model import Retry
from orchestrator.core.pausing import Pauses
from orchestrator.core.phases import Phases
from orchestrator.core.stages import Outside
from orchestrator.testing import EPOCH, Script, ScriptedCodeDeploy
from orchestrator.testing_gates import ScriptedCommands, ScriptedGates

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]
START = 1000.0
"""Of virtual time, on anyio's clock."""


@dataclass
class Looks:
    """Looks in on a world whenever it is due, until the run is over."""

    world: World
    at: list[float] = field(default_factory=list)
    """When each look began, in seconds since the first."""
    alive: float = 0.0

    async def until_over(self) -> None:
        self.world.pauses = Pauses()
        while not self.world.state.is_finished:
            began = anyio.current_time()
            self.at.append(began - START)
            assert len(self.at) < 1000, "it goes on for ever"
            await self.world.run()
            self.alive += anyio.current_time() - began
            if self.world.rests_until is not None:
                await anyio.sleep(min(900.0, max(0.0, self.world.rests_until - self.world.clock())))

    def told(self, *kinds: type[Event]) -> Counter[str]:
        events = [record.event for record in self.world.journal.records]
        return Counter(type(event).__name__ for event in events if isinstance(event, kinds))


def look(virtual: Virtual, world: World) -> Looks:
    looks = Looks(world)
    virtual(looks.until_over())
    return looks


def test_old_deployments_are_looked_at_less_often_and_nothing_is_left_behind(virtual: Virtual) -> None:
    world = World([target("a/g")], codedeploy=ScriptedCodeDeploy({("a", "g"): Script(seconds=3000.0)}))
    looks = look(virtual, world)
    assert str(world.state_of("a/g")) == "succeeded"
    pauses = [later - earlier for earlier, later in pairwise(looks.at)]
    assert 15 <= pauses[0] < 17
    assert 59 < pauses[-1] < 62, "at most a minute apart, once it is old"
    assert looks.alive < 60
    everything = looks.told(Event)
    assert everything["RunResumed"] == everything["RunDetached"] == 0
    assert everything["DeploymentProgressed"] <= 2, "what hasn't changed isn't told again"


def test_a_row_of_measurements_goes_on_over_looks(virtual: Virtual) -> None:
    gate = GateSpec(name="errors", kind="prometheus", settings={}, interval=60.0, successes=4, failures=2)
    gates = ScriptedGates(answers={"errors": ("good", "bad", "good", "good", "good", "good")})
    world = World(
        [target("a/g", controls=Controls(gates_before=(gate,)))],
        outside=Outside(gates=gates, commands=ScriptedCommands()),
    )
    looks = look(virtual, world)
    assert str(world.state_of("a/g")) == "succeeded"
    moments = [at for _, at in gates.asked]
    assert len(moments) == 6, "one good one, a bad one, and then four good ones in a row"
    assert all(59 < later - earlier < 63 for earlier, later in pairwise(moments))
    assert looks.told(gev.GatePaused)["GatePaused"] >= 4
    assert looks.alive < 60, "nobody has stayed for six minutes"


def test_in_a_long_bake_a_good_gate_is_left_alone_and_a_bad_one_is_not(virtual: Virtual) -> None:
    gate = GateSpec(name="errors", kind="prometheus", settings={}, interval=10.0, successes=1, failures=2)
    good: Answer = "good"
    answers: list[Answer] = [*(good for _ in range(20)), "bad", "bad"]
    gates = ScriptedGates(answers={"errors": answers})
    world = World(
        [target("a/g", controls=Controls(bake=7200.0, gates_after=(gate,)))],
        outside=Outside(gates=gates, commands=ScriptedCommands()),
    )
    looks = look(virtual, world)
    assert str(world.state_of("a/g")) == "failed"
    moments = [at for _, at in gates.asked]
    assert all(later - earlier > 59 for earlier, later in pairwise(moments[1:20]))
    assert moments[-1] - moments[-2] < 12, "the second look at what is bad comes at the gate's own interval"
    assert len(looks.at) < 40


class TwoHours:
    """Frozen from 100 s after the beginning on."""

    def frozen(self, now: float) -> Frozen | None:
        begin = EPOCH + START + 100.0
        return Frozen(window="night", until=begin + 7200.0) if begin <= now < begin + 7200.0 else None

    def next_start(self, now: float) -> float | None:
        begin = EPOCH + START + 100.0
        return begin if now < begin else None


def test_a_freeze_is_slept_through(virtual: Virtual) -> None:
    world = World(
        [target("a/g"), target("b/g", needs=["a/g"])],
        codedeploy=ScriptedCodeDeploy({("a", "g"): Script(seconds=300.0)}),
        calendar=TwoHours(),
    )
    looks = look(virtual, world)
    assert set(world.states().values()) == {"succeeded"}
    started = world.state.targets["b/g"].deployment_started_at or 0.0
    assert 0 <= started - (EPOCH + START + 7300.0) < 30
    told = looks.told(ev.FreezeBegan, ev.RunResumed, ev.RunDetached)
    assert told == {"FreezeBegan": 1, "RunResumed": 1}, "once, however often it was looked at"
    assert looks.alive < 60


def test_a_retry_waits_for_its_time_whoever_looks_before(virtual: Virtual) -> None:
    agent = {"code": "AGENT_ISSUE", "message": "an agent was lost"}
    codedeploy = ScriptedCodeDeploy({("a", "g"): Script(seconds=20.0, status="Failed", error=agent)})
    codedeploy.choose = lambda sent: Script(seconds=5.0) if ".1" in sent["description"].split(" ")[0] else None
    codedeploy.scripts["b", "g"] = Script(seconds=900.0)
    world = World([target("a/g", retry=Retry(times=1, wait=600.0)), target("b/g")], codedeploy=codedeploy)
    look(virtual, world)
    first, second = codedeploy.of("a", "g")
    assert 600 <= second.created - first.ends < 700
    assert set(world.states().values()) == {"succeeded"}


def test_a_cancel_goes_on_over_looks(virtual: Virtual) -> None:
    """It was asked for in one look; what runs is watched to its end by the next, and nothing new starts."""
    world = World(
        [target("a/g"), target("b/g", needs=["a/g"])],
        codedeploy=ScriptedCodeDeploy({("a", "g"): Script(seconds=600.0)}),
    )
    asked = False

    async def once(engine: Phases) -> None:
        nonlocal asked
        if not asked:
            await anyio.sleep(0.1)
            asked = True
            engine.cancel(OnCancel.WAIT, reason="cancelled by somebody")

    world.meanwhile = once
    looks = look(virtual, world)
    assert world.states() == {"a/g": "succeeded", "b/g": "cancelled"}
    assert looks.told(ev.CancelRequested, ev.RunResumed) == {"CancelRequested": 1}
    assert len(looks.at) > 3


def test_traffic_is_let_go_on_in_the_look_that_finds_it_ready(virtual: Virtual) -> None:
    codedeploy = ScriptedCodeDeploy(
        {("a", "g"): Script(ready=100.0, seconds=400.0)},
        latency=lambda operation: 5.0 if operation == "ContinueDeployment" else 0.01,
    )
    world = World([target("a/g", controls=Controls(on_ready="continue"))], codedeploy=codedeploy)
    looks = look(virtual, world)
    assert set(world.states().values()) == {"succeeded"}
    assert codedeploy.calls["ContinueDeployment"] == 1
    assert looks.alive < 60
