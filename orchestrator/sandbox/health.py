"""Minimum healthy hosts: how many of a fleet have to stay healthy. `rollout` acts on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class HealthRule:
    """What a deployment configuration asks for."""

    kind: str
    """HOST_COUNT, FLEET_PERCENT, or MOST_CONCURRENCY as CodeDeployDefault.OneAtATime has it."""
    value: int
    built_in: bool = False

    def minimum(self, total: int) -> int:
        """Of `total` instances. A minimum of them all leaves none to deploy to."""
        if self.kind == "MOST_CONCURRENCY":
            return total - self.value
        minimum = -(-total * self.value // 100) if self.kind == "FLEET_PERCENT" else self.value
        # AWS's own configurations deploy to a fleet of one, whatever share of it they ask for.
        return min(minimum, total - 1) if self.built_in else minimum
