"""A small terminal: what a person sees of what was written. Knows the sequences of the live view, and no other."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\x1b\[(?P<private>\??)(?P<number>[0-9;]*)(?P<kind>[A-Za-z])|[\r\n]|[^\x1b\r\n]")


class Vt:
    """So many columns and rows; what scrolls off the top is kept."""

    def __init__(self, columns: int, rows: int) -> None:
        self._columns = columns
        self._rows = rows
        self._lines: list[list[str]] = [[] for _ in range(rows)]
        self._row = self._column = 0
        self._wraps = True
        self.scrolled: list[str] = []
        self.cursor_shown = True
        self.blanked = 0
        """How often something that stood there was wiped out."""

    def feed(self, text: str) -> None:
        place = 0
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None:
                raise ValueError(f"not known to this terminal: {text[place : place + 12]!r}")
            place = found.end()
            if found["kind"]:
                self._obey(found["kind"], found["number"], private=bool(found["private"]))
            elif found[0] == "\r":
                self._column = 0
            elif found[0] == "\n":
                self._down()
            else:
                self._put(found[0])

    @property
    def everything(self) -> list[str]:
        """What has scrolled off and what is on the screen, without the empty rows at the end."""
        shown = [*self.scrolled, *("".join(line).rstrip() for line in self._lines)]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    def _obey(self, kind: str, number: str, *, private: bool) -> None:
        match kind, private:
            case "A", False:
                self._row = max(0, self._row - int(number or 1))
            case "K", False if not number:
                self._wipe(self._row, self._column)
            case "J", False if not number:
                self._wipe(self._row, self._column)
                for row in range(self._row + 1, self._rows):
                    self._wipe(row, 0)
            case "m", False:
                pass
            case (("h" | "l"), True) if number in {"7", "25"}:
                if number == "7":
                    self._wraps = kind == "h"
                else:
                    self.cursor_shown = kind == "h"
            case _:
                raise ValueError(f"not known to this terminal: {number}{kind}")

    def _wipe(self, row: int, column: int) -> None:
        if "".join(self._lines[row][column:]).strip():
            self.blanked += 1
        del self._lines[row][column:]

    def _put(self, char: str) -> None:
        if self._column >= self._columns:
            if not self._wraps:
                self._column = self._columns - 1
            else:
                self._column = 0
                self._down()
        line = self._lines[self._row]
        line += [" "] * (self._column - len(line))
        line[self._column : self._column + 1] = [char]
        self._column += 1

    def _down(self) -> None:
        self._row += 1
        if self._row == self._rows:
            self.scrolled.append("".join(self._lines.pop(0)).rstrip())
            self._lines.append([])
            self._row -= 1
