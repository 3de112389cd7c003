"""The live table on a terminal: drawn by a timer from the run's state; gone at the end, and the cursor back, always.

What matters later (failures, warnings) is printed above the table and stays. The summary is the caller's to print.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

import anyio

from orchestrator.core.events import Record
from orchestrator.core.model import TargetState
from orchestrator.core.state import RunState
from orchestrator.sinks.frame import frame
from orchestrator.wording.phrases import phrase
from orchestrator.wording.text import clock_time, one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

INTERVAL = 0.25
"""Seconds between two looks at the state; nothing is drawn when nothing changed."""

_COLOURS = {
    TargetState.RUNNING: "cyan",
    TargetState.BAKING: "cyan",
    TargetState.STARTING: "cyan",
    TargetState.ROLLING_BACK: "yellow",
    TargetState.BLOCKED: "yellow",
    TargetState.FAILED: "red",
    TargetState.TIMED_OUT: "red",
    TargetState.STOPPED: "red",
    TargetState.ERRORED: "red",
    TargetState.ROLLED_BACK: "red",
    TargetState.SUCCEEDED: "green",
    TargetState.UNCHANGED: "green",
}


class LiveSink:
    """Takes note of events; `run` draws."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives epoch seconds, for ages."""
        self._stream = stream
        self._clock = clock
        self._state: RunState | None = None
        self._above: list[str] = []

    def handle(self, record: Record, state: RunState) -> None:
        self._state = state
        said = phrase(record, state)
        if said is not None and said.urgent:
            about = f"{said.about}  " if said.about else ""
            self._above += [f"{clock_time(record.ts)} {about}{said.text}", *(f"         {line}" for line in said.below)]

    def say(self, text: str) -> None:
        """A line that is no event, such as what a signal does; above the table, where it stays."""
        self._above.append(f"{clock_time(self._clock())} {one_line(text)}")

    async def run(self) -> None:
        """Draws until it is cancelled or the terminal goes away.

        Leaves the terminal as it was, with what was printed above the table.
        """
        from rich.live import Live  # noqa: PLC0415 - 50 ms of import that only a terminal needs

        console = make_console(self._stream)
        try:
            with Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False) as live:
                try:
                    await self._draw_for_ever(console, live)
                finally:
                    self._print_above(console)
        except (OSError, ValueError):
            return  # the terminal is gone; the release is not

    async def _draw_for_ever(self, console: Console, live: Live) -> None:
        drawn: tuple[object, ...] = ()
        while True:
            self._print_above(console)
            now = self._clock()
            state = self._state
            # Ages tick in whole seconds: between two ticks, without an event, a new picture would be the same.
            key = (state.last_seq if state is not None else -1, int(now), console.size)
            if state is not None and key != drawn:
                live.update(picture(state, now=now, console=console), refresh=True)
                drawn = key
            await anyio.sleep(INTERVAL)

    def _print_above(self, console: Console) -> None:
        above, self._above = self._above, []
        for line in above:
            console.print(line, soft_wrap=True)


def make_console(stream: TextIO) -> Console:
    """Without rich's readings of the text: no markup, no emoji codes, no highlighting. NO_COLOR is rich's own."""
    from rich.console import Console  # noqa: PLC0415 - as above

    return Console(file=stream, markup=False, emoji=False, highlight=False)


def picture(state: RunState, *, now: float, console: Console) -> Text:
    """The state as rich text that fits the console."""
    from rich.text import Text  # noqa: PLC0415 - as above

    # The last column stays free: some terminals begin a new line there. So does the last line, for the cursor.
    lines = frame(state, now=now, width=console.width - 1, height=console.height - 1)
    text = Text(no_wrap=True, overflow="ellipsis", end="")
    for number, line in enumerate(lines):
        style = _COLOURS.get(line.state, "dim") if line.state is not None else ""
        text.append(line.text if number == len(lines) - 1 else line.text + "\n", style=style)
    return text
