"""What a manifest says, resolved for one environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from orchestrator.core.controls import NO_CONTROLS, Controls
from orchestrator.core.freezing import FreezeWindow
from orchestrator.core.model import Concurrency, Policy, Target
from orchestrator.core.notification_specs import NotificationSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentSettings:
    """The environment that the release is resolved for."""

    name: str
    """`default` where the manifest has no environments."""
    region: str | None = None
    """The environment's own region; a target has its own in `Target.location`."""
    role_arn: str | None = None
    account: str | None = None
    """The id of the account that it must be."""
    promote_from: str | None = None
    soak: float | None = None
    """Seconds."""
    freeze: tuple[FreezeWindow, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """A place in a file; line and column count from 1."""

    file: str
    """As findings name it: relative to the current folder, the way the user gave it."""
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Origins(Protocol):
    """Knows where things were written. Implemented by `manifest.origins`."""

    def position(self, target_id: str, setting: str) -> Position: ...

    def appspec_path(self, target_id: str) -> Path | None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """A manifest, resolved for one environment."""

    manifest: Path
    """As the user gave it."""
    release: str
    """The release's name, expanded."""
    environment: EnvironmentSettings
    environments: tuple[str, ...]
    """The names of all environments of the manifest; empty when it has none."""
    state: str | None
    """`s3://bucket/prefix`, or the absolute path of a folder; None when the manifest doesn't say."""
    concurrency: Concurrency
    policy: Policy
    """`max_failures` is resolved against all targets; see `policy_for`."""
    max_failures_share: float | None = None
    """0 < share <= 1, where the manifest gives `max_failures` as a share."""
    targets: tuple[Target, ...]
    """In the order of the manifest."""
    controls: Controls = NO_CONTROLS
    """The run's own gates and hooks."""
    notifications: tuple[NotificationSpec, ...] = ()
    """Those of its environment."""
    origins: Origins = field(repr=False, compare=False)

    def policy_for(self, targets: Sequence[Target]) -> Policy:
        """The policy with a share of failures counted against these targets: rounded up, at least 1."""
        if self.max_failures_share is None:
            return self.policy
        return replace(self.policy, max_failures=share_of(self.max_failures_share, len(targets)))

    def position(self, target_id: str, setting: str = "") -> Position:
        """Where a setting of a target was written: in its group, its application or the defaults.

        `setting` is a key or a dotted path, such as `description` or `revision.source`. What was written nowhere
        has the position of the target itself.
        """
        return self.origins.position(target_id, setting)

    def appspec_path(self, target_id: str) -> Path | None:
        """The absolute path that `revision.appspec` of a target names; None when it holds something to expand."""
        return self.origins.appspec_path(target_id)


def share_of(share: float, count: int) -> int:
    """A share of a number of targets, rounded up to at least 1."""
    # 0.07 * 100 is 7.000000000000001 in floating point; the rounding keeps that from becoming 8.
    return max(1, -int(-round(share * count, 9) // 1))
