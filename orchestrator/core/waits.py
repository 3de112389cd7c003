"""Why a target isn't running, or isn't done: read from the state alone, so that every view says the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from orchestrator.core.freezing import moment
from orchestrator.core.gate_state import GateRun
from orchestrator.core.model import TargetState
from orchestrator.core.state import RunState, TargetRun

S = TargetState

Kind = Literal[
    "need", "bundle", "pool", "limit", "gate", "approval", "hook", "bake",
    "group", "throttle", "answer", "traffic", "freeze", "run",
]  # fmt: skip
"""need: other targets; group: it is busy; answer: CodeDeploy's; run: nothing starts any more."""

RECENT = 60.0
"""Seconds for which a throttle is worth a word."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """What a target waits for."""

    kind: Kind
    text: str
    """For people, without the names."""
    names: tuple[str, ...] = ()
    """Targets."""


def wait_of(target: TargetRun, state: RunState) -> Wait | None:
    """None: for nothing, or for the end of its own deployment."""
    if target.state.is_final or target.state is S.ROLLING_BACK:
        return None
    return _hook(target, state) or _gate(target, state) or _by_state(target, state)


def _by_state(target: TargetRun, state: RunState) -> Wait | None:
    match target.state:
        case S.BLOCKED:
            return Wait(kind="group", text=target.reason or "something outside this run")
        case S.PENDING | S.UPLOADING:
            return _before_start(target, state)
        case S.STARTING:
            return _answer(target, state)
        case S.BAKING:
            return Wait(kind="bake", text="the end of its bake")
        case S.RUNNING if target.status == "Ready":
            return Wait(kind="traffic", text="somebody to let its traffic go on: the deployment is ready")
        case _:
            return None


# --- gates and hooks -------------------------------------------------------------------------------------------------


def _hook(target: TargetRun, state: RunState) -> Wait | None:
    key = state.gates.running.get(target.id)
    if key is None:
        return None
    return Wait(kind="hook", text=f"its {key[1]} hook `{' '.join(state.gates.hooks[key].command)}`")


def _gate(target: TargetRun, state: RunState) -> Wait | None:
    found = list(state.gates.open_at(target.id))
    if not found:
        return None
    people = all(gate.kind == "approval" for gate in found)
    bake = "its bake, and " if target.state is S.BAKING and (target.bake_until or 0) > (state.last_ts or 0) else ""
    text = bake + ", ".join(describe_gate(gate, state.run) for gate in found)
    return Wait(kind="approval" if people else "gate", text=text)


def describe_gate(gate: GateRun, run: str) -> str:
    """The gate with what is known of it; an approval with the command that gives it."""
    if gate.kind == "approval":
        return f"approval {gate.gate} (orchestrator approve {run} {gate.gate})"
    last = f" ({gate.verdict}: {gate.reason})" if gate.verdict is not None else ""
    return f"gate {gate.gate}{last}"


# --- before its start ------------------------------------------------------------------------------------------------


def _before_start(target: TargetRun, state: RunState) -> Wait:
    open_ones = tuple(_open_needs(target, state))
    if open_ones:
        return Wait(kind="need", text="", names=open_ones)
    if target.state is S.UPLOADING:
        return Wait(kind="bundle", text="its bundle")
    if state.closed_reason is not None:
        return Wait(kind="run", text=f"nothing: {state.closed_reason}")
    if state.frozen is not None:
        text = f"the end of the freeze {state.frozen.window}, {moment(state.frozen.until)}"
        return Wait(kind="freeze", text=text)
    of_run = list(state.gates.open_at(None))
    if of_run:
        people = all(gate.kind == "approval" for gate in of_run)
        text = "the run: " + ", ".join(describe_gate(gate, state.run) for gate in of_run)
        return Wait(kind="approval" if people else "gate", text=text)
    return Wait(kind="bundle", text="its revision") if target.revision is None else _slot(target, state)


def _open_needs(target: TargetRun, state: RunState) -> Iterator[str]:
    for name in dict.fromkeys((*target.needs, *target.after)):
        other = state.targets.get(name)
        if other is None or other.lets_others_go:
            continue
        if name in target.needs or not other.state.is_final:
            yield name


def _slot(target: TargetRun, state: RunState) -> Wait:
    """Which limit is full; the targets that take its places."""
    if not any(state.limits.get(layer) for layer in ("deployments", "per_region", "pools")):
        return Wait(kind="limit", text="a free slot")
    running = [other for other in state.targets.values() if _holds_place(other, state)]
    limits = state.limits
    layers: tuple[tuple[Kind, str, int | None, list[TargetRun]], ...] = (
        ("pool", f"the pool {target.pool}", (limits.get("pools") or {}).get(target.pool), _in_pool(running, target)),
        ("limit", target.location, limits.get("per_region"), [o for o in running if o.location == target.location]),
        ("limit", "concurrency.deployments", limits.get("deployments"), running),
    )
    for kind, name, limit, holders in layers:
        if limit is not None and len(holders) >= limit:
            text = f"a place in {name}: {len(holders)} of {limit} taken by "
            return Wait(kind=kind, text=text, names=tuple(other.id for other in holders))
    return Wait(kind="limit", text="a free slot")


def _in_pool(running: list[TargetRun], target: TargetRun) -> list[TargetRun]:
    return [other for other in running if other.pool == target.pool]


def _holds_place(other: TargetRun, state: RunState) -> bool:
    if other.state is S.BLOCKED:  # behind a gate it has none; before a busy group it does
        return next(state.gates.open_at(other.id), None) is None
    return other.state in {S.STARTING, S.RUNNING}


def _answer(target: TargetRun, state: RunState) -> Wait:
    throttled = state.throttled_at.get(target.region)
    if throttled is not None and (state.last_ts or 0.0) - throttled < RECENT:
        rate = state.budget_rates[target.region]
        return Wait(kind="throttle", text=f"CodeDeploy's answer; {target.region} is throttled to {rate:.1f} calls/s")
    return Wait(kind="answer", text="CodeDeploy's answer")
