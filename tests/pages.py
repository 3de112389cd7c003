"""The documentation as data: its pages, sections, tables and code blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"

_HEADING = re.compile(r"(#+) (.*)")
_CELLS = re.compile(r"(?<!\\)\|")
_CODE = re.compile(r"`([^`]+)`")


def page(name: str) -> str:
    """`manifest` -> the text of docs/manifest.md."""
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def all_pages() -> list[Path]:
    """Every page that users read; the README and the change log only where there are any."""
    outside = [ROOT / name for name in ("README.md", "CHANGELOG.md")]
    return [*sorted(DOCS.rglob("*.md")), *(path for path in outside if path.exists())]


def section(text: str, heading: str) -> str:
    """What stands below the heading, up to the next one of its level or above it. Raises KeyError."""
    lines: list[str] = []
    level = 0
    for line, fenced in _lines(text):
        found = None if fenced else _HEADING.match(line)
        if level and found and len(found[1]) <= level:
            break
        if level:
            lines.append(line)
        elif found and found[2] == heading:
            level = len(found[1])
    if not level:
        raise KeyError(heading)
    return "\n".join(lines)


def headings(text: str) -> list[str]:
    return [found[2] for line, fenced in _lines(text) if not fenced and (found := _HEADING.match(line))]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables in the text, without the heads of the tables."""
    found: list[list[str]] = []
    for line, fenced in _lines(text):
        if fenced or not line.startswith("|"):
            continue
        cells = [cell.strip() for cell in _CELLS.split(line.strip().strip("|"))]
        if all(set(cell) <= set("-: ") for cell in cells):
            found.pop()  # the row above it was the head
        else:
            found.append(cells)
    return found


def codes(cell: str) -> list[str]:
    """What stands in backticks."""
    return _CODE.findall(cell)


def keys(text: str) -> list[str]:
    """The first thing in backticks of each row of the tables."""
    return [found[0] for row in rows(text) if (found := codes(row[0]))]


def blocks(text: str, language: str) -> list[str]:
    """The fenced code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it stands in a fenced block."""
    fenced = False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
            yield line, True
        else:
            yield line, fenced
