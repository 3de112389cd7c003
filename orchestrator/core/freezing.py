"""Freezes: times in which nothing new is deployed.

What runs already is watched to its end, and rollbacks are never frozen. When a window begins and ends is the
calendar's to know (`manifest.freezes`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from orchestrator.core.errors import BlockedError


@dataclass(frozen=True, kw_only=True, slots=True)
class FreezeWindow:
    """A recurring time in which nothing is deployed."""

    rrule: str
    """RFC 5545, without the `RRULE:` before it."""
    start: str
    """HH:MM or HH:MM:SS in `tz`."""
    end: str
    """HH:MM or HH:MM:SS in `tz`; not after `start`: on the next day."""
    tz: str
    """A name of the IANA database."""

    def __str__(self) -> str:
        return f"{self.rrule} {self.start}-{self.end} {self.tz}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Frozen:
    """A freeze that holds now."""

    window: str
    """Which one, for people."""
    until: float
    """Epoch seconds."""

    def __str__(self) -> str:
        return f"the freeze {self.window} lasts until {moment(self.until)}"


def moment(seconds: float) -> str:
    """Epoch seconds for people: minutes, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


class Calendar(Protocol):
    """All freeze windows of an environment."""

    def frozen(self, now: float) -> Frozen | None:
        """What holds at this moment (epoch seconds)."""
        ...

    def next_start(self, now: float) -> float | None:
        """When the next freeze begins after this moment, epoch seconds; None: not within a year."""
        ...


class NoFreezes:
    """A calendar without windows."""

    def frozen(self, now: float) -> Frozen | None:  # noqa: ARG002 - the calendar's signature
        return None

    def next_start(self, now: float) -> float | None:  # noqa: ARG002 - as above
        return None


def refuse(frozen: Frozen, environment: str) -> BlockedError:
    return BlockedError(
        f"{environment} is frozen: {frozen}",
        hint="run it again then, or give --override-freeze REASON, which the journal keeps",
    )
