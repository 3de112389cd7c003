"""Events as log records, so that one log tells of the run and of the calls that it made."""

from __future__ import annotations

import logging
from typing import Any

from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.event_classes import field_names
from orchestrator.core.events import Record
from orchestrator.core.outcome import FAILURES
from orchestrator.core.state import RunState
from orchestrator.wording.phrases import phrase

LOGGER = "orchestrator.events"

_TICKS = (ev.DeploymentProgressed, ev.InstancesSeen, gev.GateMeasured, ev.DurationsExpected)
"""Events that come again and again."""

_NOT_TOLD = ("target", "token", "message")
"""Of an event: told otherwise, or of no use here."""


def event_log() -> EventLog | None:
    """None where nobody listens."""
    logger = logging.getLogger(LOGGER)
    return EventLog(logger) if logger.isEnabledFor(logging.CRITICAL) else None


class EventLog:
    """Each event as a record, with the run, the target and the plain ones of its fields."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def handle(self, record: Record, state: RunState) -> None:
        said = phrase(record, state)
        kind = ev.event_type(type(record.event))
        text = said.text if said is not None else kind.replace("_", " ")
        fields: dict[str, Any] = {"run": record.run, "event": kind, "seq": record.seq}
        target = getattr(record.event, "target", None)
        if target is not None:
            fields["target"] = target
        fields |= {name: value for name in _names(record.event) if _is_plain(value := getattr(record.event, name))}
        self._logger.log(
            _level(record.event, urgent=said is not None and said.urgent), "%s", text, extra={"fields": fields}
        )


def _names(event: ev.Event) -> list[str]:
    return [name for name in field_names().get(type(event), ()) if name not in _NOT_TOLD]


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float) and value != ""


def _level(event: ev.Event, *, urgent: bool) -> int:
    if isinstance(event, ev.TargetFinished) and event.state in FAILURES:
        return logging.ERROR
    if urgent:
        return logging.WARNING
    return logging.DEBUG if isinstance(event, _TICKS) else logging.INFO
