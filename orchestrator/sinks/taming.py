"""Keeps what only passes through from being obeyed: CI systems take orders from the lines of a job's output.

GitHub Actions obeys lines that begin with `::`, and `##[…]` anywhere in a line; Azure Pipelines `##vso[…]` and `##[…]`;
TeamCity `##teamcity[…]`. Names, reasons and logs may hold any of these. GitLab's marks need control characters, and
`wording.text.clean` leaves none of those.
"""

from __future__ import annotations

import io
import re
from typing import TextIO

_NEW_STYLE = re.compile(r"^(\s*):(?=:)", re.MULTILINE)
_OLD_STYLE = re.compile(r"##(?=\w*\[)")


def tame(text: str) -> str:
    """The text, with a space inside of whatever would be an order. JSON keeps its meaning: there it's an escape."""
    if "##" in text:
        is_json = text.lstrip()[:1] in {"{", "["}
        text = _OLD_STYLE.sub(r"#\\u0023" if is_json else "# #", text)
    return _NEW_STYLE.sub(r"\1: ", text) if "::" in text else text


class Tamed(io.TextIOWrapper):
    """A stream into a CI log."""

    def write(self, text: str, /) -> int:
        super().write(tame(text))
        return len(text)

    def obeyed(self, text: str) -> None:
        """An order of our own."""
        super().write(text)


def order(stream: TextIO, text: str) -> bool:
    """Writes lines that shall be obeyed; False when nobody reads them any more. Never raises."""
    try:
        if isinstance(stream, Tamed):
            stream.obeyed(text)
        else:
            stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        return False
    return True
