"""All that can be looked at: the list of runs, and a feed for each run that somebody has asked for."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import anyio
from anyio.abc import TaskGroup

from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.core.events import Record
from orchestrator.core.ports import Sink
from orchestrator.core.runs import RunStore
from orchestrator.web.feed import Feed
from orchestrator.web.links import LATEST
from orchestrator.web.live import LiveTail
from orchestrator.web.runlist import RunList

KEPT = 16
"""Feeds that are kept when nobody looks, for whoever comes back: another one would read its journal from the start."""

LAST_LOOK = 1.0
"""Seconds, when the server ends."""

AGAIN = 1.0
"""Seconds, after a mistake of ours."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, slots=True)
class _Followed:
    feed: Feed
    scope: anyio.CancelScope
    """Of the task that follows it."""


class Hub:
    """Belongs to one event loop."""

    def __init__(
        self,
        store: RunStore,
        is_alive: Callable[[str], Awaitable[bool]],
        *,
        tasks: TaskGroup,
        list_every: float,
        clock: Callable[[], float],
    ) -> None:
        """`tasks`: where it follows what is looked at; `list_every`: seconds between two looks at the list of runs."""
        self.runs = RunList(store, every=list_every)
        self._store = store
        self._is_alive = is_alive
        self._tasks = tasks
        self._clock = clock
        self._feeds: dict[str, _Followed] = {}
        """Whichever was asked for last is the last."""
        self._live: LiveTail | None = None
        self._live_run: str | None = None
        tasks.start_soon(self._follow_runs)

    async def find(self, run: str) -> str:
        """The id of the run that is meant. Raises `UsageError`, and `StateError` as the store does."""
        if run == LATEST:
            return self._live_run or await self._store.find_run(None)
        return run if run in self._feeds else await self._store.find_run(run)

    async def feed(self, run: str) -> Feed:
        """The run with this id, up to date. Raises `UsageError` when there is none."""
        found = self._feeds.pop(run, None)
        if found is None:
            found = self._begin(Feed(run, partial(self._store.tail, run), partial(self._is_alive, run), self._clock))
        self._feeds[run] = found
        self._forget()
        try:
            await found.feed.up_to_date()
        except UsageError:
            self._end(run)
            raise
        return found.feed

    async def warm(self) -> None:
        """Reads and draws the newest run, which is what people look at first."""
        try:
            await self.feed(await self.find(LATEST))
        except Exception as error:  # noqa: BLE001 - whoever asks for it is told
            _log.debug("the newest run isn't ready: %s: %s", type(error).__name__, error)

    def take(self, records: Sequence[Record]) -> None:
        """Events of the run that this process carries on: the first of them is the run's first, and none is left out.

        If they can't be folded, which only a mistake of ours can do, its journal is followed as any other run's.
        """
        if self._live is None:
            self._live_run = records[0].run
            feed = Feed(self._live_run, self._open_live, _always, self._clock)
            self._end(feed.run)
            self._feeds[feed.run] = self._begin(feed)
        if self._live is not None and self._live_run is not None:
            try:
                self._live.take(records)
            except (OrchestratorError, LookupError, TypeError, ValueError, AttributeError) as error:
                _log.warning("the page follows the journal from here on: %s", error)
                self._end(self._live_run)
                self._live_run = None

    async def close(self) -> None:
        """Lets everybody see the last of it, as far as that is quick to know."""
        with anyio.move_on_after(LAST_LOOK):
            for followed in list(self._feeds.values()):
                await followed.feed.finish()
        for followed in self._feeds.values():
            followed.feed.close()
        self.runs.close()

    # --- feeds -------------------------------------------------------------------------------------------------------

    def _begin(self, feed: Feed) -> _Followed:
        scope = anyio.CancelScope()
        self._tasks.start_soon(self._follow, feed, scope)
        return _Followed(feed, scope)

    def _end(self, run: str) -> None:
        followed = self._feeds.pop(run, None)
        if followed is not None:
            followed.scope.cancel()
            followed.feed.close()

    def _forget(self) -> None:
        idle = [run for run, each in self._feeds.items() if not each.feed.is_watched and run != self._live_run]
        for run in idle[: max(0, len(self._feeds) - KEPT)]:
            self._end(run)

    async def _follow(self, feed: Feed, scope: anyio.CancelScope) -> None:
        with scope:
            try:
                await feed.follow()
            except Exception as error:  # noqa: BLE001 - one page that can't be drawn must not end the others, nor a run
                _log.warning("the page of run %s can't be drawn: %s: %s", feed.run, type(error).__name__, error)
                known = self._feeds.get(feed.run)
                if known is not None and known.feed is feed:
                    self._end(feed.run)

    async def _follow_runs(self) -> None:
        while True:
            try:
                await self.runs.follow()
            except Exception as error:  # noqa: BLE001 - as above
                _log.warning("the list of runs can't be drawn: %s: %s", type(error).__name__, error)
                await anyio.sleep(AGAIN)

    def _open_live(self, sinks: Sequence[Sink]) -> LiveTail:
        self._live = LiveTail(sinks)
        return self._live


async def _always() -> bool:
    return True
