"""All kinds of events by their names, as a journal is read with them."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.core.events import Event


@cache
def event_classes() -> Mapping[str, type[Event]]:
    from orchestrator.core import bundle_events  # noqa: F401, PLC0415 - whose classes are found below
    from orchestrator.core import events as ev  # noqa: PLC0415 - that module reads journals with this one
    from orchestrator.core import gate_events as gev  # noqa: PLC0415 - as above
    from orchestrator.core import notification_events as nev  # noqa: PLC0415 - as above

    abstract: tuple[type[Event], ...] = (
        ev.TargetEvent,
        gev.GateEvent,
        gev.HookEvent,
        nev.NotificationEvent,
        ev.UnknownEvent,
    )
    return {ev.event_type(cls): cls for cls in _below(ev.Event) if _is_the_real(cls) and cls not in abstract}


@cache
def field_names() -> Mapping[type, tuple[str, ...]]:
    return {cls: tuple(field.name for field in dataclasses.fields(cls)) for cls in event_classes().values()}


def _below(cls: type[Event]) -> list[type[Event]]:
    return [leaf for child in cls.__subclasses__() for leaf in ([child, *_below(child)])]


def _is_the_real(cls: type[Event]) -> bool:
    """A dataclass with slots is made a second time, and the first stays about for a while under the same name."""
    return getattr(sys.modules[cls.__module__], cls.__name__, None) is cls
