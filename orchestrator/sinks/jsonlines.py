"""Events as JSON, one a line: for `--output json` and `--events FILE`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from orchestrator.core.errors import UsageError
from orchestrator.core.events import Record
from orchestrator.core.state import RunState
from orchestrator.wording.text import silence, write_line


class JsonLinesSink:
    """Writes each event at once. When nobody reads any more it says so, once, and goes quiet; the release goes on."""

    def __init__(self, stream: TextIO, *, name: str, complain: Callable[[str], None]) -> None:
        """`name`: what the stream is, for people; `complain` takes one line for stderr."""
        self._stream = stream
        self._name = name
        self._complain = complain
        self._broken = False

    def handle(self, record: Record, state: RunState) -> None:  # noqa: ARG002 - the port gives the state to every sink
        if self._broken or write_line(self._stream, record.to_json()):
            return
        self._broken = True
        silence(self._stream)
        self._complain(f"warning: {self._name} can't be written any more; the release goes on without it")


@contextmanager
def open_events(path: Path, *, complain: Callable[[str], None]) -> Iterator[JsonLinesSink]:
    """A sink that writes to this file, emptied first. Raises `UsageError` when it can't be opened."""
    try:
        stream = path.open("w", encoding="ascii", newline="\n")
    except OSError as error:
        message = f"--events: can't write {path}: {error.strerror or error}"
        raise UsageError(message, hint="name a file in a folder that exists and may be written") from None
    try:
        yield JsonLinesSink(stream, name=str(path), complain=complain)
    finally:
        with suppress(OSError):  # what a full disk didn't take was complained about when it was written
            stream.close()
