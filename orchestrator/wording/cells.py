"""How much room text takes on a terminal: in cells, of which some characters take two, and some none."""

from __future__ import annotations

import unicodedata

ELLIPSIS = "…"


def cells(text: str) -> int:
    """Columns that the text takes. Ambiguous characters count as one, as they are outside of East Asia."""
    return len(text) if text.isascii() else sum(_cells(char) for char in text)


def _cells(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def cut(text: str, room: int) -> str:
    """The text, in `room` cells at most, with an ellipsis where something is missing. Spaces inside are kept."""
    if cells(text) <= room:
        return text
    kept, used = [], 0
    for char in text:
        used += _cells(char)
        if used > room - 1:
            break
        kept.append(char)
    return ("".join(kept).rstrip() + ELLIPSIS) if room > 0 else ""


def cut_middle(text: str, room: int) -> str:
    """As `cut`, but what is missing is in the middle: names differ at both ends."""
    if cells(text) <= room:
        return text
    tail = max(0, (room - 1) // 2)
    end = ""
    for char in reversed(text):
        if cells(end) + _cells(char) > tail:
            break
        end = char + end
    return cut(text, room - cells(end)) + end


def pad(text: str, room: int) -> str:
    """Filled up with spaces on the right."""
    return text + " " * max(0, room - cells(text))
