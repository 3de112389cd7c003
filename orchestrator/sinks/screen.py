"""The terminal that a view draws on: its size, whether it can take more, and whether it shows what is typed."""

from __future__ import annotations

import io
import os
import select
import signal
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from orchestrator.sinks.painter import Size


class Screen:
    """A stream that leads to a terminal, most likely: what can't be found out has a usual answer."""

    def __init__(self, stream: TextIO, env: Mapping[str, str]) -> None:
        self._stream = stream
        self._env = env

    @property
    def wants_colours(self) -> bool:
        """By the convention of no-color.org."""
        return not self._env.get("NO_COLOR")

    @property
    def draws_blocks(self) -> bool:
        """Whether the encoding has more than ASCII."""
        return (getattr(self._stream, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")

    def size(self) -> Size:
        found = (0, 0)
        with suppress(OSError, ValueError):
            found = os.get_terminal_size(self._stream.fileno())
        columns, rows = found
        return Size(columns or self._number("COLUMNS", 80), rows or self._number("LINES", 24))

    def _number(self, name: str, usual: int) -> int:
        value = self._env.get(name, "")
        return int(value) if value.isdecimal() and int(value) else usual

    def takes_more(self) -> bool:
        """False while somebody holds the output (Ctrl-S): a release doesn't wait for that."""
        try:
            return bool(select.select([], [self._stream.fileno()], [], 0)[1])
        except (OSError, ValueError):  # it has no descriptor, or is gone: to write to it tells
            return True

    def write(self, text: str) -> None:
        """At once and past the stream's buffer, where what can't be written would stay. Raises OSError or ValueError
        when the terminal is gone."""
        try:
            number = self._stream.fileno()
        except io.UnsupportedOperation:  # a stream in memory
            self._stream.write(text)
            return
        data = text.encode(self._stream.encoding or "utf-8", "replace")
        while data:
            data = data[os.write(number, data) :]

    @contextmanager
    def keys_unseen(self) -> Iterator[None]:
        """What is typed isn't shown: it would stand in the middle of the picture. Keys such as Ctrl-C still work."""
        before = self._show_keys(None)
        try:
            yield
        finally:
            if before is not None:
                self._show_keys(before)

    def hide_keys(self) -> None:
        """Again, after the process was stopped and went on: the shell has put the terminal back meanwhile."""
        self._show_keys(None)

    def _show_keys(self, wanted: list[Any] | None) -> list[Any] | None:
        """Sets the terminal's modes (None: as they are, without echo). The modes before; None where that can't be.

        In the background the terminal is somebody else's: it stays as it is.
        """
        with suppress(OSError, ValueError, termios.error):
            number = self._stream.fileno()
            if os.tcgetpgrp(number) != os.getpgrp():
                return None
            before = termios.tcgetattr(number)
            modes = before if wanted is None else wanted
            if wanted is None:
                modes = [*before]
                modes[3] = before[3] & ~termios.ECHO
            with _unstopped():
                termios.tcsetattr(number, termios.TCSANOW, modes)  # to drain it would be to wait where it is held
            return before
        return None


@contextmanager
def _unstopped() -> Iterator[None]:
    """Who changes a terminal's modes from the background is stopped; here that may happen between look and change."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
