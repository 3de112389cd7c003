"""From `gates`, `hooks`, `bake`, `wait_for` and `on_ready` to what surrounds a target, or the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator.core.controls import COMMAND_LIMIT, LIMIT, Controls, GateSpec, HookSpec, WaitFor
from orchestrator.manifest.gate_models import Gate, GateUse, Hook, HookUse
from orchestrator.manifest.levels import Level
from orchestrator.manifest.nodes import Map, Node
from orchestrator.manifest.targets import setting
from orchestrator.manifest.templates import Context, evaluate
from orchestrator.manifest.validation import report

Names = Mapping[str, str]
COMMON = {"type", "interval", "successes", "failures", "timeout", "limit"}


class Declared(BaseModel):
    """One gate, for its validation by itself."""

    model_config = ConfigDict(defer_build=True)

    gate: Gate


class Gates:
    """The gates that a manifest declares; what in them depends on the target is expanded for each."""

    def __init__(self, node: Node | None, declared: Mapping[str, Gate], context: Context) -> None:
        """`declared`: validated with samples in place of a target's names."""
        self._nodes = node.items if isinstance(node, Map) else {}
        self._declared = declared
        self._context = context
        self._ready: dict[str, GateSpec] = {}

    def of(self, used: Iterable[str], names: Names) -> tuple[GateSpec, ...]:
        """Those that are declared, each once, in their order."""
        found = (self._gate(name, names) for name in dict.fromkeys(used) if name in self._declared)
        return tuple(gate for gate in found if gate is not None)

    def _gate(self, name: str, names: Names) -> GateSpec | None:
        node = self._nodes.get(name)
        if node is not None and node.dynamic and self._context.templates.names(node):
            return self._expanded(name, node, names)
        if name not in self._ready:
            self._ready[name] = spec(name, self._declared[name])
        return self._ready[name]

    def _expanded(self, name: str, node: Node, names: Names) -> GateSpec | None:
        data = evaluate(node, ("gates", name), self._context, names)
        try:
            return spec(name, Declared.model_validate({"gate": data}).gate)
        except ValidationError as error:
            report(error, Declared, node, ("gates", name), self._context.problems)
            return None


def spec(name: str, gate: Gate) -> GateSpec:
    values: dict[str, Any] = gate.model_dump()
    usual = COMMAND_LIMIT if gate.type == "command" else LIMIT
    return GateSpec(
        name=name,
        kind=gate.type,
        settings={key: value for key, value in values.items() if key not in COMMON and value is not None},
        interval=values.get("interval", 30.0),
        successes=values.get("successes", 1),
        failures=values.get("failures", 1),
        timeout=values["timeout"],
        limit=values.get("limit") or usual,
    )


def controls_of_target(levels: Sequence[Level], gates: Gates, names: Names) -> Controls:
    """`gates` and `hooks` of all levels add up, from the defaults to the group."""
    uses = [use for level in levels if isinstance(use := level.values.get("gates"), GateUse)]
    hooks = [use for level in levels if isinstance(use := level.values.get("hooks"), HookUse)]
    return Controls(
        **_surroundings(uses, hooks, gates, names),
        bake=setting(levels, "bake", float) or 0.0,
        wait_for=cast("WaitFor", setting(levels, "wait_for", str) or "succeeded"),
        on_ready="continue" if setting(levels, "on_ready", str) == "continue" else "wait",
    )


def controls_of_run(use: GateUse | None, hooks: HookUse | None, gates: Gates, names: Names) -> Controls:
    return Controls(**_surroundings([use] if use else [], [hooks] if hooks else [], gates, names))


def _surroundings(uses: Sequence[GateUse], hooks: Sequence[HookUse], gates: Gates, names: Names) -> dict[str, Any]:
    return {
        "gates_before": gates.of([name for use in uses for name in use.before], names),
        "gates_after": gates.of([name for use in uses for name in use.after], names),
        "hooks_before": _hooks(hook for use in hooks for hook in use.before),
        "hooks_after": _hooks(hook for use in hooks for hook in use.after),
        "hooks_on_failure": _hooks(hook for use in hooks for hook in use.on_failure),
    }


def _hooks(hooks: Iterable[Hook]) -> tuple[HookSpec, ...]:
    return tuple(HookSpec(command=tuple(hook.command), timeout=hook.timeout) for hook in hooks)
