"""What the runs of a state say together, read as far as it is needed and remembered: for `serve` and `runs --stats`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import anyio
import anyio.to_thread

from orchestrator.app.stores import open_state
from orchestrator.core.concurrent import map_limited
from orchestrator.core.delivery import WINDOWS, Release, release_of
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.model import Outcome
from orchestrator.core.runs import RunStore, RunSummary, RunTail
from orchestrator.core.state import RunState
from orchestrator.sinks.exposition import Format, render
from orchestrator.sinks.history import families_of
from orchestrator.sinks.negotiation import metrics_response

EVERY = 10.0
"""Seconds: where each look at the state is paid for."""

PATIENCE = 5.0
"""Seconds of reading for one answer, since a scraper waits for ten; the next answer goes on from there."""

AT_ONCE = 8
"""Journals that are read side by side."""

MOST = 2_000
"""Runs that are looked at, from the newest on."""

_Seen = tuple[str, float | None]
"""By what a run's summary is known to have changed."""


@dataclass(frozen=True, slots=True)
class _Read:
    seen: _Seen
    release: Release | None


class History:
    """The releases of a state. Each journal is read once, and those that go on again."""

    def __init__(self, runs: RunStore, *, every: float = EVERY, clock: Callable[[], float] = time.time) -> None:
        """`every`: seconds between two looks at the state, however often it is scraped; `clock` gives epoch seconds."""
        self._runs = runs
        self._every = every
        self._clock = clock
        self._read: dict[str, _Read] = {}
        self._tails: dict[str, RunTail] = {}
        self._unread: list[RunSummary] = []
        self._looked: float | None = None
        self._looking = anyio.Lock()

    @property
    def releases(self) -> list[Release]:
        return [read.release for read in self._read.values() if read.release is not None]

    async def answer(self, accept: str, accept_encoding: str) -> tuple[bytes, dict[str, str]]:
        """The body and the headers for a scrape, whose headers are the arguments. Raises `StateError`."""
        await self.look()
        families = partial(families_of, self.releases, len(self._unread), self._clock())

        def rendered(form: Format) -> bytes:
            return render(families(), form)

        return await anyio.to_thread.run_sync(metrics_response, rendered, accept, accept_encoding)

    async def look(self, patience: float = PATIENCE) -> None:
        """Reads what has come, for so many seconds. Raises `StateError` when the runs can't be listed."""
        async with self._looking:
            now = anyio.current_time()
            if self._looked is None or now - self._looked >= self._every:
                self._unread = self._to_read(await self._runs.list_runs())
                self._looked = now
            with anyio.move_on_after(patience):
                await map_limited(self._read_one, list(self._unread), limit=AT_ONCE)

    def _to_read(self, summaries: Iterable[RunSummary]) -> list[RunSummary]:
        """Newest first: all of the longest window, and before it of each manifest and environment the last runs.

        What has gone from the state is forgotten.
        """
        since = self._clock() - max(WINDOWS.values())
        wanted: dict[str, RunSummary] = {}
        known_streams: set[tuple[str, str, bool]] = set()
        for summary in list(summaries)[:MOST]:
            stream = (summary.manifest, summary.environment, summary.outcome is Outcome.SUCCEEDED)
            is_recent = (summary.last_at or summary.started_at) >= since
            if summary.rollback_of is None and summary.problem is None and (is_recent or stream not in known_streams):
                wanted[summary.run] = summary
                known_streams.add(stream)
        self._read = {run: read for run, read in self._read.items() if run in wanted}
        self._tails = {run: tail for run, tail in self._tails.items() if run in wanted}
        return [each for each in wanted.values() if self._has_moved(each)]

    def _has_moved(self, summary: RunSummary) -> bool:
        read = self._read.get(summary.run)
        return read is None or read.seen != _seen(summary) or _is_live(summary)

    async def _read_one(self, summary: RunSummary) -> None:
        release: Release | None = None
        with suppress(OrchestratorError):  # the list of runs says what is wrong with it; the others count all the same
            release = release_of(await self._state_of(summary))
        self._read[summary.run] = _Read(_seen(summary), release)
        self._unread = [each for each in self._unread if each.run != summary.run]

    async def _state_of(self, summary: RunSummary) -> RunState:
        """Of a run that goes on, only what is new is read each time."""
        tail = self._tails.pop(summary.run, None) or self._runs.tail(summary.run)
        await tail.read()
        if _is_live(summary):
            self._tails[summary.run] = tail  # not when it was called off in the middle
        return tail.state


async def read_releases(state: str | None, env: Mapping[str, str]) -> list[Release]:
    """All of a state that counts, however long that takes."""
    async with open_state(state, None, env) as kept:
        history = History(kept.runs)
        await history.look(math.inf)
        return history.releases


def _is_live(summary: RunSummary) -> bool:
    return summary.outcome is Outcome.RUNNING and summary.writer is not None


def _seen(summary: RunSummary) -> _Seen:
    return str(summary.outcome), summary.last_at
