"""What the deployment engine asks of instances that really deploy. `orchestrator.sandbox.agent` is one that does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from orchestrator.sandbox.errors import Json
from orchestrator.sandbox.lifecycle import Diagnostics


@dataclass(frozen=True, kw_only=True, slots=True)
class DeploymentSpec:
    """What the service tells an agent about a deployment. The same for every instance and event of it."""

    deployment_id: str
    application: str
    deployment_group: str
    deployment_group_id: str
    revision: Json
    """RevisionLocation, as `revisions.normal_location` gives it."""
    file_exists_behavior: str = "DISALLOW"
    creator: str = "user"
    deployment_type: str = "IN_PLACE"
    """or BLUE_GREEN; with the creator codeDeployRollback it decides whose scripts run."""
    events: tuple[str, ...] | None = None
    """All lifecycle events that the deployment has; the AppSpec may hook no others. None: not checked."""


class Agents(Protocol):
    """The agents of all instances: each does one lifecycle event at a time, different instances side by side."""

    async def run_event(self, instance: str, event: str, spec: DeploymentSpec) -> Diagnostics:
        """Carries the event out, and says how it went: `lifecycle.SUCCESS`, or why it failed.

        What goes wrong with bundle, AppSpec or scripts is a value, never raised. Takes as long as it takes: scripts
        run in real time. Cancelled, it leaves no process behind. Events that have no scripts (BlockTraffic,
        AllowTraffic) succeed at once.
        """
        ...

    async def stop(self, instance: str) -> None:
        """Switches the instance off: whatever runs on it ends, its files stay. The next event starts it again."""
        ...

    async def close(self) -> None:
        """All instances off, for good: the sandbox ends."""
        ...


@runtime_checkable
class Logs(Protocol):
    """What agents may have besides."""

    def log(self, instance: str) -> str:
        """What the scripts on the instance have written, oldest first; empty where none has run."""
        ...
