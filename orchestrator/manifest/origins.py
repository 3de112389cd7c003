"""Where the settings of targets were written, and which of them this version can't do yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from orchestrator.core.errors import Finding
from orchestrator.core.model import Target
from orchestrator.manifest.gate_models import GateUse, HookUse
from orchestrator.manifest.levels import Level
from orchestrator.manifest.models import Manifest
from orchestrator.manifest.nodes import Map, Node, Place, Scalar, descend
from orchestrator.manifest.problems import Problems
from orchestrator.manifest.release import Position
from orchestrator.manifest.targets import setting

NOT_YET = "not supported yet"
HINT = "this version can validate it, but not do it; take it away to go on"


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Where one target was written."""

    key: Scalar
    """The group's key, or its name in the list of groups."""
    place: Place
    levels: Sequence[Level]
    """From the defaults to the group."""

    def find(self, path: Place) -> tuple[Node, Place]:
        """The nearest level's node for a setting, and its place; the target's own where nothing says it."""
        for level in reversed(self.levels):
            if path and (node := descend(level.node, path)) is not None:
                return node, (*level.place, *path)
        return self.key, self.place


@dataclass(frozen=True, slots=True, eq=False)
class WrittenOrigins:
    """Fulfils `release.Origins`."""

    root: Map
    environment: str
    manifest: Manifest
    origins: dict[str, Origin] = field(default_factory=dict)

    def position(self, target_id: str, setting: str) -> Position:
        """Raises `KeyError` for a target that the release doesn't have."""
        node, _ = self.origins[target_id].find(tuple(setting.split(".")) if setting else ())
        return Position(file=node.file, line=node.line, column=node.column)

    def unsupported(self, targets: Iterable[Target]) -> list[Finding]:
        problems = Problems()
        for target in targets:
            origin = self.origins[target.id]
            for path, message in unsupported_settings(origin.levels):
                node, place = origin.find(path)
                problems.add(node, place, f"{message} {NOT_YET}", HINT)
        return problems.findings


def unsupported_settings(levels: Sequence[Level]) -> Iterable[tuple[Place, str]]:
    """The paths of a target's settings that can't be done yet, each with the beginning of a sentence."""
    for level in levels:
        gates, hooks = level.values.get("gates"), level.values.get("hooks")
        if isinstance(gates, GateUse) and (gates.before or gates.after):
            yield ("gates",), "gates are"
        if isinstance(hooks, HookUse) and (hooks.before or hooks.after or hooks.on_failure):
            yield ("hooks",), "hooks are"
    if setting(levels, "bake", float):
        yield ("bake",), "baking is"
    if (wait_for := setting(levels, "wait_for", str)) not in {None, "succeeded"}:
        yield ("wait_for",), f"wait_for: {wait_for} is"
    if setting(levels, "on_ready", str) == "continue":
        yield ("on_ready",), "on_ready: continue is"
