"""One run, followed while somebody looks: drawn once for all who do, and never more often than they can see."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import anyio

from orchestrator.core.blobs import UnreachableError
from orchestrator.core.errors import StateError, UsageError
from orchestrator.core.ports import Sink
from orchestrator.core.runs import RunTail
from orchestrator.core.state import RunState
from orchestrator.web.chronicle import Chronicle
from orchestrator.web.html import Markup
from orchestrator.web.pages import content, fragments, shape
from orchestrator.web.view import RunView

OpenTail = Callable[[Sequence[Sink]], RunTail]
IsAlive = Callable[[], Awaitable[bool]]

MOST_OFTEN = 0.1
"""Seconds from one drawing to the next, at least; besides, drawing may take half of the time at most."""
TICK = 1.0
"""Seconds after which a drawing is done anew without any event, for the clocks in it."""
TICK_SHARE = 20
"""Such a drawing may take a twentieth of the time at most."""
RETRY = 1.0
"""Seconds, after the state couldn't be read."""
ALIVE_EVERY = 2.0
"""Seconds between two looks at whether a process carries the run on."""

MAIN = "main"
"""The element that holds all that `content` draws."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """An element as it is now."""

    markup: Markup
    version: int
    """The drawing in which it came to be so."""
    seq: int
    """The run's last event then."""


class Feed:
    """A run's state as far as it is known here, and its drawing.

    There is no queue for anybody: whoever looks asks for what has changed since the version that they have, so that a
    slow browser skips what it had no time for. All of it happens on one event loop.
    """

    def __init__(self, run: str, open_tail: OpenTail, is_alive: IsAlive, *, clock: Callable[[], float]) -> None:
        """`clock` gives epoch seconds. Raises `UsageError` for what is no run's id."""
        self.run = run
        self.version = 0
        """Of the newest drawing; 0: there is none yet."""
        self.problem: str | None = None
        """Why the state can't be read just now."""
        self._open_tail = open_tail
        self._is_alive = is_alive
        self._clock = clock
        self._alive = False
        self._looked = -math.inf
        self._drawn: dict[str, Drawn] = {}
        self._shape = ""
        self._due = -math.inf  # when it is to be drawn without an event, by the loop's clock
        self._moved = anyio.Event()
        self._reading = anyio.Lock()
        self._lookers = 0
        self._looked_at = anyio.Event()
        self._chronicle = Chronicle()
        self._tail = open_tail([self._chronicle])

    # --- what is known -----------------------------------------------------------------------------------------------

    @property
    def state(self) -> RunState:
        return self._tail.state

    @property
    def view(self) -> RunView:
        told = self._chronicle.told
        return RunView(run=self.run, state=self.state, told=told, alive=self._alive, problem=self.problem)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be expected, as far as anybody can know."""
        return self.state.is_finished and self.problem is None

    async def refresh(self) -> bool:
        """Reads what has come: whether there was anything, or the trouble with the state has changed.

        Raises `UsageError` when there is no such run; for all else see `problem`.
        """
        async with self._reading:
            before = (self.problem, self._alive)
            came = 0
            try:
                came = await self._tail.read()
                await self._look_for_life()
                self.problem = None
            except UsageError:
                self._start_over()
                raise
            except UnreachableError as error:
                self.problem = str(error)
            except StateError as error:
                self.problem = str(error)
                self._start_over()
            return bool(came) or (self.problem, self._alive) != before

    def _start_over(self) -> None:
        self._chronicle = Chronicle()
        self._tail = self._open_tail([self._chronicle])

    async def _look_for_life(self) -> None:
        if anyio.current_time() - self._looked >= ALIVE_EVERY:
            self._alive = not self.state.is_finished and await self._is_alive()
            self._looked = anyio.current_time()

    # --- following ---------------------------------------------------------------------------------------------------

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Somebody looks, for the block."""
        self._lookers += 1
        self._looked_at.set()
        try:
            yield
        finally:
            self._lookers -= 1
            if not self.is_watched:
                self._looked_at = anyio.Event()

    @property
    def is_watched(self) -> bool:
        return self._lookers > 0

    async def follow(self) -> None:
        """Reads and draws while somebody looks. Never returns; cancel it."""
        while True:
            await self._looked_at.wait()
            try:
                came = await self.refresh()
            except UsageError as error:  # somebody has taken the run away
                came, self.problem = self.problem != str(error), str(error)
            if came or anyio.current_time() >= self._due:
                await anyio.sleep(self.draw())
            if self.problem is not None:
                await anyio.sleep(RETRY)
            else:
                with anyio.move_on_after(max(0.0, self._due - anyio.current_time())):
                    await self._tail.wait()

    # --- drawing -----------------------------------------------------------------------------------------------------

    def draw(self) -> float:
        """Draws anew; returns for how many seconds it should not be done again."""
        began = anyio.current_time()
        view, now = self.view, self._clock()
        self.version += 1
        found: Mapping[str, Markup] = fragments(view, now)
        new_shape = shape(view, now)
        if new_shape != self._shape:
            self._shape, self._drawn = new_shape, {}
            found = {MAIN: content(view, now), **found}
        for name, markup in found.items():
            known = self._drawn.get(name)
            if known is None or known.markup != markup:
                self._drawn[name] = Drawn(markup, self.version, view.state.last_seq)
        moved, self._moved = self._moved, anyio.Event()
        moved.set()
        took = anyio.current_time() - began
        self._due = math.inf if self.is_over else began + max(TICK, took * TICK_SHARE)
        return max(MOST_OFTEN - took, took)

    async def newer(self, version: int) -> None:
        """Until there is a newer drawing than this."""
        while self.version <= version:
            await self._moved.wait()

    def since(self, version: int) -> Mapping[str, Markup]:
        """The elements that have changed after this drawing, by their ids."""
        return self._pick(lambda drawn: drawn.version > version)

    def since_event(self, seq: int) -> Mapping[str, Markup]:
        """Those that may have changed after this event; all, for whoever comes from somewhere else."""
        if seq > self.state.last_seq:
            return self.since(0)
        return self._pick(lambda drawn: drawn.seq >= seq)

    def _pick(self, wanted: Callable[[Drawn], bool]) -> Mapping[str, Markup]:
        main = self._drawn.get(MAIN)
        if main is not None and wanted(main):  # its parts needn't be sent, too
            return {MAIN: content(self.view, self._clock())}
        return {name: drawn.markup for name, drawn in self._drawn.items() if name != MAIN and wanted(drawn)}
