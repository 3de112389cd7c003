"""Runs in a local folder: `<root>/runs/<run>/journal.jsonl`, one JSON object a line."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import anyio
import anyio.to_thread

from orchestrator.core.errors import StateError, UsageError
from orchestrator.core.state import RunState
from orchestrator.store.faults import cannot
from orchestrator.store.journal import JournalFile
from orchestrator.store.reading import JournalContents, fold, parse_journal
from orchestrator.store.runs import JOURNAL, WRITER, RunSummary, summarise
from orchestrator.store.writer import lock

DEFAULT_ROOT = Path(".orchestrator")

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHOWN = 5


class LocalStore:
    """The runs of one folder. Reading never locks and never writes; a folder that isn't there holds no runs."""

    def __init__(self, root: Path = DEFAULT_ROOT) -> None:
        self.root = root

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
        descriptor, size = await anyio.to_thread.run_sync(opening, folder)
        try:
            journal = JournalFile(descriptor, folder / JOURNAL, size=size)
            try:
                yield journal
            except BaseException as error:
                await _last_flush(journal, failed=error)
                raise
            await _last_flush(journal, failed=None)
        finally:
            _leave(descriptor, folder / WRITER)

    # --- reading -----------------------------------------------------------------------------------------------------

    def runs(self) -> list[RunSummary]:
        """All runs, newest first; those that can't be read too, with their `problem`. Raises `StateError`."""
        summaries = [summarise(self.root / "runs" / run) for run in self._names()]
        return sorted(summaries, key=lambda summary: (summary.started_at, summary.run), reverse=True)

    def resolve(self, run: str | None) -> str:
        """The id of the run that is meant: by its id, an unambiguous beginning of it, or None for the newest.

        Raises `UsageError` when that is no run, or more than one.
        """
        if run is None:
            return self._newest()
        names = self._names()
        if run in names:
            return run
        matches = [name for name in names if name.startswith(run)] if run else []
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise UsageError(
                f"{run!r} is the beginning of {len(matches)} runs: {_some(matches)}", hint="write more of it"
            )
        raise UsageError(f"no run {run!r} in {self.root}", hint=_suggest(run, names))

    def read_journal(self, run: str) -> JournalContents:
        """The records of the run with this id. Raises `UsageError` when there is none, `StateError` when damaged."""
        path = self._folder(run) / JOURNAL
        try:
            return parse_journal(path.read_bytes(), path)
        except FileNotFoundError:
            raise UsageError(f"no run {run!r} in {self.root}", hint=_suggest(run, self._names())) from None
        except OSError as error:
            raise cannot("read", path, error) from error

    def load_state(self, run: str) -> RunState:
        """The state of the run with this id; empty when nothing was recorded. Raises as `read_journal` does."""
        return fold(self.read_journal(run).records, self._folder(run) / JOURNAL)

    def _folder(self, run: str) -> Path:
        if not _RUN_ID.fullmatch(run):
            raise UsageError(f"{run!r} is no run id", hint="letters, digits and . _ - make one; see: orchestrator runs")
        return self.root / "runs" / run

    def _names(self) -> list[str]:
        runs = self.root / "runs"
        try:
            with os.scandir(runs) as entries:
                return sorted(entry.name for entry in entries if _RUN_ID.fullmatch(entry.name) and entry.is_dir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise cannot("read", runs, error) from error

    def _newest(self) -> str:
        runs = self.runs()
        newest = next((run for run in runs if run.problem is None), None)
        if newest is not None:
            return newest.run
        if runs:
            message = f"none of the {len(runs)} runs in {self.root} can be read; {runs[0].run}: {runs[0].problem}"
            raise StateError(message, hint="see: orchestrator runs")
        raise UsageError(f"there are no runs in {self.root}", hint="start one with: orchestrator apply MANIFEST")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[-_SHOWN:]) + more


def _suggest(run: str, names: list[str]) -> str:
    close_names = difflib.get_close_matches(run, names, n=3)
    if close_names:
        return f"did you mean {' or '.join(close_names)}?"
    return f"there are: {_some(names)}" if names else "there are no runs here; is this the right folder (--state)?"


# --- opening and closing ---------------------------------------------------------------------------------------------


def _create(folder: Path) -> tuple[int, int]:
    """A new journal's descriptor and size; in a worker thread."""
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
                _sync(parent)
    except FileNotFoundError as error:
        raise cannot("create", folder / JOURNAL, error) from error
    return descriptor, 0


def _reopen(folder: Path) -> tuple[int, int]:
    """An old journal's descriptor and size; in a worker thread."""
    path = folder / JOURNAL
    try:
        with _opened(folder, 0) as descriptor:
            size = parse_journal(path.read_bytes(), path).sound_bytes
            os.ftruncate(descriptor, size)
    except FileNotFoundError:
        raise UsageError(f"no run {folder.name!r} in {folder.parent.parent}", hint="see: orchestrator runs") from None
    return descriptor, size


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


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def _last_flush(journal: JournalFile, *, failed: BaseException | None) -> None:
    """Raises `StateError` when it fails; if the run has `failed` already, the fault becomes a note of that error."""
    try:
        with anyio.CancelScope(shield=True):
            await journal.flush()
    except StateError as fault:
        if failed is None:
            raise
        failed.add_note(f"besides: {fault.message}")


def _leave(descriptor: int, note: Path) -> None:
    """The note goes while we still hold the lock: a moment later it may be our successor's."""
    with suppress(OSError):
        note.unlink(missing_ok=True)
    os.close(descriptor)
