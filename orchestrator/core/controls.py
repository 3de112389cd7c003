"""Gates, hooks, bake and blue/green settings of a target or of a run, everything about them resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

GateKind = Literal["cloudwatch_alarm", "prometheus", "http", "command", "approval"]
WaitFor = Literal["succeeded", "ready", "traffic_shifted"]
HookTime = Literal["before", "after", "on_failure"]

LIMIT = 30.0
"""Seconds that one measurement may take where the gate doesn't say."""

COMMAND_LIMIT = 600.0
"""The same, for a command."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateSpec:
    """A gate as one target, or the run, asks it."""

    name: str
    kind: GateKind
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What only its kind has, by the manifest's names: `url`, `query`, `names`, `command`, `message` and so on."""
    interval: float = 30.0
    """Seconds between two measurements."""
    successes: int = 1
    failures: int = 1
    timeout: float | None = None
    limit: float = LIMIT
    """Seconds that one measurement may take."""
    is_lenient: bool = False
    """Passes at the end of its bake although it couldn't be asked; only the group's own alarms do."""

    @property
    def is_approval(self) -> bool:
        return self.kind == "approval"


@dataclass(frozen=True, kw_only=True, slots=True)
class HookSpec:
    command: tuple[str, ...]
    timeout: float | None = None
    """Seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Controls:
    """What surrounds a deployment, or a run."""

    gates_before: tuple[GateSpec, ...] = ()
    gates_after: tuple[GateSpec, ...] = ()
    hooks_before: tuple[HookSpec, ...] = ()
    hooks_after: tuple[HookSpec, ...] = ()
    hooks_on_failure: tuple[HookSpec, ...] = ()
    bake: float = 0.0
    """Seconds."""
    wait_for: WaitFor = "succeeded"
    on_ready: Literal["wait", "continue"] = "wait"

    @property
    def follows_traffic(self) -> bool:
        """Whether anything is to be done before the deployment's end."""
        return self.wait_for != "succeeded" or self.on_ready == "continue"

    @property
    def gates(self) -> tuple[GateSpec, ...]:
        return (*self.gates_before, *self.gates_after)

    def hooks(self, when: HookTime) -> tuple[HookSpec, ...]:
        match when:
            case "before":
                return self.hooks_before
            case "after":
                return self.hooks_after
            case "on_failure":
                return self.hooks_on_failure

    def traffic_only(self) -> Controls:
        """What a rollback keeps: without `on_ready` a blue/green deployment would wait for somebody for ever."""
        return Controls(on_ready=self.on_ready)


NO_CONTROLS = Controls()


def controls_to_dict(controls: Controls) -> dict[str, Any] | None:
    """JSON-ready; None where there is nothing. `controls_from_dict` reads it back."""
    if controls == NO_CONTROLS:
        return None
    return {
        **{name: [_gate_to_dict(gate) for gate in getattr(controls, name)] for name in _GATES},
        **{name: [_hook_to_dict(hook) for hook in getattr(controls, name)] for name in _HOOKS},
        "bake": controls.bake,
        "wait_for": controls.wait_for,
        "on_ready": controls.on_ready,
    }


def controls_from_dict(data: Mapping[str, Any] | None) -> Controls:
    """Also of a journal that knows nothing of them."""
    if not data:
        return NO_CONTROLS
    values: dict[str, Any] = {name: tuple(GateSpec(**gate) for gate in data.get(name, ())) for name in _GATES}
    values |= {name: tuple(_hook(hook) for hook in data.get(name, ())) for name in _HOOKS}
    values |= {name: data[name] for name in ("bake", "wait_for", "on_ready") if name in data}
    return Controls(**values)


_GATES: Sequence[str] = ("gates_before", "gates_after")
_HOOKS: Sequence[str] = ("hooks_before", "hooks_after", "hooks_on_failure")


def _gate_to_dict(gate: GateSpec) -> dict[str, Any]:
    return {
        "name": gate.name,
        "kind": gate.kind,
        "settings": dict(gate.settings),
        "interval": gate.interval,
        "successes": gate.successes,
        "failures": gate.failures,
        "timeout": gate.timeout,
        "limit": gate.limit,
    }


def _hook_to_dict(hook: HookSpec) -> dict[str, Any]:
    return {"command": list(hook.command), "timeout": hook.timeout}


def _hook(data: Mapping[str, Any]) -> HookSpec:
    return HookSpec(command=tuple(data["command"]), timeout=data["timeout"])
