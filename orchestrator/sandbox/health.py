"""Minimum healthy hosts: how many instances may be in flight at once, and when a deployment has failed.

Rules of the CodeDeploy user guide, "Minimum healthy instances"; a fleet is taken as healthy when a deployment starts.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """`total` instances, of which `minimum` have to stay healthy."""

    total: int
    minimum: int

    @property
    def is_possible(self) -> bool:
        """A minimum of the whole fleet leaves no instance to deploy to."""
        return self.minimum < self.total

    def slots(self, failed: int) -> int:
        """Instances that may be in flight at once, after so many failed."""
        return max(0, self.total - self.minimum - failed)

    def is_broken(self, failed: int) -> bool:
        """Whether instances not tried yet must be left alone."""
        return self.total - failed <= self.minimum

    def is_success(self, failed: int) -> bool:
        return self.total - failed >= max(self.minimum, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class HealthRule:
    """What a deployment configuration asks for: called with a number of instances it gives their `Health`."""

    kind: str
    """HOST_COUNT, FLEET_PERCENT, or MOST_CONCURRENCY as CodeDeployDefault.OneAtATime has it."""
    value: int
    built_in: bool = False

    def __call__(self, total: int) -> Health:
        return Health(total=total, minimum=self.minimum(total))

    def minimum(self, total: int) -> int:
        """Of `total` instances. A minimum of them all leaves none to deploy to."""
        if self.kind == "MOST_CONCURRENCY":
            return total - self.value
        minimum = -(-total * self.value // 100) if self.kind == "FLEET_PERCENT" else self.value
        # AWS's own configurations deploy to a fleet of one, whatever share of it they ask for.
        return min(minimum, total - 1) if self.built_in else minimum


def health(kind: str, value: int, total: int, *, built_in: bool) -> Health:
    """`kind`: HOST_COUNT or FLEET_PERCENT, as the deployment configuration has it."""
    minimum = -(-total * value // 100) if kind == "FLEET_PERCENT" else value
    if built_in:
        # AWS's own configurations deploy to a fleet of one, whatever share of it they ask for.
        minimum = min(minimum, total - 1)
    return Health(total=total, minimum=minimum)


def one_at_a_time(total: int) -> Health:
    """CodeDeployDefault.OneAtATime; it shows as MOST_CONCURRENCY 1, which no other configuration can be."""
    return Health(total=total, minimum=total - 1)
