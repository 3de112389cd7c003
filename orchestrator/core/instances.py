"""Instances of a deployment, as far as people want to know of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceFailure:
    """Why an instance failed: the part of a failed deployment that people need."""

    instance: str
    status: str
    lifecycle_event: str | None = None
    script: str | None = None
    error_code: str | None = None
    message: str | None = None
    log_tail: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceProgress:
    """Where an instance that isn't done has got to."""

    instance: str
    status: str
    lifecycle_event: str | None = None
    """The one that runs, or the last that has ended."""
    since: float | None = None
    """Epoch seconds, by the instance's clock, of that event's start."""
