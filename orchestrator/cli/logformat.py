"""Log records as lines of text or JSON, without secrets, each with its run and target as far as they are known."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from orchestrator.core.scrub import Scrubber
from orchestrator.sinks.eventlog import LOGGER as EVENTS
from orchestrator.wording.text import one_line


class Correlation(logging.Filter):
    """Learns from the events which run this is and which target a deployment belongs to; adds that to every record.

    It stands at the handler and sees all records, whatever the level: it lets pass those from the wanted level up.
    """

    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level
        self._run: str | None = None
        self._deployments: dict[str, str] = {}
        self._groups: dict[tuple[str, str], str] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        fields: dict[str, Any] = dict(getattr(record, "fields", {}))
        if record.name == EVENTS:
            self._learn(fields)
        else:
            fields |= {"run": self._run, "target": fields.get("target") or self._target(fields)}
        record.fields = fields
        return record.levelno >= self._level

    def _learn(self, fields: Mapping[str, Any]) -> None:
        self._run = fields["run"]
        target = fields.get("target")
        if target is None:
            return
        for name in ("deployment_id", "rollback_deployment_id"):
            if name in fields:
                self._deployments[fields[name]] = target
        if "application_name" in fields:
            self._groups[fields["application_name"], fields["deployment_group_name"]] = target

    def _target(self, fields: Mapping[str, Any]) -> str | None:
        by_group = self._groups.get((fields.get("application", ""), fields.get("deployment_group", "")))
        return by_group or self._deployments.get(fields.get("deployment_id", ""))


class LogFormat(logging.Formatter):
    """One line a record, whatever is in it."""

    def __init__(self, scrubber: Scrubber) -> None:
        super().__init__()
        self._scrubber = scrubber

    def parts(self, record: logging.LogRecord) -> dict[str, Any]:
        fields: dict[str, Any] = dict(getattr(record, "fields", {}))
        run, target = fields.pop("run", None), fields.pop("target", None)
        parts: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "run": run,
            "target": target,
            **fields,
        }
        if record.exc_info and record.exc_info[0] is not None:
            parts["traceback"] = self.formatException(record.exc_info)
        scrubbed: dict[str, Any] = self._scrubber.value(parts)
        return scrubbed


class JsonFormat(LogFormat):
    """ASCII; `run` and `target` are there in every line, null where they aren't known."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self.parts(record), default=str)


class TextFormat(LogFormat):
    """`TS LEVEL logger: message name=value …`; what has spaces is quoted as JSON does it."""

    def format(self, record: logging.LogRecord) -> str:
        parts = self.parts(record)
        head = [parts.pop(name) for name in ("ts", "level", "logger", "message")]
        rest = " ".join(f"{name}={_quoted(value)}" for name, value in parts.items() if value is not None)
        return f"{head[0]} {head[1].upper():<7} {head[2]}: {one_line(head[3])}{' ' if rest else ''}{rest}"


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if text.isascii() and text.isprintable() and not set(text) & set(' "=') else json.dumps(text)
