"""What the server bears."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Times are seconds."""

    connections: int = 256
    """At once. Whoever would take all of a process's file descriptors from it is stopped here."""
    idle: float = 20.0
    """That a connection may be without a whole request."""
    patience: float = 10.0
    """That a browser may take to make room for more; then it is let go, and may come again."""
    heartbeat: float = 15.0
    """Without a change, after which we say that we are still there."""
    last_words: float = 1.0
    """That answers under way have to end when the server does."""
