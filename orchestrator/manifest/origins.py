"""Where the settings of targets were written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.manifest.levels import Level
from orchestrator.manifest.models import Manifest
from orchestrator.manifest.nodes import Map, Node, Place, Scalar, descend
from orchestrator.manifest.release import Position
from orchestrator.manifest.targets import absolute


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

    def appspec_path(self, target_id: str) -> Path | None:
        node, _ = self.origins[target_id].find(("revision", "appspec"))
        return None if not isinstance(node, Scalar) or node.dynamic else absolute(node.text, node.file)
