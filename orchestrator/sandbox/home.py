"""Where a sandbox keeps what it holds: a folder of the user's (`--data DIR`), or a temporary one that goes with it.

How something lasts
-------------------
Whoever holds state keeps each piece of it as one record: `ledger.note(kind, key, record)` after every change, where
`record()` gives the piece as JSON; `ledger.forget(kind, key)` when it's gone; and at the start
`ledger.records(kind)` gives all of them, in the order in which they were first noted. `note` is cheap: it only
remembers, and whatever changes several times between two flushes is written once. The server flushes before each
answer and several times a second besides, in one transaction: what was answered is on disk, and what belongs
together changes together. `orchestrator.sandbox.plain` makes JSON of dataclasses and back.

Files beside the records go into a folder of the home's, `home.folder("objects")`; what they are needed for no longer
is removed by `ledger.when_kept(path.unlink)`, that is, not before the disk knows that nothing refers to it.
Without `--data` all of this costs nothing: notes are dropped, and `records` is empty.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from orchestrator.sandbox.errors import Json

FORMAT = 1
"""Of the records; a folder with another one is refused."""
_FILE, _LOCK = "sandbox.db", "lock"


class HomeError(OSError):
    """The folder can't be used; the message says why, and what to do."""


class Ledger:
    """A ledger that keeps nothing."""

    def note(self, kind: str, key: str, record: Callable[[], Json]) -> None:
        """This piece has changed. `record` is called at the next flush."""

    def forget(self, kind: str, key: str) -> None:
        """This piece is gone."""

    def when_kept(self, action: Callable[[], object]) -> None:
        """Runs the action once all that was noted so far is on disk."""
        action()

    def records(self, kind: str) -> Iterator[tuple[str, Json]]:  # noqa: ARG002 - there are none
        """Key and piece, as they were at the last flush."""
        return iter(())

    def flush(self) -> None:
        """Puts on disk what was noted. Raises OSError when the disk doesn't take it; the notes stay then."""


class FileLedger(Ledger):
    """A ledger in an SQLite database; each flush is a transaction that outlasts the process, and the machine."""

    def __init__(self, path: Path) -> None:
        """Raises HomeError."""
        self._path = path
        self._notes: dict[tuple[str, str], tuple[Callable[[], Json] | None, bool]] = {}
        self._actions: list[Callable[[], object]] = []
        try:
            self._open()
        except sqlite3.Error as error:
            raise HomeError(f"{path} can't be read: {error}; name another folder, or remove this one") from None

    def _open(self) -> None:
        self._database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, FORMAT):
            raise HomeError(
                f"{self._path.parent} was written by another version of the sandbox (format {version}, this one has "
                f"{FORMAT}); name another folder"
            )
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS records (id INTEGER PRIMARY KEY, kind TEXT, key TEXT, data TEXT, "
            "UNIQUE (kind, key))"
        )
        self._database.execute(f"PRAGMA user_version = {FORMAT}")

    def note(self, kind: str, key: str, record: Callable[[], Json]) -> None:
        old = self._notes.get((kind, key))
        # What was forgotten and comes again takes its place at the end of the order.
        self._notes[kind, key] = (record, old is not None and (old[1] or old[0] is None))

    def forget(self, kind: str, key: str) -> None:
        self._notes[kind, key] = (None, False)

    def when_kept(self, action: Callable[[], object]) -> None:
        self._actions.append(action)

    def records(self, kind: str) -> Iterator[tuple[str, Json]]:
        rows = self._database.execute("SELECT key, data FROM records WHERE kind = ? ORDER BY id", (kind,))
        for key, data in rows.fetchall():
            yield key, json.loads(data)

    def flush(self) -> None:
        if self._notes:
            try:
                with self._database:
                    self._database.execute("BEGIN IMMEDIATE")
                    self._write()
            except sqlite3.Error as error:
                raise HomeError(f"the sandbox can't write to {self._path}: {error}") from error
            self._notes.clear()
        actions, self._actions = self._actions, []
        for action in actions:
            action()

    def _write(self) -> None:
        execute = self._database.execute
        for (kind, key), (record, is_new) in self._notes.items():
            if record is None or is_new:
                execute("DELETE FROM records WHERE kind = ? AND key = ?", (kind, key))
            if record is not None:
                execute(
                    "INSERT INTO records (kind, key, data) VALUES (?, ?, ?) "
                    "ON CONFLICT (kind, key) DO UPDATE SET data = excluded.data",
                    (kind, key, json.dumps(record())),
                )

    def close(self) -> None:
        self.flush()
        self._database.close()


class Home:
    """The folder, and the ledger in it."""

    def __init__(self, path: Path, ledger: Ledger, *, is_lasting: bool) -> None:
        self.path = path
        self.ledger = ledger
        self.is_lasting = is_lasting
        self._stack = ExitStack()

    def folder(self, name: str) -> Path:
        """A folder for files, made when it's first asked for."""
        folder = self.path / name
        folder.mkdir(exist_ok=True)
        return folder

    def close(self) -> None:
        """Flushes; a temporary folder goes."""
        self._stack.close()


def open_home(data: Path | None) -> Home:
    """`data`: the folder that lasts; made when it isn't there. Raises HomeError."""
    with ExitStack() as stack:
        if data is None:
            temporary = tempfile.TemporaryDirectory(prefix="orchestrator-sandbox-", ignore_cleanup_errors=True)
            stack.callback(temporary.cleanup)
            home = Home(Path(temporary.name), Ledger(), is_lasting=False)
        else:
            stack.enter_context(_lock(_usable(data.absolute())))
            ledger = FileLedger(data.absolute() / _FILE)
            stack.callback(ledger.close)
            home = Home(data.absolute(), ledger, is_lasting=True)
        home._stack = stack.pop_all()  # noqa: SLF001 - it's made here and nowhere else
    return home


def _usable(path: Path) -> Path:
    """The folder, made or found to be a sandbox's. Raises HomeError."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        strangers = [one.name for one in path.iterdir() if one.name != _LOCK]
    except OSError as error:
        raise HomeError(f"{path} can't be the sandbox's folder: {error.strerror}") from None
    if strangers and not (path / _FILE).is_file():
        raise HomeError(f"{path} isn't empty and isn't a sandbox's folder; name an empty or a new one")
    return path


def _lock(folder: Path) -> IO[str]:
    """One process for one folder, until it closes the file or dies. Raises HomeError."""
    try:
        file = (folder / _LOCK).open("a+")
    except OSError as error:
        raise HomeError(f"{folder} can't be the sandbox's folder: {error.strerror}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise HomeError(
            f"{folder} is in use by another sandbox (process {holder}); end that one, or name another folder"
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
