"""What is known of gates, approvals, hooks and bakes: a part of the run's state, folded from its events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from orchestrator.core import gate_events as ev
from orchestrator.core.controls import Controls
from orchestrator.core.events import Event

GateKey = tuple[str | None, str, str]
"""Target (None: the run itself), phase, gate."""

HookKey = tuple[str | None, str, int]


@dataclass(kw_only=True, slots=True)
class GateRun:
    """One gate where it stands."""

    gate: str
    target: str | None
    phase: str
    kind: str
    since: float
    """Epoch seconds at which it began to wait."""
    timeout: float | None = None
    held: float = 0.0
    message: str | None = None
    verdict: str | None = None
    """Of the last measurement."""
    reason: str = ""
    passed: bool | None = None
    """None: not decided yet."""
    paused: ev.GatePaused | None = None
    """How its measurements stood when a process went that only looks in."""

    @property
    def key(self) -> GateKey:
        return (self.target, self.phase, self.gate)

    @property
    def deadline(self) -> float | None:
        """Epoch seconds."""
        return None if self.timeout is None else self.since + self.held + self.timeout


@dataclass(kw_only=True, slots=True)
class HookRun:
    """One hook where it stands."""

    command: tuple[str, ...]
    finished: ev.HookFinished | None = None


@dataclass(kw_only=True, slots=True)
class GateState:
    gates: dict[GateKey, GateRun] = field(default_factory=dict)
    hooks: dict[HookKey, HookRun] = field(default_factory=dict)
    approvals: dict[str, ev.ApprovalDecided] = field(default_factory=dict)
    """By the gate's name."""
    at: dict[str | None, list[GateRun]] = field(default_factory=dict)
    """The gates by their targets: views ask for those of each."""
    running: dict[str | None, HookKey] = field(default_factory=dict)
    """The hook without an end, by its target."""

    def open_at(self, target: str | None) -> Iterator[GateRun]:
        """Those of the target (None: the run's own) that are asked and not decided, in the order in which they began.

        Approvals of people come last: what is measured is what may change by itself.
        """
        found = [gate for gate in self.at.get(target, ()) if gate.passed is None]
        return iter(sorted(found, key=lambda gate: gate.kind == "approval"))

    def asked_since(self, gate: str) -> tuple[float, float | None] | None:
        """When an approval began to be waited for, and until when it may be given, in epoch seconds; None: not yet."""
        found = [run for run in self.gates.values() if run.gate == gate and run.kind == "approval"]
        if not found:
            return None
        first = min(found, key=lambda run: run.since)
        return first.since, first.deadline

    def forget(self, target: str) -> None:
        """Another deployment of it begins: what was asked about the one before says nothing of this one."""
        kept = [gate for gate in self.at.pop(target, []) if gate.phase == "before"]
        self.gates = {key: gate for key, gate in self.gates.items() if key[0] != target or key[1] == "before"}
        if kept:
            self.at[target] = kept

    def is_through(self, controls: Controls) -> bool:
        """Whether the run's own after-gates have passed and its after-hooks have run."""
        gates = [self.gates.get((None, "after", gate.name)) for gate in controls.gates_after]
        hooks = [self.hooks.get((None, "after", number)) for number in range(len(controls.hooks_after))]
        return all(gate is not None and gate.passed for gate in gates) and all(
            hook is not None and hook.finished is not None for hook in hooks
        )

    def failed_at(self, target: str | None) -> str | None:
        """Why a gate or a hook has failed there."""
        for gate in self.at.get(target, ()):
            if gate.passed is False:
                return f"gate {gate.gate}: {gate.reason}"
        for (owner, when, _), hook in self.hooks.items():
            if owner == target and when != "on_failure" and hook.finished is not None and not hook.finished.ok:
                return hook.finished.reason
        return None

    def apply(self, event: Event, ts: float) -> None:
        match event:
            case ev.GateWaiting():
                self._wait(event, ts)
            case ev.GatePaused() | ev.GateMeasured():
                self._measure(event)
            case ev.GatePassed():
                self._decide(event, event.reason, passed=True)
            case ev.GateFailed():
                self._decide(event, event.reason, passed=False)
            case ev.ApprovalDecided():
                self.approvals.setdefault(event.gate, event)
            case ev.HookStarted():
                key = (event.target, event.when, event.number)
                self.hooks[key], self.running[event.target] = HookRun(command=event.command), key
            case ev.HookFinished():
                if (hook := self.hooks.get((event.target, event.when, event.number))) is not None:
                    hook.finished = event
                    self.running.pop(event.target, None)
            case _:
                pass

    def _wait(self, event: ev.GateWaiting, ts: float) -> None:
        gate = GateRun(
            gate=event.gate,
            target=event.target,
            phase=event.phase,
            kind=event.kind,
            since=ts,
            timeout=event.timeout,
            held=event.held,
            message=event.message,
        )
        self.gates[_key(event)] = gate
        self.at.setdefault(event.target, []).append(gate)

    def _measure(self, event: ev.GatePaused | ev.GateMeasured) -> None:
        gate = self.gates.get(_key(event))
        if gate is None:
            return
        if isinstance(event, ev.GatePaused):
            gate.paused = event
        else:
            gate.verdict, gate.reason = event.verdict, event.reason

    def _decide(self, event: ev.GateEvent, reason: str, *, passed: bool) -> None:
        if (gate := self.gates.get(_key(event))) is not None:
            gate.passed, gate.reason = passed, reason


def _key(event: ev.GateEvent) -> GateKey:
    return (event.target, event.phase, event.gate)
