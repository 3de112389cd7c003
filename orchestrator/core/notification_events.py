"""What becomes of notifications. None of it changes how a run goes; a resume needs it to close what was opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core.events import Event


@dataclass(frozen=True, kw_only=True, slots=True)
class NotificationEvent(Event):
    notification: str
    """Its name in the manifest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NotificationOpened(NotificationEvent):
    """The receiver has the first of it: from here on it has to be closed."""

    handle: Mapping[str, Any] = field(default_factory=dict)
    """By what a later process finds it again: Slack's channel and ts, GitHub's deployment. Holds no secret."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NotificationClosed(NotificationEvent):
    """The receiver knows how the run has ended."""

    outcome: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NotificationFailed(NotificationEvent):
    """It couldn't be delivered, however often it was tried. Told once, until one is delivered again."""

    reason: str
