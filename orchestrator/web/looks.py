"""How states look: a glyph each, drawn, so that neither colour nor a font is needed to tell them apart; and text."""

from __future__ import annotations

from collections.abc import Mapping
from unicodedata import east_asian_width

from orchestrator.core.model import TargetState
from orchestrator.web.html import Markup, tag
from orchestrator.wording.text import one_line

S = TargetState

_GLYPHS: Mapping[TargetState, str] = {
    S.PENDING: "M0-3.5a3.5 3.5 0 1 0 .01 0z",
    S.BLOCKED: "M-2.3-4v8M2.3-4v8",
    S.UPLOADING: "M0 4.5v-9M-3.5-1L0-4.5 3.5-1",
    S.STARTING: "M-2.5-4l6 4-6 4z",
    S.RUNNING: "M-2.5-4l6 4-6 4z",
    S.BAKING: "M-3.5-4.5h7l-7 9h7z",
    S.SUCCEEDED: "M-4.5.5l3 3 6-7",
    S.UNCHANGED: "M-4-2h8M-4 2h8",
    S.FAILED: "M-3.5-3.5l7 7M3.5-3.5l-7 7",
    S.STOPPED: "M-3.3-3.3h6.6v6.6h-6.6z",
    S.TIMED_OUT: "M0-4.5a4.5 4.5 0 1 0 .01 0zM0-2.5V0l2 1.5",
    S.SKIPPED: "M-4-3.5L-.5 0-4 3.5M.5-3.5L4 0 .5 3.5",
    S.CANCELLED: "M0-4.3a4.3 4.3 0 1 0 .01 0zM-3 3l6-6",
    S.ROLLING_BACK: "M-4-1.5h5.5a2.7 2.7 0 0 1 0 5.5H-1M-1.5-4.5l-3 3 3 3",
    S.ROLLED_BACK: "M4.5 0h-9M-1-3.5L-4.5 0-1 3.5",
    S.ERRORED: "M0-5V1M0 4v.6",
}
"""Lines in a box of 12 by 12 pixels around 0,0."""

_NARROW = frozenset("iljtfrI.,:;|!'()[]{}/ -")
_BROAD = frozenset("mwMW_@%")


def glyph(state: TargetState, x: float, y: float) -> Markup:
    return tag("path", class_="glyph", d=_GLYPHS[state], transform=f"translate({x:g} {y:g})")


def words(state: TargetState) -> str:
    """`timed out`, `rolling back`."""
    return str(state).replace("_", " ")


def text_width(text: str, size: float) -> float:
    """About how wide a text is in pixels in the usual sans-serif fonts of this size: rather more than less."""
    units = 0.0
    for char in text:
        if char in _NARROW:
            units += 0.38
        elif char in _BROAD:
            units += 0.9
        elif char.isupper():
            units += 0.72
        elif char.isascii():
            units += 0.62
        else:
            units += 1.05 if east_asian_width(char) in "WF" else 0.72
    return units * size


def fit(text: str, width: float, size: float) -> str:
    """The text on one line, cut with an ellipsis to what fits into so many pixels."""
    line = one_line(text)
    if text_width(line, size) <= width:
        return line
    while line and text_width(line + "…", size) > width:
        line = line[: -max(1, len(line) // 16)]
    return line.rstrip() + "…"
