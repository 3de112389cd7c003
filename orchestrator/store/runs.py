"""The list of runs: one line about each, from the first and the last line of its journal."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from orchestrator.core.model import Outcome
from orchestrator.core.runs import RunSummary
from orchestrator.core.times import parse_time
from orchestrator.store.writer import read_note

__all__ = ["JOURNAL", "WRITER", "RunSummary", "summarise"]

JOURNAL = "journal.jsonl"
WRITER = "writer.json"

_CHUNK = 16 * 1024


def summarise(folder: Path) -> RunSummary:
    """What its journal says of the run in this folder. Never raises for what is in it: see `problem`."""
    path = folder / JOURNAL
    try:
        first, last = _ends(path)
        return _summary(folder, first, last)
    except OSError as error:
        return _unreadable(folder, error.strerror or str(error))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return _unreadable(folder, str(error) or type(error).__name__)


def _summary(folder: Path, first: dict[str, Any], last: dict[str, Any]) -> RunSummary:
    if first["type"] != "run_started":
        raise ValueError(f"its first event is {first['type']}, not run_started")
    finished, blocked = last["type"] == "run_finished", last["type"] == "run_blocked"
    return RunSummary(
        run=folder.name,
        release=str(first["release"]),
        environment=str(first["environment"]),
        manifest=str(first.get("manifest", "")),
        rollback_of=first.get("rollback_of"),
        started_at=parse_time(first["ts"]),
        last_at=parse_time(last["ts"]),
        outcome=Outcome(last["outcome"]) if finished else Outcome.BLOCKED if blocked else Outcome.RUNNING,
        detached=last["type"] == "run_detached",
        writer=read_note(folder / WRITER),
    )


def _unreadable(folder: Path, problem: str) -> RunSummary:
    try:
        changed = max(path.stat().st_mtime for path in (folder, folder / JOURNAL) if path.exists())
    except (OSError, ValueError):
        changed = 0.0
    return RunSummary(run=folder.name, started_at=changed, writer=read_note(folder / WRITER), problem=problem)


def _ends(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first and the last whole record. Raises ValueError when there is none."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise ValueError("no event was recorded: the run is just starting, or died at once")
        first = _header(file.read(_CHUNK)) or json.loads(_rest_of_first_line(path))
        chunk = _CHUNK
        while True:
            start = max(0, size - chunk)
            file.seek(start)
            last = _last_record(file.read(size - start), whole=start == 0)
            if last is not None:
                return first, last
            if start == 0:
                raise ValueError("it holds no whole record")
            chunk *= 8


def _header(head: bytes) -> dict[str, Any] | None:
    """The fields of a `run_started` line that stand before its targets, whose list may be megabytes long.

    Quotes inside JSON strings are escaped, so the bytes that are looked for can't be inside of one.
    """
    line, _, _ = head.partition(b"\n")
    before, found, _ = line.partition(b',"targets":[')
    if not found:
        return None
    try:
        header = json.loads(before + b"}")
    except ValueError:
        return None
    return header if isinstance(header, dict) else None


def _rest_of_first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        line = file.readline()
    if not line.endswith(b"\n"):
        raise ValueError("it holds no whole record")
    return line


def _last_record(tail: bytes, *, whole: bool) -> dict[str, Any] | None:
    """The last record of the run itself; None when more of the file is needed. `whole`: the tail is the whole file.

    What became of notifications comes after the run's own end, and says nothing of how it stands.
    """
    lines = tail.split(b"\n")[:-1]  # what follows the last line feed isn't finished
    if not whole:
        lines = lines[1:]  # cut off at its start
    spoilt = 0
    for line in reversed(lines):
        try:
            record = json.loads(line)
        except ValueError:
            spoilt += 1
            if spoilt > 1:  # a power cut may have spoilt the last one
                return None
            continue
        if isinstance(record, dict) and not str(record.get("type")).startswith("notification_"):
            return record
    return None
