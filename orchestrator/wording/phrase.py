"""What to say about an event."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrase:
    """What to say about an event."""

    about: str
    """The target, or the application of a bundle; empty: the run."""
    text: str
    below: tuple[str, ...] = ()
    """More lines, indented."""
    urgent: bool = False
    """A failure or a warning: worth a line wherever there is room for few."""
