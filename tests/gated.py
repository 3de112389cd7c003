"""Random worlds with gates, bakes, hooks and approvals, and what must hold of them besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from random import Random

import anyio
from chaos import Chaos, chaos
from invariants import journal_violations, once
from world import World

from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.approvals import GRACE, Decision
from orchestrator.core.controls import Controls, GateSpec, HookSpec
from orchestrator.core.errors import ExitCode
from orchestrator.core.measuring import Answer, Measurement
from orchestrator.core.model import Location, Outcome, TargetState
from orchestrator.core.outcome import outcome_of
from orchestrator.core.phases import Phases
from orchestrator.core.ports import Ran
from orchestrator.core.result import exit_code_of
from orchestrator.core.stages import Outside
from orchestrator.core.state import fold
from orchestrator.testing import EPOCH

S = TargetState
ANSWERS: tuple[Answer, ...] = ("good", "good", "good", "bad", "unknown")
APPROVED_BY = "somebody"
ROUNDED = 0.002
"""Seconds: the journal's times are cut to milliseconds."""


@dataclass
class Witness:
    """Gates and commands that answer at random, and remember what they said and when (epoch seconds)."""

    random: Random
    bent: Mapping[str, tuple[Answer, ...]]
    """What each gate answers from."""
    said: list[tuple[str, str, float, Answer]] = field(default_factory=list)
    """Target, gate, moment, answer."""
    begun: list[tuple[str, str, float]] = field(default_factory=list)
    """Target, command, moment."""
    ended: list[tuple[str, str, float, bool]] = field(default_factory=list)

    async def measure(self, gate: GateSpec, location: Location | None, facts: Mapping[str, str]) -> Measurement:
        await anyio.sleep(self.random.choice([0.0, 0.1, 2.0, 40.0]))
        verdict = self.random.choice(self.bent[gate.name])
        self.said.append((facts.get("ORCHESTRATOR_TARGET", ""), gate.name, EPOCH + anyio.current_time(), verdict))
        return Measurement(verdict, f"it is {verdict}")

    async def run(self, hook: HookSpec, facts: Mapping[str, str]) -> Ran:
        target = facts.get("ORCHESTRATOR_TARGET", "")
        self.begun.append((target, hook.command[0], EPOCH + anyio.current_time()))
        await anyio.sleep(self.random.choice([0.0, 1.0, 20.0]))
        ok = self.random.random() < 0.9
        self.ended.append((target, hook.command[0], EPOCH + anyio.current_time(), ok))
        return Ran(ok=ok, reason="ended", exit_code=int(not ok))


@dataclass
class Gated:
    chaos: Chaos
    witness: Witness
    decisions: dict[str, tuple[float, bool]]
    """When each approval is given (seconds from the beginning of a process), and whether it is a yes."""
    deaths: int = 0
    """How many processes have gone in the middle of it."""


def gated(seed: int) -> Gated:
    random = Random(seed ^ 0x6A7E)  # noqa: S311 - a scenario, not a secret
    made = chaos(seed, orders=random.random() < 0.3)
    specs = {name: _gate(random, name) for name in ("errors", "smoke", "cab", "dba")}
    bent = {name: (*(random.choice(ANSWERS) for _ in range(5)), "good") for name in specs}
    witness = Witness(random, bent)
    world = made.world
    world.targets = [replace(each, controls=_controls(random, specs, each.id)) for each in world.targets]
    world.outside = Outside(gates=witness, commands=witness)
    if random.random() < 0.3:
        world.controls = replace(_controls(random, specs, "run"), bake=0.0)
    decisions = {
        name: (random.uniform(0, 60), random.random() < 0.8) for name in ("cab", "dba") if random.random() < 0.8
    }
    found = Gated(made, witness, decisions)
    visits = world.meanwhile
    assert visits is not None

    async def meanwhile(engine: Phases) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(visits, engine)
            for gate, (after, approved) in decisions.items():
                tasks.start_soon(_decide, engine, gate, after, approved)

    world.meanwhile = meanwhile
    return found


async def _decide(engine: Phases, gate: str, after: float, approved: bool) -> None:
    await anyio.sleep(after)
    now = EPOCH + anyio.current_time()
    engine.approvals.decide(Decision(gate=gate, approved=approved, by=APPROVED_BY, given_at=now))


def _gate(random: Random, name: str) -> GateSpec:
    if name in {"cab", "dba"}:
        return GateSpec(name=name, kind="approval", timeout=random.choice([None, 30.0, 400.0]))
    return GateSpec(
        name=name,
        kind="http",
        interval=random.choice([1.0, 10.0]),
        successes=random.choice([1, 2, 4]),
        failures=random.choice([1, 2, 3]),
        timeout=random.choice([100.0, 300.0]),  # without one a gate may be asked for ever, and these worlds must end
    )


def _controls(random: Random, specs: Mapping[str, GateSpec], owner: str) -> Controls:
    def some(chance: float) -> tuple[GateSpec, ...]:
        return tuple(spec for spec in specs.values() if random.random() < chance)

    def hook(when: str, chance: float) -> tuple[HookSpec, ...]:
        return (HookSpec(command=(f"{owner} {when}",)),) if random.random() < chance else ()

    return Controls(
        gates_before=some(0.15),
        gates_after=some(0.15),
        hooks_before=hook("before", 0.2),
        hooks_after=hook("after", 0.2),
        hooks_on_failure=hook("on_failure", 0.3),
        bake=random.choice([0.0, 0.0, 0.0, 30.0, 90.0]),
    )


# --- what must hold -------------------------------------------------------------------------------------------------


def gate_violations(found: Gated) -> list[str]:
    """Everything that is wrong with the run; empty: nothing."""
    world = found.chaos.world
    world.codedeploy.catch_up()
    return [
        *_starts(found),
        *_dependents(found),
        *_verdicts(found),
        *_bakes(found),
        *_approvals(found),
        *_hooks(found),
        *_outcome(world),
        *journal_violations(found.chaos),
        *once(found.chaos),
        *(f"{token}: created before its intent was durable" for token in found.chaos.faults.created_before_durable),
    ]


def _starts(found: Gated) -> Iterator[str]:
    """Nothing starts before its gates have passed, by the journal, nor the run's own."""
    records = found.chaos.world.journal.records
    run_gates = {gate.name for gate in found.chaos.world.controls.gates_before}
    for each in found.chaos.world.targets:
        wanted = {(each.id, gate.name) for gate in each.controls.gates_before} | {(None, name) for name in run_gates}
        passed: set[tuple[str | None, str]] = set()
        for record in records:
            match record.event:
                case gev.GatePassed(phase="before") as event:
                    passed.add((event.target, event.gate))
                case ev.DeploymentIntended(target=each.id) if not wanted <= passed:
                    yield f"{each.id}: intended before {sorted(map(str, wanted - passed))} had passed"


def _dependents(found: Gated) -> Iterator[str]:
    """What needs a target starts only after its bake and its gates: after its verdict in the journal."""
    ended: dict[str, int] = {}
    intended: dict[str, int] = {}
    for record in found.chaos.world.journal.records:
        if isinstance(record.event, ev.TargetFinished) and record.event.state.is_good:
            ended.setdefault(record.event.target, record.seq)
        if isinstance(record.event, ev.DeploymentIntended):
            intended.setdefault(record.event.target, record.seq)
    for each in found.chaos.world.targets:
        for need in each.needs:
            if each.id in intended and intended[each.id] < ended.get(need, 1 << 60):
                yield f"{each.id}: intended before {need} had its verdict"


def _verdicts(found: Gated) -> Iterator[str]:
    """A gate passes only after a good answer, and fails only after a bad one or when its time was up."""
    since: dict[tuple[str | None, str, str], tuple[float, gev.GateWaiting]] = {}
    for record in found.chaos.world.journal.records:
        event = record.event
        if isinstance(event, gev.GateWaiting):
            since.setdefault((event.target, event.phase, event.gate), (record.ts, event))
        if not isinstance(event, gev.GatePassed | gev.GateFailed):
            continue
        began, waiting = since[event.target, event.phase, event.gate]
        if waiting.kind == "approval":
            continue
        if isinstance(event, gev.GatePassed) and record.ts < began + waiting.held - ROUNDED:
            yield f"{event.target} {event.gate}: passed in the middle of its bake"
        answers = [
            verdict
            for target, gate, moment, verdict in found.witness.said
            if (target or None, gate) == (event.target, event.gate) and began - ROUNDED <= moment <= record.ts + ROUNDED
        ]
        told = [verdict for verdict in answers if verdict != "unknown"]
        if isinstance(event, gev.GatePassed) and (not told or told[-1] != "good"):
            yield f"{event.target} {event.gate}: passed, and the answers were {answers}"
        late = waiting.timeout is not None and record.ts >= began + waiting.held + waiting.timeout
        if isinstance(event, gev.GateFailed) and not late and (not told or told[-1] != "bad"):
            yield f"{event.target} {event.gate}: failed in time, and the answers were {answers}"


def _bakes(found: Gated) -> Iterator[str]:
    began: dict[str, tuple[float, float]] = {}
    for record in found.chaos.world.journal.records:
        event = record.event
        if isinstance(event, gev.BakeStarted):
            if event.target in began:
                yield f"{event.target}: bakes twice"
            began[event.target] = (record.ts, event.seconds)
        if isinstance(event, ev.TargetFinished) and event.state is S.SUCCEEDED and event.target in began:
            start, seconds = began[event.target]
            if record.ts < start + seconds - 0.01:
                yield f"{event.target}: succeeded {start + seconds - record.ts:.1f} s before the end of its bake"


def _approvals(found: Gated) -> Iterator[str]:
    decided: dict[str, gev.ApprovalDecided] = {}
    asked: dict[str, tuple[float, float | None]] = {}
    for record in found.chaos.world.journal.records:
        event = record.event
        if isinstance(event, gev.GateWaiting) and event.kind == "approval" and event.gate not in asked:
            deadline = None if event.timeout is None else record.ts + event.held + event.timeout
            asked[event.gate] = (record.ts, deadline)
        if isinstance(event, gev.ApprovalDecided):
            if event.gate in decided:
                yield f"{event.gate}: decided twice"
            decided[event.gate] = event
        if isinstance(event, gev.GatePassed) and event.gate in {"cab", "dba"}:
            made = decided.get(event.gate)
            if made is None or not made.approved:
                yield f"{event.gate}: passed, and nobody had approved it"


def _hooks(found: Gated) -> Iterator[str]:
    """At most once, but for those whose process went in the middle of them."""
    left = sum(isinstance(record.event, ev.RunResumed) for record in found.chaos.world.journal.records)
    went = 1 + found.deaths + left
    finished: dict[tuple[str | None, str, int], int] = {}
    for record in found.chaos.world.journal.records:
        event = record.event
        if isinstance(event, gev.HookStarted) and (event.target, event.when, event.number) in finished:
            yield f"{event.command}: run again, and its end was known"
        if isinstance(event, gev.HookFinished):
            finished[event.target, event.when, event.number] = record.seq
    for command in {command for _, command, _ in found.witness.begun}:
        times = sum(name == command for _, name, _ in found.witness.begun)
        if times > went:
            yield f"{command}: run {times} times by {went} processes"


def _outcome(world: World) -> Iterator[str]:
    state = world.state
    code = exit_code_of(state)
    if state.is_finished and (state.outcome, state.exit_code) != (outcome_of(state), int(code)):
        yield f"finished as {state.outcome} {state.exit_code}, and is {outcome_of(state)} {code}"
    if fold(world.journal.records).gates != state.gates:
        yield "what is known of gates is not the fold of the journal"
    if not state.is_finished and state.detached is None and state.blocked is None:
        yield f"ended without an end: {outcome_of(state)}"
    if state.blocked is not None:
        if outcome_of(state) is not Outcome.BLOCKED:
            yield f"blocked, and the outcome is {outcome_of(state)}"
        open_gates = {gate.gate for gate in state.gates.gates.values() if gate.passed is None}
        if not set(state.blocked.gates) <= open_gates:
            yield f"blocked by {state.blocked.gates}, and open are {open_gates}"
        moving = [run.id for run in state.targets.values() if run.state is S.RUNNING or run.intent is not None]
        if moving:
            yield f"blocked, and {moving} still go on"
    good = all(run.state.is_good for run in state.targets.values())
    failed = state.gates.failed_at(None) is not None
    if state.is_finished and (code is ExitCode.OK) != (good and not failed):
        yield f"exit code {code}, all good is {good}, and of the run's own something failed is {failed}"


__all__ = ["GRACE", "Gated", "gate_violations", "gated"]
