"""The list of runs in an object store: facts written as the names of empty objects, so that listing them is reading.

`index/<run>/<seq>.<facts>`: one for each turn in a run's life (started, resumed, detached, blocked, finished), facts as
JSON in URL-safe base64. 1,000 runs are two or three pages of a listing, where 1,000 objects would be 1,000 requests.
"""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.core.events import Event, Record, RunDetached, RunFinished, RunResumed, RunStarted
from orchestrator.core.gate_events import RunBlocked
from orchestrator.core.merging import FUNCTION, whole_of
from orchestrator.core.model import Outcome
from orchestrator.core.runs import RunSummary, Writer
from orchestrator.core.times import format_time, parse_time

INDEX = "index/"
_LONGEST = 150
"""Bytes of a text inside a name; S3 takes 1,024 for the whole."""


def mark(record: Record) -> str | None:
    """The name to write for this record; None for an event that is no turn in the run's life."""
    facts = _facts(record.event)
    if facts is None:
        return None
    text = json.dumps({**facts, "ts": format_time(record.ts)}, separators=(",", ":"), ensure_ascii=False)
    encoded = urlsafe_b64encode(text.encode()).decode("ascii").rstrip("=")
    return f"{INDEX}{record.run}/{record.seq:08d}.{encoded}"


def _facts(event: Event) -> dict[str, str] | None:
    match event:
        case RunStarted():
            facts = {
                "type": "run_started",
                "release": _clip(event.release),
                "environment": _clip(event.environment),
                "manifest": _clip(event.manifest),
            }
            more = {
                "rollback_of": event.rollback_of,
                "part_of": whole_of(event),
                "function": event.options.get(FUNCTION),
            }
            return facts | {name: _clip(str(value)) for name, value in more.items() if value is not None}
        case RunResumed():
            return {"type": "run_resumed"}
        case RunDetached():
            return {"type": "run_detached"}
        case RunBlocked():
            return {"type": "run_blocked"}
        case RunFinished():
            return {"type": "run_finished", "outcome": str(event.outcome)}
        case _:
            return None


def _clip(text: str) -> str:
    data = text.encode()
    return text if len(data) <= _LONGEST else data[: _LONGEST - 3].decode(errors="ignore") + "…"


def runs_of(names: Iterable[str]) -> list[str]:
    """The runs that a listing of the index names, sorted."""
    return sorted({name.removeprefix(INDEX).partition("/")[0] for name in names})


def summaries(names: Iterable[str], writers: Mapping[str, Writer]) -> list[RunSummary]:
    """From a listing of the index, newest first. `writers`: who carries which run on."""
    marks: dict[str, list[str]] = {}
    for name in sorted(names):
        run, _, rest = name.removeprefix(INDEX).partition("/")
        marks.setdefault(run, []).append(rest)
    found = [_summary(run, of_run, writers.get(run)) for run, of_run in marks.items()]
    return sorted(found, key=lambda summary: (summary.started_at, summary.run), reverse=True)


def _summary(run: str, of_run: list[str], writer: Writer | None) -> RunSummary:
    try:
        first, last = _read(of_run[0]), _read(of_run[-1])
        finished, blocked = last["type"] == "run_finished", last["type"] == "run_blocked"
        return RunSummary(
            run=run,
            release=str(first["release"]),
            environment=str(first["environment"]),
            manifest=str(first["manifest"]),
            rollback_of=first.get("rollback_of"),
            part_of=first.get("part_of"),
            function=first.get("function"),
            started_at=parse_time(first["ts"]),
            last_at=parse_time(last["ts"]),
            outcome=Outcome(last["outcome"]) if finished else Outcome.BLOCKED if blocked else Outcome.RUNNING,
            detached=last["type"] == "run_detached",
            writer=None if finished else writer,
        )
    except (ValueError, KeyError, TypeError) as error:
        return RunSummary(run=run, started_at=0.0, problem=f"the index can't be read: {type(error).__name__}: {error}")


def _read(rest: str) -> dict[str, Any]:
    encoded = rest.partition(".")[2]
    try:
        facts = json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None
    if not isinstance(facts, dict):
        raise TypeError("not a JSON object")
    return facts
