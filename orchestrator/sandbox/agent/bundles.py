"""Where an agent's bundles come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestrator.sandbox.errors import Json


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A bundle to unpack."""

    kind: str
    """tar, tgz or zip; or directory."""
    chunks: Callable[[], Iterable[bytes]] = tuple
    """Its bytes, read in a worker thread."""
    folder: Path | None = None
    """Of a directory, instead of bytes."""


class Bundles(Protocol):
    """What the agents download from."""

    async def fetch(self, revision: Json) -> Bundle:
        """Raises `AgentError` when the revision isn't there, or isn't the one that was meant."""
        ...
