"""Puts pictures onto a terminal, one over the other: only what differs is written, and nothing is wiped out before.

What is said above the picture scrolls away as any output does; the picture itself leaves nothing behind. At rest the
cursor stands at the beginning of the line below the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.sinks.lines import Line, Tone
from orchestrator.wording.cells import cells

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_REST_OF_LINE, _REST_OF_SCREEN = "\x1b[K", "\x1b[J"
_NEXT = "\r\n"

_CODES: dict[Tone, str] = {
    "": "",
    "strong": "\x1b[1m",
    "quiet": "\x1b[2m",
    "good": "\x1b[32m",
    "bad": "\x1b[31m",
    "busy": "\x1b[36m",
    "warn": "\x1b[33m",
}
_PLAIN = "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Size:
    columns: int
    rows: int


class Painter:
    """Knows what stands on the terminal, and gives the text that changes it; writing it is the caller's."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours
        self._drawn: list[str] = []
        self._widths: list[int] = []
        self._size: Size | None = None
        self._gone: list[int] = []
        """Widths of lines of the picture that went up when the terminal became lower, and come back when it grows."""

    def draw(self, picture: Sequence[Line], above: Sequence[str], size: Size) -> str:
        """The new picture, over the old one, below what is to be said above it.

        The picture's lines are narrower than the terminal, and it has fewer of them than the terminal; those above may
        be longer, and wrap.
        """
        new = [self._render(line) for line in picture]
        if self._size not in {None, size}:
            text = _wiped(self._rows(size)) + self._say(above, size) + self._over(new, [])
        elif above:
            # Whatever stood there is written over, line by line.
            text = _up(len(self._drawn)) + "\r" + self._say(above, size) + self._over(new, []) + _REST_OF_SCREEN
        else:
            text = self._over(new, self._drawn)
        self._drawn, self._widths, self._size = new, [cells(line.text) for line in picture], size
        if above:
            self._gone.clear()
        return text

    def erase(self, above: Sequence[str], size: Size) -> str:
        """What is to be said at last, in the picture's place."""
        rows = self._rows(size)
        self.forget()
        return _wiped(rows) + self._say(above, size)

    def forget(self) -> None:
        """Something else has been written since: the next picture begins below it."""
        self._drawn, self._widths, self._size = [], [], None
        self._gone.clear()

    def _render(self, line: Line) -> str:
        if not self._colours:
            return line.text
        return "".join(f"{_CODES[tone]}{text}{_PLAIN}" if _CODES[tone] else text for text, tone in line.pieces)

    def _over(self, new: Sequence[str], old: Sequence[str]) -> str:
        """From below the old picture to below the new one. Lines that are as they were are only passed."""
        same = next((place for place, pair in enumerate(zip(new, old, strict=False)) if pair[0] != pair[1]), None)
        first = min(len(new), len(old)) if same is None else same
        if first == len(new) == len(old):
            return "\r" + _REST_OF_LINE  # what was typed meanwhile goes
        parts = [_up(len(old) - first), "\r", _NO_WRAP]
        for place in range(first, len(new)):
            is_there = place < len(old) and new[place] == old[place]
            parts.append(_NEXT if is_there else f"{new[place]}{_REST_OF_LINE}{_NEXT}")
        parts += [_WRAP, _REST_OF_SCREEN if len(new) < len(old) else _REST_OF_LINE]
        return "".join(parts)

    @staticmethod
    def _say(above: Sequence[str], size: Size) -> str:
        # Where a line ends with the terminal's own, nothing is left to clear: the cursor may still stand on its end.
        return "".join(
            text + ("" if text and cells(text) % size.columns == 0 else _REST_OF_LINE) + _NEXT for text in above
        )

    def _rows(self, size: Size) -> int:
        """From the beginning of the picture to the cursor, on a terminal that may have been resized meanwhile.

        Terminals wrap lines that have become too long, and what no longer fits goes up and comes back later.
        """
        if self._size is None or self._size == size:
            return len(self._drawn)
        rows = _height(self._widths, size.columns)
        grown, back = max(0, size.rows - self._size.rows), 0
        while self._gone and back < grown:
            back += _height([self._gone.pop()], size.columns)
        too_many = rows + 1 - size.rows
        for width in self._widths:
            if too_many <= 0:
                break
            self._gone.append(width)
            too_many -= _height([width], size.columns)
        return min(rows + min(back, grown), size.rows - 1)


def _height(widths: Sequence[int], columns: int) -> int:
    """Rows that lines of these widths take."""
    return sum(max(1, -(-width // columns)) for width in widths)


def _wiped(rows: int) -> str:
    """Clears so many rows, and goes to the first of them.

    Row by row: for some terminals to clear a whole screen at once is to scroll it off, and a row that was the first
    half of a longer line is one of its own again only once it was cleared.
    """
    return _up(rows) + "\r" + (_REST_OF_LINE + _NEXT) * rows + _REST_OF_LINE + _up(rows)


def _up(rows: int) -> str:
    return f"\x1b[{rows}A" if rows else ""
