"""What a page is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from orchestrator.core.state import RunState
from orchestrator.web.chronicle import Told


@dataclass(frozen=True, kw_only=True, slots=True)
class RunView:
    """One run as it stands."""

    run: str
    """Its id: also where nothing else is known."""
    state: RunState = field(default_factory=RunState)
    told: Sequence[Told] = ()
    """The last events in words, the oldest first."""
    alive: bool = False
    """A process carries it on, as far as can be known."""
    note: str | None = None
    """What of its journal was left out."""
    problem: str | None = None
    """Why its journal can't be read; what stands in `state` is then as much as could."""
    rollback: RunView | None = None
    """The run that rolls this one back, where its journal is there to be read."""

    def with_rollback(self, rollback: RunView) -> RunView:
        return replace(self, rollback=rollback)

    def carried_on(self, *, alive: bool) -> RunView:
        """The same, where more is known of whether a process carries it on."""
        return replace(self, alive=alive)
