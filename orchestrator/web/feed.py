"""One run, followed while somebody looks: drawn once for all who do, and never more often than they can see."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

import anyio

from orchestrator.core.blobs import UnreachableError
from orchestrator.core.errors import StateError, UsageError
from orchestrator.core.events import Record
from orchestrator.core.ports import Sink
from orchestrator.core.runs import RunTail
from orchestrator.core.state import RunState
from orchestrator.web.board import MAIN, Board
from orchestrator.web.chronicle import Chronicle
from orchestrator.web.html import Markup, in_url
from orchestrator.web.pages import content, fragments, shape
from orchestrator.web.view import RunView

OpenTail = Callable[[Sequence[Sink]], RunTail]
IsAlive = Callable[[], Awaitable[bool]]

MOST_OFTEN = 0.1
"""Seconds from one drawing to the next, at least."""
SHARE = 0.2
"""Of the time, at most, that drawing may take while events pour in: it isn't what this machine is for."""
TICK = 1.0
"""Seconds after which a drawing is done anew without any event, for the clocks in it."""
TICK_SHARE = 20
"""Such a drawing may take a twentieth of the time at most."""
TICKED = 400
"""Elements a second, at most, that it may change: browsers have to lay them out, and events come first."""
MANY = 600
"""With more elements than these an event changes only those of its own targets at once; clocks, and what follows from
the event for others, wait for the next drawing of all."""
RETRY = 1.0
"""Seconds, after the state couldn't be read."""
ALIVE_EVERY = 2.0
"""Seconds between two looks at whether a process carries the run on."""


class Feed(Board):
    """A run's state as far as it is known here, and its drawing."""

    def __init__(self, run: str, open_tail: OpenTail, is_alive: IsAlive, clock: Callable[[], float]) -> None:
        """`clock` gives epoch seconds. Raises `UsageError` for what is no run's id."""
        super().__init__()
        self.run = run
        self.problem: str | None = None
        """Why the state can't be read just now."""
        self._open_tail = open_tail
        self._is_alive = is_alive
        self._clock = clock
        self._alive = False
        self._looked = -math.inf
        self._shape = ""
        self._due = -math.inf  # when it is to be drawn without an event, by the loop's clock
        self._reading = anyio.Lock()
        self._touched = Touched()
        self._chronicle = Chronicle()
        self._tail = open_tail([self._chronicle, self._touched])

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
        self._tail = self._open_tail([self._chronicle, self._touched])

    async def _look_for_life(self) -> None:
        if anyio.current_time() - self._looked >= ALIVE_EVERY:
            self._alive = not self.state.is_finished and await self._is_alive()
            self._looked = anyio.current_time()

    # --- following ---------------------------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Reads and draws while somebody looks. Never returns; cancel it."""
        while True:
            await self.looked_at()
            try:
                came = await self.refresh()
            except UsageError as error:  # somebody has taken the run away
                came, self.problem = self.problem != str(error), str(error)
            if came or self._is_due:
                await anyio.sleep(self.draw(all_of_it=self._is_due))
            if self.problem is not None:
                await anyio.sleep(RETRY)
            else:
                with anyio.move_on_after(max(0.0, self._due - anyio.current_time())):
                    await self._tail.wait()

    async def up_to_date(self) -> None:
        """Before a page is made. Raises as `refresh` does."""
        if self.is_watched and self.version:
            return  # `follow` sees to it
        came = await self.refresh()
        if came or self.version == 0:
            self.draw()

    async def finish(self) -> None:
        """The last drawing, for those who look."""
        with suppress(UsageError):
            if self.is_watched and await self.refresh():
                self.draw()
        self.close()

    @property
    def _is_due(self) -> bool:
        return anyio.current_time() >= self._due

    def draw(self, *, all_of_it: bool = True) -> float:
        """Draws anew; returns for how many seconds it should not be done again. Without `all_of_it`: see `MANY`."""
        began = anyio.current_time()
        view, now = self.view, self._clock()
        found: Mapping[str, Markup] = fragments(view, now)
        new_shape = shape(view, now)
        whole = new_shape != self._shape
        touched = self._touched.emptied()
        if whole:
            self._shape = new_shape
            found = {MAIN: content(view, now), **found}
        elif not all_of_it and len(found) > MANY and not self.is_over:
            found = {name: markup for name, markup in found.items() if _belongs(name, touched)}
        changed = self.put(found, view.state.last_seq, whole=whole)
        took = anyio.current_time() - began
        if self.is_over:
            self._due = math.inf
        elif all_of_it or whole:
            self._due = began + max(TICK, took * TICK_SHARE, changed / TICKED)
        return max(MOST_OFTEN, took / SHARE) - took

    def whole(self) -> Markup:
        return content(self.view, self._clock())


class Touched:
    """A sink that remembers which targets events were about."""

    def __init__(self) -> None:
        self._targets: set[str] = set()

    def handle(self, record: Record, state: RunState) -> None:  # noqa: ARG002 - the port's
        one = getattr(record.event, "target", None)
        several = getattr(record.event, "targets", ())
        self._targets.update(in_url(each) for each in (one, *several) if isinstance(each, str))

    def emptied(self) -> frozenset[str]:
        """As they stand in the ids of elements."""
        found, self._targets = frozenset(self._targets), set()
        return found


def _belongs(element: str, targets: frozenset[str]) -> bool:
    """Whether the element is of one of these targets, or of none."""
    kind, slash, target = element.partition("/")
    return not slash or kind == "tally" or target in targets
