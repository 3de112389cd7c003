"""CI systems as readers of a log: which lines they obey, and what they make of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_NEW = re.compile(r"::(?P<name>[a-z-]+)(?: (?P<properties>[^:]*))?::(?P<data>.*)")
_GITLAB = re.compile(r"section_(start|end):(\d+):([A-Za-z0-9_.-]+)(\[[^\]]*\])?\r\x1b\[0K")


@dataclass
class Log:
    """What a reader sees."""

    open: list[str] = field(default_factory=list)
    """Lines outside of blocks."""
    blocks: dict[str, list[str]] = field(default_factory=dict)
    """Lines by the titles of their blocks, in order."""
    folded: set[str] = field(default_factory=set)
    errors: list[tuple[str, str]] = field(default_factory=list)
    """Title and message."""


def github(lines: Iterable[str]) -> Log:
    """As GitHub's runner reads them. Raises for orders that nobody of ours gives, for nested and for unended groups.

    A line is an order when it begins, after spaces, with `::name …::`, or has `##[name]` anywhere (actions/runner,
    ActionCommand.cs).
    """
    log, title = Log(), None
    for line in lines:
        found = _NEW.match(line.lstrip())
        if re.search(r"##\[[^\]]+\]", line):
            raise AssertionError(f"obeyed: {line!r}")
        if found is None:
            (log.open if title is None else log.blocks[title]).append(line)
        elif found["name"] == "group":
            assert title is None, "a group in a group"
            title = _unescape(found["data"])
            assert title not in log.blocks
            log.blocks[title] = []
            log.folded.add(title)
        elif found["name"] == "endgroup":
            assert title is not None
            title = None
        elif found["name"] == "error":
            properties = dict(each.split("=", 1) for each in (found["properties"] or "").split(",") if each)
            plain = {name: _unescape(value, inside=True) for name, value in properties.items()}
            assert set(plain) <= {"title"}
            log.errors.append((plain["title"], _unescape(found["data"])))
        else:
            raise AssertionError(f"obeyed: {line!r}")
    assert title is None, "a group without an end"
    return log


def _unescape(text: str, *, inside: bool = False) -> str:
    pairs = [("%0D", "\r"), ("%0A", "\n"), *([("%3A", ":"), ("%2C", ",")] if inside else []), ("%25", "%")]
    for escaped, char in pairs:
        text = text.replace(escaped, char)
    return text


def gitlab(text: str) -> Log:
    """As GitLab reads them: sections by their marks."""
    log, title, name = Log(), None, None
    for line in text.split("\n"):
        marks = list(_GITLAB.finditer(line))
        if not marks:
            assert "\x1b" not in line
            (log.open if title is None else log.blocks[title]).append(line)
            continue
        (mark,) = marks
        if mark[1] == "start":
            assert name is None, "a section in a section"
            name, title = mark[3], line[mark.end() :]
            log.blocks[title] = []
            if mark[4] == "[collapsed=true]":
                log.folded.add(title)
        else:
            assert mark[3] == name
            name = title = None
    assert name is None, "a section without an end"
    return log
