"""Lines of a picture: text in pieces, each with what it means; what a terminal makes of that is the painter's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.wording.cells import ELLIPSIS, cells, cut, pad

Tone = Literal["", "strong", "quiet", "good", "bad", "busy", "warn"]
Piece = tuple[str, Tone]


@dataclass(frozen=True, slots=True)
class Line:
    pieces: tuple[Piece, ...] = ()

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.pieces)


@dataclass(frozen=True, kw_only=True, slots=True)
class Glyphs:
    """What is drawn beside letters, where the stream's encoding has it."""

    full: str = "█"
    half: str = "▒"
    empty: str = "░"
    failed: str = "✗"
    busy: str = "●"
    held: str = "◌"
    waiting: str = "·"
    done: str = "✓"
    left_out: str = "-"


FANCY = Glyphs()
PLAIN = Glyphs(full="#", half="=", empty=".", failed="x", busy="*", held="o", waiting=".", done="+")


def line(text: str, tone: Tone = "") -> Line:
    return Line(((text, tone),))


def fit(shown: Line, width: int) -> Line:
    """Cut to so many cells, with an ellipsis where something is missing."""
    if cells(shown.text) <= width:
        return shown
    kept: list[Piece] = []
    room = width
    for text, tone in shown.pieces:
        # One cell stays for the ellipsis, as long as more is to come.
        if cells(text) < room:
            kept.append((text, tone))
            room -= cells(text)
        else:
            kept.append((cut(text + ELLIPSIS, room), tone))
            break
    return Line(tuple(kept))


def bar(parts: Sequence[tuple[int, str, Tone]], total: int, width: int, empty: str) -> tuple[Piece, ...]:
    """Parts of a total, one after the other, in `width` characters; whatever there is any of gets one at least."""
    pieces: list[Piece] = []
    counted = used = 0
    for count, glyph, tone in parts:
        counted += count
        end = max(used + 1, counted * width // total) if count and total else used
        pieces.append((glyph * (min(end, width) - used), tone))
        used = min(end, width)
    return (*(piece for piece in pieces if piece[0]), (empty * (width - used), "quiet"))


def at_both_ends(left: Line, right: Line, width: int) -> list[Line]:
    """On one line where there is room for both, else one below the other."""
    if cells(left.text) + cells(right.text) + 2 <= width:
        gap = " " * (width - cells(left.text) - cells(right.text))
        return [Line((*left.pieces, (gap, ""), *right.pieces))]
    return [left, right]


def column(texts: Sequence[str], limit: int) -> int:
    """The width of a column with these texts."""
    return min(limit, max((cells(text) for text in texts), default=0))


def cell(text: str, width: int, *, right: bool = False) -> str:
    """Of a column of that width."""
    shown = cut(text, width)
    return " " * (width - cells(shown)) + shown if right else pad(shown, width)
