"""The live view on a terminal: drawn by a timer from the run's state; gone at the end, and the cursor back, always.

What matters later (failures, warnings) is printed above the picture and stays. The summary is the caller's to print.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import textwrap
import time
from collections.abc import Callable, Mapping
from typing import TextIO

import anyio

from orchestrator.core.events import Record
from orchestrator.core.forecast import Forecast, forecast
from orchestrator.core.state import RunState
from orchestrator.sinks.frame import Surroundings, frame
from orchestrator.sinks.lines import FANCY, PLAIN, Line
from orchestrator.sinks.painter import HIDE, SHOW, Painter, Size
from orchestrator.sinks.screen import Screen
from orchestrator.wording.cells import cells
from orchestrator.wording.phrases import phrase
from orchestrator.wording.text import clock_time, one_line

INTERVAL = 0.25
"""Seconds between two looks at the state; nothing is drawn when nothing changed."""

Rates = Callable[[], Mapping[tuple[str, str], float]]
"""Calls a second that the budgets allow, by (service, region)."""


class LiveSink:
    """Takes note of events; `run` draws."""

    def __init__(
        self,
        stream: TextIO,
        *,
        clock: Callable[[], float] = time.time,
        rates: Rates = dict,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """`clock` gives epoch seconds, for ages."""
        self._screen = Screen(stream, os.environ if env is None else env)
        self._painter = Painter(colours=self._screen.wants_colours)
        self._glyphs = FANCY if self._screen.draws_blocks else PLAIN
        self._clock = clock
        self._rates = rates
        self._state: RunState | None = None
        self._above: list[str] = []
        self._drawn: tuple[object, ...] = ()
        self._estimate: tuple[int, Forecast] | None = None
        self._draws = False
        """Whether there is a picture, above which everything else is said."""

    def handle(self, record: Record, state: RunState) -> None:
        self._state = state
        said = phrase(record, state)
        if said is not None and said.urgent:
            about = f"{said.about}  " if said.about else ""
            below = [f"         {line}" for line in said.below]
            self._tell(f"{clock_time(record.ts)} {about}{said.text}", *below)

    def say(self, text: str) -> None:
        """A line that is no event, such as what a signal does; above the picture, where it stays."""
        self._tell(f"{clock_time(self._clock())} {one_line(text)}")

    def finish(self) -> None:
        """Where somebody held the terminal when `run` ended, it is given back now."""
        if self._draws:
            self._end()

    async def run(self) -> None:
        """Draws until it is cancelled, the terminal goes away or the picture can't be made.

        Leaves the terminal as it was, with what was said above the picture.
        """
        with self._screen.keys_unseen(), contextlib.redirect_stderr(_Above(self._above)):
            async with anyio.create_task_group() as beside:
                beside.start_soon(self._begin_again)
                try:
                    self._draws = self._written(HIDE)
                    await self._draw_again_and_again()
                    beside.cancel_scope.cancel()
                finally:
                    if self._draws and self._screen.takes_more():
                        self._end()

    async def _draw_again_and_again(self) -> None:
        while True:
            if not (self._draws and self._draw()):
                return
            await anyio.sleep(INTERVAL)

    def _tell(self, *lines: str) -> None:
        """Above the picture; at once where there is none, as while a lock is waited for."""
        self._above += lines
        if not self._draws:
            self._written("".join(f"{line}\n" for line in self._above))
            self._above.clear()

    def _end(self) -> None:
        self._draws = False
        self._written(self._painter.erase(self._take_above(), self._screen.size()) + SHOW)

    def _draw(self) -> bool:
        """False when there will be no further picture."""
        if not self._screen.takes_more():
            return True
        state, now, size = self._state, self._clock(), self._screen.size()
        # Ages tick in whole seconds: between two ticks, without an event, a new picture would be the same.
        key = (state.last_seq if state is not None else -1, int(now), size)
        if key == self._drawn and not self._above:
            return True
        try:
            picture = [] if state is None else self._picture(state, now, size)
        except Exception as error:  # noqa: BLE001 - no fault of a view may end a release
            self._above.append(f"warning: the picture can't be drawn any more: {type(error).__name__}: {error}")
            return False
        self._drawn = key
        return self._written(self._painter.draw(picture, self._take_above(), size))

    def _written(self, text: str) -> bool:
        """False when the terminal is gone; the release is not."""
        try:
            self._screen.write(text)
        except (OSError, ValueError):
            return False
        return True

    def _picture(self, state: RunState, now: float, size: Size) -> list[Line]:
        # The last column stays free, for some terminals begin a new line there; and the last line, for the cursor.
        rates = {region: rate for (_, region), rate in self._rates().items()}
        beside = Surroundings(rates=rates, glyphs=self._glyphs)
        estimate = self._forecast(state, now)
        return frame(state, now=now, width=size.columns - 1, height=size.rows - 1, beside=beside, estimate=estimate)

    def _forecast(self, state: RunState, now: float) -> Forecast:
        """Once a second: it changes no faster."""
        if self._estimate is None or self._estimate[0] != int(now):
            self._estimate = (int(now), forecast(state, now))
        return self._estimate[1]

    def _take_above(self) -> list[str]:
        """In lines that fit: where they go on they are indented."""
        columns = self._screen.size().columns
        above = [piece for text in self._above for piece in _wrap(text, columns - 1)]
        self._above.clear()
        return above

    async def _begin_again(self) -> None:
        """After Ctrl-Z and `fg` the picture is drawn anew, below what the shell has written meanwhile."""
        with anyio.open_signal_receiver(signal.SIGCONT) as received:
            async for _ in received:
                self._screen.hide_keys()
                self._painter.forget()
                self._drawn = ()
                self._written(HIDE)


def _wrap(text: str, width: int) -> list[str]:
    """What goes on in a next line stands a little to the right of where it began; what is copied keeps its words."""
    if cells(text) <= width:
        return [text]
    words = text.lstrip()
    start = " " * min(len(text) - len(words), width // 2)
    return textwrap.wrap(
        words, max(width, 20), initial_indent=start, subsequent_indent=f"{start}  ", break_on_hyphens=False
    )


class _Above(io.TextIOBase):
    """Stands in for stderr: what somebody else writes there would go into the middle of the picture."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._begun = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *whole, self._begun = (self._begun + text).split("\n")
        self._lines += [one_line(each) for each in whole]
        return len(text)
