"""Reading a journal: the bytes of a file as records, and what a crash may have left at its end.

Nothing here locks: a journal that another process is writing can be read at any time. Records are only ever appended,
so such a reader sees a shorter run, never a wrong one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from orchestrator.core.errors import StateError
from orchestrator.core.events import Record, record_from_dict
from orchestrator.core.ports import Sink
from orchestrator.core.runs import JournalContents
from orchestrator.core.state import RunState

__all__ = ["JournalContents", "decode", "fold", "fold_into", "parse_journal", "record_of"]

_DAMAGED = "the file was changed by something else than orchestrator; keep it and report it"


def parse_journal(data: bytes, path: Path | str, *, first: int = 1) -> JournalContents:
    """Reads a journal's bytes, from its line `first` on; `path` is for messages.

    An unfinished last line is what a crash in the middle of a write leaves (or what a live writer is just writing): it
    is left out, and `note` says so. Nothing can depend on it, for its `flush` never returned.
    Raises `StateError` when any other line is no record.
    """
    lines = data.split(b"\n")
    tail = lines.pop()  # what follows the last line feed: empty, or a line that isn't finished
    records: list[Record] = []
    sound_bytes = 0
    for number, line in enumerate(lines, start=first):
        try:
            fields = decode(line)
        except ValueError as error:
            if number == first + len(lines) - 1 and not tail:
                tail = line  # whole, and still no JSON: a power cut can leave a block of anything at the end
                break
            raise StateError(f"{path}:{number}: not a journal record: {error}", hint=_DAMAGED) from None
        records.append(record_of(fields, path, number))
        sound_bytes += len(line) + 1
    return JournalContents(records=tuple(records), note=_note(tail, first + len(records)), sound_bytes=sound_bytes)


def fold(records: tuple[Record, ...], path: Path | str) -> RunState:
    """The state that the records amount to. Raises `StateError` that names the line where they don't fit together."""
    state = RunState()
    fold_into(state, records, path)
    return state


def fold_into(state: RunState, records: Iterable[Record], path: Path | str, sinks: Sequence[Sink] = ()) -> None:
    """Tells the sinks of each record, once it is folded. Raises as `fold` does; the state is of no use then."""
    for number, record in enumerate(records, start=state.last_seq + 1):
        try:
            state.apply(record)
        except StateError as error:
            raise StateError(f"{path}:{number}: {error.message}", hint=error.hint or _DAMAGED) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # Well-formed JSON of the wrong shape, such as a target without its id.
            message = f"{path}:{number}: the event can't be read: {type(error).__name__}: {error}"
            raise StateError(message, hint=_DAMAGED) from error
        for sink in sinks:
            sink.handle(record, state)


def decode(line: bytes) -> dict[str, Any]:
    """A line's JSON object. Raises ValueError."""
    fields = json.loads(line)  # raises ValueError, also for bytes that are no UTF-8
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one error type for all that is no record
    return fields


def record_of(fields: dict[str, Any], path: Path | str, number: int) -> Record:
    """The record of a line; path and line number are for messages. Raises `StateError`."""
    try:
        return record_from_dict(fields)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise StateError(f"{path}:{number}: {error}", hint="use the version of orchestrator that wrote it") from None


def _note(tail: bytes, number: int) -> str | None:
    if not tail:
        return None
    return f"line {number} is unfinished ({len(tail)} bytes) and was left out: it was never acted upon"
