"""What can be planned and run: a manifest's release, a saved plan, a promotion."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestrator.app.accounts import Accounts
from orchestrator.app.services import Services
from orchestrator.app.stores import State
from orchestrator.core.events import Event
from orchestrator.core.model import Concurrency, Policy, Target
from orchestrator.core.plan import Plan
from orchestrator.core.ports import Artifacts, CallObserver


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Planned:
    """A plan, and the connections that it was made with."""

    plan: Plan
    services: Services
    accounts: Accounts
    again: Callable[[], Awaitable[Plan]]
    """Makes the plan anew, from what stands there now."""
    artifacts: Callable[[Callable[[Event], None]], Artifacts]
    """Makes what is deployed; is given where events go."""
    remarks: Sequence[str] = field(default=())
    """For people, below the plan."""
    unverified: Sequence[str] = field(default=())
    """What hasn't been proved where it must have gone out first; nothing may be done then."""


class Undertaking(Protocol):
    """What `apply` runs."""

    @property
    def targets(self) -> tuple[Target, ...]: ...

    @property
    def policy(self) -> Policy: ...

    @property
    def concurrency(self) -> Concurrency: ...

    @property
    def state(self) -> str | None:
        """Where its runs are kept, if `--state` doesn't say; None: in the usual folder."""
        ...

    @property
    def is_rehearsal(self) -> bool:
        """In the embedded sandbox, where nobody's locks and freezes count."""
        ...

    @property
    def is_saved(self) -> bool:
        """Its plan is done exactly, or not at all: it is looked at again once nobody else can change anything."""
        ...

    @property
    def chosen(self) -> Mapping[str, Any]:
        """What a resume has to know beside the plan."""
        ...

    def open(
        self, env: Mapping[str, str], state: State, observer: CallObserver | None = None, *, preflight: bool
    ) -> AbstractAsyncContextManager[Planned]:
        """Its plan. Only reads."""
        ...
