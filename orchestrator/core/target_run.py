"""What a run's state knows of one target. Only the fold of `core.state` changes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core import events as ev
from orchestrator.core.model import TargetState

S = TargetState


@dataclass(kw_only=True, slots=True)
class TargetRun:
    """What is known of one target in this run."""

    id: str
    application: str
    deployment_group: str
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    region: str = ""
    location: str = ""
    """Account and region, as one limit counts them."""
    pool: str | None = None
    state: TargetState = S.PENDING
    reason: str | None = None
    blocked_by: tuple[str, ...] = ()
    revision: Mapping[str, Any] | None = None
    digest: str | None = None
    token: str | None = None
    """Of the last intent."""
    intent: ev.DeploymentIntended | None = None
    """The intent that has no answer yet."""
    intended_at: float | None = None
    """Epoch seconds of the last intent."""
    deployment_id: str | None = None
    status: str | None = None
    """CodeDeploy's word for the deployment."""
    overview: Mapping[str, int] = field(default_factory=dict)
    """Instances by status."""
    instances: tuple[Mapping[str, Any], ...] = ()
    """`core.instances.InstanceProgress` each, as a mapping, as of the last look; empty: nobody had reason to look."""
    instances_total: int = 0
    expected: float | None = None
    """Seconds that its deployment took in earlier runs."""
    adopted: bool = False
    timeout: float | None = None
    deployment_started_at: float | None = None
    deployment_ended: bool = False
    attempts: tuple[str, ...] = ()
    """The deployments that have failed before this one, and were tried again."""
    failed_before: str | None = None
    """Why the last of them has failed."""
    retry_at: float | None = None
    """Epoch seconds before which the next attempt doesn't begin."""
    stop_requested_at: float | None = None
    """Epoch seconds at which its deployment was first told to stop."""
    rollback_started_at: float | None = None
    """Epoch seconds at which its rollback was first seen."""
    busy_since: float | None = None
    """Epoch seconds since which its group is busy with a deployment that isn't ours."""
    rollback_deployment_id: str | None = None
    rollback_status: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    failed_instances: int = 0
    failures: tuple[Mapping[str, Any], ...] = ()
    """`core.instances.InstanceFailure` each, as a mapping."""
    bake_until: float | None = None
    """Epoch seconds; None: it hasn't begun to bake."""
    bake_alarms: tuple[str, ...] = ()
    milestones: tuple[str, ...] = ()
    """What a blue/green deployment has reached before its end: ready, traffic_shifted."""
    wait_for: str = "succeeded"
    started_at: float | None = None
    ended_at: float | None = None
    needs_met_at: float | None = None
    """When it had nothing left to wait for but a free slot; None: not yet, as far as an event has told."""
    history: list[tuple[TargetState, float]] = field(default_factory=list)
    """Each state that it came to, the first included, and since when, in epoch seconds."""

    def become(self, state: TargetState, ts: float) -> None:
        """Goes into the history where it is a change."""
        if state is not self.state or not self.history:
            self.history.append((state, ts))
        self.state = state

    @property
    def lets_others_go(self) -> bool:
        """Whether those that wait for it may go on, as far as it is concerned."""
        return self.state.is_good or (not self.state.is_final and self.wait_for in self.milestones)

    @property
    def is_live(self) -> bool:
        """A deployment of ours is, or may be, running."""
        return (self.deployment_id is not None and not self.deployment_ended) or self.intent is not None

    @property
    def running_ids(self) -> tuple[str, ...]:
        """The deployments, known by their ids, that run as far as we know: ours, or the one that rolls it back."""
        if self.state is S.ROLLING_BACK and self.rollback_deployment_id is not None:
            return (self.rollback_deployment_id,)
        return (self.deployment_id,) if self.deployment_id is not None and not self.deployment_ended else ()

    @property
    def was_changed(self) -> bool:
        """This run has, or may have, deployed to it."""
        return self.deployment_id is not None or self.intent is not None or bool(self.attempts)
