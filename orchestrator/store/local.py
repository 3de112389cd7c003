"""Runs in a local folder: `<root>/runs/<run>/journal.jsonl`, one JSON object a line."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import anyio
import anyio.to_thread

from orchestrator.core.errors import StateError, UsageError
from orchestrator.core.ports import Sink
from orchestrator.core.state import RunState
from orchestrator.store.closing import flushed_at_the_end
from orchestrator.store.faults import cannot
from orchestrator.store.finding import RUN_ID, check_run_id, named, newest, suggest
from orchestrator.store.journal import JournalFile
from orchestrator.store.reading import JournalContents, fold, parse_journal
from orchestrator.store.runs import JOURNAL, WRITER, RunSummary, summarise
from orchestrator.store.syncing import sync_folder
from orchestrator.store.tailing import FileTail
from orchestrator.store.writer import lock

DEFAULT_ROOT = Path(".orchestrator")


class LocalStore:
    """The runs of one folder. Reading never locks and never writes; a folder that isn't there holds no runs."""

    def __init__(self, root: Path = DEFAULT_ROOT) -> None:
        self.root = root
        self._known: dict[str, tuple[object, RunSummary]] = {}
        """Summaries by run, with what tells whether they still hold: listing again reads only what has changed."""

    @property
    def where(self) -> str:
        return str(self.root)

    # --- writing -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def open_journal(self, run: str, *, new: bool) -> AsyncIterator[JournalFile]:
        """The run's journal, for its one writer; what is pending at the end is made durable, also when cancelled.

        `new`: the run must not exist yet. Otherwise it must, and an unfinished last line is cut off.
        Raises `StateError` when the folder can't be written or the journal is damaged, `JournalBusyError` when another
        process writes it, `UsageError` when there is no such run.
        """
        folder = self._folder(run)
        opening = _create if new else _reopen
        descriptor, found = await anyio.to_thread.run_sync(opening, folder)
        try:
            journal = JournalFile(descriptor, folder / JOURNAL, found)
            async with flushed_at_the_end(journal):
                yield journal
        finally:
            _leave(descriptor, folder / WRITER)

    # --- reading -----------------------------------------------------------------------------------------------------

    def runs(self) -> list[RunSummary]:
        """All runs, newest first; those that can't be read too, with their `problem`. Raises `StateError`."""
        summaries = [self._summary(run) for run in self._names()]
        return sorted(summaries, key=lambda summary: (summary.started_at, summary.run), reverse=True)

    def resolve(self, run: str | None) -> str:
        """The id of the run that is meant: by its id, an unambiguous beginning of it, or None for the newest.

        Raises `UsageError` when that is no run, or more than one.
        """
        return newest(self.runs(), self.where) if run is None else named(run, self._names(), self.where)

    def read_journal(self, run: str) -> JournalContents:
        """The records of the run with this id. Raises `UsageError` when there is none, `StateError` when damaged."""
        path = self._folder(run) / JOURNAL
        try:
            return parse_journal(path.read_bytes(), path)
        except FileNotFoundError:
            raise self._missing(run) from None
        except OSError as error:
            raise cannot("read", path, error) from error

    def load_state(self, run: str) -> RunState:
        """The state of the run with this id; empty when nothing was recorded. Raises as `read_journal` does."""
        return fold(self.read_journal(run).records, self._folder(run) / JOURNAL)

    def tail(self, run: str, sinks: Sequence[Sink] = ()) -> FileTail:
        """See the port."""
        return FileTail(self._folder(run) / JOURNAL, lambda: self._missing(run), sinks)

    # The port's names for the same, off the event loop.

    async def list_runs(self) -> list[RunSummary]:
        return await anyio.to_thread.run_sync(self.runs)

    async def find_run(self, run: str | None) -> str:
        return await anyio.to_thread.run_sync(self.resolve, run)

    async def read_run(self, run: str) -> JournalContents:
        return await anyio.to_thread.run_sync(self.read_journal, run)

    async def load_run(self, run: str) -> RunState:
        return await anyio.to_thread.run_sync(self.load_state, run)

    def _summary(self, run: str) -> RunSummary:
        folder = self.root / "runs" / run
        mark = tuple(_changed(folder / name) for name in (JOURNAL, WRITER))
        known = self._known.get(run)
        if known is not None and known[0] == mark:
            return known[1]
        summary = summarise(folder)
        if summary.problem is None:
            self._known[run] = (mark, summary)
        return summary

    def _missing(self, run: str) -> UsageError:
        return UsageError(f"no run {run!r} in {self.root}", hint=suggest(run, self._names()))

    def _folder(self, run: str) -> Path:
        check_run_id(run)
        return self.root / "runs" / run

    def _names(self) -> list[str]:
        runs = self.root / "runs"
        try:
            with os.scandir(runs) as entries:
                return sorted(entry.name for entry in entries if RUN_ID.fullmatch(entry.name) and entry.is_dir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise cannot("read", runs, error) from error


def _changed(path: Path) -> tuple[int, int, int] | None:
    """Differs once the file has; None: there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


# --- opening and closing ---------------------------------------------------------------------------------------------


def _create(folder: Path) -> tuple[int, JournalContents]:
    """A new journal's descriptor; in a worker thread."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    except FileExistsError as error:
        if folder.is_dir():
            raise StateError(f"run {folder.name} exists already: {folder}", hint="start another run") from None
        raise cannot("create", folder, error) from error
    except OSError as error:
        raise cannot("create", folder, error) from error
    try:
        with _opened(folder, os.O_CREAT | os.O_EXCL) as descriptor:
            # A file survives a crash only once the entry in its folder does, and so on upwards.
            for parent in (folder, folder.parent, folder.parent.parent):
                sync_folder(parent)
    except FileNotFoundError as error:
        raise cannot("create", folder / JOURNAL, error) from error
    return descriptor, JournalContents(records=())


def _reopen(folder: Path) -> tuple[int, JournalContents]:
    """An old journal's descriptor and what stands in it; in a worker thread."""
    path = folder / JOURNAL
    try:
        with _opened(folder, 0) as descriptor:
            found = parse_journal(path.read_bytes(), path)
            os.ftruncate(descriptor, found.sound_bytes)
    except FileNotFoundError:
        raise UsageError(f"no run {folder.name!r} in {folder.parent.parent}", hint="see: orchestrator runs") from None
    return descriptor, found


@contextmanager
def _opened(folder: Path, flags: int) -> Iterator[int]:
    """The locked journal, for what is left to do to it; closed if that fails.

    Raises FileNotFoundError, and `StateError` for all else.
    """
    path = folder / JOURNAL
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | flags, 0o666)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise cannot("open", path, error) from error
    try:
        lock(descriptor, folder / WRITER, folder.name)
        yield descriptor
    except OSError as error:
        os.close(descriptor)
        raise cannot("write", path, error) from error
    except BaseException:
        os.close(descriptor)
        raise


def _leave(descriptor: int, note: Path) -> None:
    """The note goes while we still hold the lock: a moment later it may be our successor's."""
    with suppress(OSError):
        note.unlink(missing_ok=True)
    os.close(descriptor)
