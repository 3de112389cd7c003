"""The dice: which call is throttled, refused, cut off or answered wrongly. One seeded generator for all of it."""

from __future__ import annotations

from random import Random
from typing import Literal

from orchestrator.sandbox.errors import ServiceError
from orchestrator.sandbox.options import Faults, Service

Fate = Literal["handle", "reset_before", "reset_after", "error"]

_ROUNDING = 1e-6
"""Seconds since the epoch are so big that their differences are off by a little."""


class TokenBucket:
    """A rate with a burst of max(1, rate)."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._burst = max(1.0, rate)
        self._tokens = self._burst
        self._at = now

    def take(self, now: float) -> bool:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1.0 - _ROUNDING:
            return False
        self._tokens = max(0.0, self._tokens - 1.0)
        return True


class Injector:
    """Decides what becomes of a call; the server does it."""

    def __init__(self, faults: Faults, *, seed: int, started: float) -> None:
        self._random = Random(seed)  # noqa: S311 - repeatable dice, no secret
        self._started = started
        self._buckets: dict[tuple[str, str, str], TokenBucket] = {}
        self._happened = 0
        self.faults = faults

    def replace(self, faults: Faults) -> None:
        """From now on these; the dice roll on, the token buckets start full."""
        self.faults = faults
        self._buckets.clear()
        self._happened = 0

    def fate(self, service: Service, operation: str) -> Fate:
        faults = self.faults
        if service not in faults.services or (faults.operations and operation not in faults.operations):
            return "handle"
        if faults.times is not None and self._happened >= faults.times:
            return "handle"
        fate = self._roll(faults)
        self._happened += fate != "handle"
        return fate

    def _roll(self, faults: Faults) -> Fate:
        if self._happens(faults.reset_before):
            return "reset_before"
        if self._happens(faults.error_rate):
            return "error"
        if self._happens(faults.reset_after):
            return "reset_after"
        return "handle"

    def latency(self, service: Service) -> float:
        return self.faults.latency if service in self.faults.services else 0.0

    def is_expired(self, service: Service, now: float) -> bool:
        faults = self.faults
        return faults.expired and service in faults.services and now - self._started < faults.expired_until

    def check_rate(self, place: tuple[str, str], operation: str, now: float) -> None:
        """Raises ThrottlingException when account and region have used up their rate, of all calls or of this one."""
        faults = self.faults
        self._take((*place, ""), faults.throttle, now)
        self._take((*place, operation), faults.throttled.get(operation), now)

    def _take(self, place: tuple[str, str, str], rate: float | None, now: float) -> None:
        if rate is None:
            return
        bucket = self._buckets.get(place)
        if bucket is None:
            bucket = self._buckets[place] = TokenBucket(rate, now)
        if not bucket.take(now):
            raise ServiceError("ThrottlingException", "Rate exceeded")

    def shows_unknown_status(self) -> bool:
        return self._happens(self.faults.unknown_status)

    def omits(self) -> bool:
        return self._happens(self.faults.omit)

    def _happens(self, probability: float) -> bool:
        # No dice for what can't happen: switching one fault on leaves the others' sequence as it was.
        return probability > 0 and self._random.random() < probability
