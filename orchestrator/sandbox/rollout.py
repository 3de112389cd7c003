"""Minimum healthy hosts at work: which instance may be deployed to next, and when a deployment has failed.

Rules of the CodeDeploy user guide, "Instance health". With N instances, a minimum of M and H healthy ones (those in
flight still count): no more than H - M healthy ones are in flight, in one Availability Zone at a time if the
configuration is zonal; as soon as H is down to M with instances left, the deployment has failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.sandbox.configs import Zonal
from orchestrator.sandbox.health import HealthRule
from orchestrator.sandbox.lifecycle import Track


@dataclass(slots=True)
class Zone:
    """The instances that are deployed to before those of the next zone; without zones: all."""

    healthy: int
    minimum: int
    untried: list[int]
    """Numbers of tracks; the last one is the next."""
    at_risk: int = 0
    """Healthy ones in flight."""


@dataclass(slots=True)
class Wave:
    """Instances that run the same events, as many at once as may be."""

    healthy: int
    minimum: int
    limit: int
    """The most in flight at once, however healthy."""
    zones: list[Zone]
    """The first is the one that is deployed to."""
    monitor: float = 0.0
    """Seconds between one zone and the next."""
    first_monitor: float = 0.0
    is_past_first: bool = False
    is_strict: bool = False
    """Whether a single failure fails it."""
    flying: int = 0
    at_risk: int = 0
    succeeded: int = 0
    failed: int = 0
    is_broken: bool = False

    def next(self, tracks: Sequence[Track]) -> int | None:
        """Takes the number of the track that may start now, if one may."""
        zone = self.zones[0]
        if self.is_broken or not zone.untried or self.flying >= self.limit:
            return None
        number = zone.untried[-1]
        if tracks[number].is_healthy:
            if self.at_risk >= self.healthy - self.minimum or zone.at_risk >= zone.healthy - zone.minimum:
                return None
            self.at_risk += 1
            zone.at_risk += 1
        zone.untried.pop()
        self.flying += 1
        return number

    def landed(self, track: Track, *, is_success: bool) -> None:
        zone = self.zones[0]
        self.flying -= 1
        if track.is_healthy:
            self.at_risk -= 1
            zone.at_risk -= 1
        if is_success:
            self.succeeded += 1
            self.healthy += not track.is_healthy
            zone.healthy += not track.is_healthy
            return
        self.failed += 1
        self.healthy -= track.is_healthy
        zone.healthy -= track.is_healthy
        is_low = self.healthy <= self.minimum and any(one.untried for one in self.zones)
        is_zone_low = zone.healthy <= zone.minimum and bool(zone.untried)
        self.is_broken = self.is_broken or self.is_strict or is_low or is_zone_low

    @property
    def is_success(self) -> bool:
        """Once nothing flies and nothing is left."""
        return not self.is_broken and self.succeeded > 0 and self.healthy >= self.minimum


class ImpossibleHealthError(ValueError):
    """The minimum of healthy instances leaves none to deploy to."""


def wave(
    numbers: Sequence[int],
    tracks: Sequence[Track],
    rule: HealthRule,
    *,
    total: int,
    zonal: Zonal | None = None,
    healthy_elsewhere: int = 0,
) -> Wave:
    """`numbers`: tracks in the order in which they are tried; `total`: instances of the whole fleet.

    `healthy_elsewhere`: healthy ones of the fleet that this deployment leaves alone.
    Raises `ImpossibleHealthError`.
    """
    minimum = rule.minimum(total)
    if minimum >= total:
        raise ImpossibleHealthError
    healthy = sum(tracks[number].is_healthy for number in numbers) + healthy_elsewhere
    return Wave(
        healthy=healthy,
        # A fleet that starts below the minimum must only not get worse.
        minimum=min(minimum, healthy),
        limit=max(1, total - minimum),
        zones=_zones(numbers, tracks, zonal),
        monitor=zonal.monitor if zonal else 0.0,
        first_monitor=zonal.first_monitor if zonal else 0.0,
    )


def later_wave(numbers: Sequence[int], tracks: Sequence[Track], rule: HealthRule, *, is_strict: bool) -> Wave:
    """Rerouting, in the batches of the deployment's configuration, over what has got so far."""
    total = len(numbers)
    minimum = max(0, min(rule.minimum(total), total - 1))
    for number in numbers:
        tracks[number].is_healthy = True
    zones = _zones(numbers, tracks, None)
    return Wave(healthy=total, minimum=minimum, limit=max(1, total - minimum), zones=zones, is_strict=is_strict)


def _zones(numbers: Sequence[int], tracks: Sequence[Track], zonal: Zonal | None) -> list[Zone]:
    """In the order of their names: AWS says of none that it comes first."""
    names = sorted({tracks[number].zone for number in numbers}) if zonal else [""]
    zones = []
    for name in names:
        inside = [number for number in numbers if zonal is None or tracks[number].zone == name]
        healthy = sum(tracks[number].is_healthy for number in inside)
        minimum = 0
        if zonal is not None and (minimum := zonal.per_zone.minimum(len(inside))) >= len(inside):
            raise ImpossibleHealthError
        zones.append(Zone(healthy=healthy, minimum=min(minimum, healthy), untried=inside[::-1]))
    return zones
