"""YAML that is written: text that reads back as the same text, in lines that people like to read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

WIDTH = 120

PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*\Z")
"""What needs no quotes, but for the words below."""

WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
"""What YAML 1.1 takes for something else than text."""


def scalar(text: str) -> str:
    """Text as a value: in quotes where it needs them, and with nothing in it that a manifest would expand."""
    return quoted(escaped(text))


def quoted(text: str) -> str:
    """In quotes where YAML needs them; `${…}` stays a template. Also for keys, in which nothing is expanded."""
    if PLAIN.match(text) and text.lower() not in WORDS:
        return text
    return '"' + "".join(_character(char) for char in text) + '"'


def escaped(text: str) -> str:
    """`${` is the beginning of a template."""
    return text.replace("${", "$${")


def comment(text: str) -> str:
    """On one line."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def flow(begin: str, values: Mapping[str, str], indent: int) -> list[str]:
    """`begin: {a: b, …}` where that fits into a line, else a line each. The values as they are to stand."""
    blanks = " " * indent
    short = f"{blanks}{begin}: {{" + ", ".join(f"{key}: {value}" for key, value in values.items()) + "}"
    return [short] if len(short) <= WIDTH else block(begin, values, indent)


def block(begin: str, values: Mapping[str, str], indent: int) -> list[str]:
    """A line each; nothing where there are none. The values as they are to stand."""
    if not values:
        return []
    blanks = " " * indent
    return [f"{blanks}{begin}:", *(f"{blanks}  {quoted(key)}: {value}" for key, value in values.items())]


def filled(begin: str, items: Sequence[str]) -> list[str]:
    """`begin` and a list in as few lines as it takes, the later ones below the first item."""
    begin += "["
    lines, line = [], begin
    for number, item in enumerate(items, start=1):
        piece = item + ("," if number < len(items) else "]")
        if len(line) + len(piece) > WIDTH and line.strip() and line != begin:
            lines.append(line.rstrip())
            line = " " * len(begin)
        line += piece + " "
    return [*lines, line.rstrip()]


def _character(char: str) -> str:
    """In double quotes."""
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
