"""Where runs are kept: the port, and what it answers with."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from orchestrator.core.errors import ExitCode, StateError
from orchestrator.core.events import Record
from orchestrator.core.model import Outcome
from orchestrator.core.ports import Journal, Sink
from orchestrator.core.state import RunState


class FencedError(StateError):
    """Another process goes on with this run. Whoever gets this must not touch anything any more."""

    exit_code = ExitCode.BLOCKED


@dataclass(frozen=True, kw_only=True, slots=True)
class Writer:
    """A process that writes a run's journal."""

    pid: int
    host: str

    def is_alive(self) -> bool | None:
        """Whether that process exists; None: it is another machine's, so we can't know.

        Only a lock or a lease decides who may write. This is for views, which must not take one.
        """
        if self.host != socket.gethostname():
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True  # somebody else's process
        return True

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """A run in a list. Times are epoch seconds."""

    run: str
    release: str = ""
    environment: str = ""
    manifest: str = ""
    started_at: float
    """For an unreadable run: when its journal was last written, as far as that is known."""
    last_at: float | None = None
    """Of the last event that the list knows of."""
    rollback_of: str | None = None
    """The run that this one rolls back."""
    part_of: str | None = None
    """The run that this one is a part of."""
    function: str | None = None
    """The Lambda function that goes on with it; None: processes that people start."""
    outcome: Outcome = Outcome.RUNNING
    """RUNNING as long as no event says otherwise; with a `writer` that isn't alive, the run has died."""
    detached: bool = False
    writer: Writer | None = None
    """Who carries the run on; None: nobody."""
    problem: str | None = None
    """Why the journal can't be read; None: it can."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalContents:
    """A journal as it was read."""

    records: tuple[Record, ...]
    note: str | None = None
    """What was left out, for people; None when nothing was."""
    sound_bytes: int = 0
    """The length of a file up to the end of its last whole record."""


class RunJournal(Journal, Protocol):
    """A journal that was opened."""

    @property
    def found(self) -> JournalContents:
        """What stood there when it was opened: the state to go on with is the fold of exactly these."""
        ...

    async def is_current(self) -> bool:
        """Whether nobody else has written since it was opened, as far as can be seen now. Raises `StateError`."""
        ...


class RunTail(Protocol):
    """A run that is read as it grows, each event once."""

    @property
    def state(self) -> RunState:
        """As far as it was read."""
        ...

    async def read(self) -> int:
        """Folds what has come since it was last read into `state`, and tells how many events that were.

        Raises `UsageError` when there is no such run, `UnreachableError` when the store can't be asked: the next read
        goes on where this one was to begin. After any other `StateError` (damaged, or shorter than it was) it's of no
        use any more.
        """
        ...

    async def wait(self) -> None:
        """Until it's worth while to read again; the longer the less has come, where each look is paid for."""
        ...


class RunStore(Protocol):
    """The runs of one place. Reading never locks and never writes."""

    @property
    def where(self) -> str:
        """For messages."""
        ...

    def open_journal(self, run: str, *, new: bool) -> AbstractAsyncContextManager[RunJournal]:
        """The run's journal, for its one writer; what is pending at the end is made durable, also when cancelled.

        `new`: the run must not exist yet. Otherwise it must. Raises `StateError` when it can't be written or is
        damaged, `UsageError` when there is no such run; its `flush` raises `FencedError` once another process writes.
        """
        ...

    async def list_runs(self) -> list[RunSummary]:
        """All runs, newest first; those that can't be read too, with their `problem`. Raises `StateError`."""
        ...

    async def find_run(self, run: str | None) -> str:
        """The id of the run that is meant: by its id, an unambiguous beginning of it, or None for the newest.

        Raises `UsageError` when that is no run, or more than one.
        """
        ...

    async def read_run(self, run: str) -> JournalContents:
        """The records of the run with this id. Raises `UsageError` when there is none, `StateError` when damaged."""
        ...

    async def load_run(self, run: str) -> RunState:
        """The state of the run with this id; empty when nothing was recorded. Raises as `read_run` does."""
        ...

    def tail(self, run: str, sinks: Sequence[Sink] = ()) -> RunTail:
        """The run with this id, to be followed from its first event on; the sinks are told of each event.

        Raises `UsageError` for what is no id.
        """
        ...
