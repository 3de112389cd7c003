"""Markup that can't be broken into: all that isn't an element or attribute of ours is text, escaped and cleaned.

`Markup` is the one type for what a browser reads as markup. A plain `str` that gets between elements is escaped, and
where a function asks for `Markup`, mypy refuses a `str`. Only this module makes `Markup` out of text (a test insists).
The output is HTML5 as well as well-formed XML, so that an SVG can stand in a file of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from html import escape
from urllib.parse import quote

from orchestrator.wording.text import REPLACEMENT, clean

Attribute = str | int | float | bool | None
"""None and False: left out. True: there, without a value."""

_VOID = frozenset({"br", "hr", "input", "link", "meta"})

_NO_XML = {0xFFFE: REPLACEMENT, 0xFFFF: REPLACEMENT}
"""No XML document may hold these, and `clean` leaves them."""


class Markup(str):
    """HTML or SVG of ours. Never made from anything that a user, a manifest, AWS or a log has written."""

    __slots__ = ()


Content = Markup | str | None
"""What may stand in an element: markup as it is, text escaped."""

NOTHING = Markup()


def text(value: str) -> Markup:
    """Text as markup: nothing in it is obeyed by a browser, a terminal or whoever copies it."""
    if _is_plain(value):
        return Markup(value)
    if value.isascii() and value.isprintable():
        return Markup(escape(value))
    return Markup(escape(clean(value).translate(_NO_XML)))


def tag(name: str, /, *children: Content, **attributes: Attribute) -> Markup:
    """An element. `class_` and `for_` stand for `class` and `for`; an underscore inside a name is a hyphen."""
    opening = f"<{name}"
    for key, value in attributes.items():
        if value is not None and value is not False:
            opening += f' {_attribute_name(key)}="{_attribute_value(value)}"'
    if name in _VOID:
        return Markup(opening + "/>")
    inside = "".join([child if isinstance(child, Markup) else _content(child) for child in children])
    return Markup(f"{opening}>{inside}</{name}>")


def join(parts: Iterable[Content], between: Content = None) -> Markup:
    """The parts one after the other; those that are None are left out, without a `between`."""
    return Markup(_content(between).join(_content(part) for part in parts if part is not None))


def document(body: Markup, *, head: Markup, **attributes: Attribute) -> str:
    """A whole HTML page."""
    return "<!DOCTYPE html>\n" + tag("html", tag("head", head), "\n", tag("body", body), lang="en", **attributes) + "\n"


def stylesheet(css: str) -> Markup:
    """A style element with a sheet of ours. Raises ValueError for what could end the element."""
    if "<" in css:
        raise ValueError("a style sheet with '<' in it can't stand inside a page")
    return Markup(f"<style>{css}</style>")


@lru_cache(maxsize=1 << 15)
def in_url(part: str) -> str:
    """One segment of a URL's path, query or fragment: all but letters, digits and `_.-~` is percent-encoded."""
    return quote(clean(part), safe="")


def _content(value: Content) -> str:
    if value is None:
        return ""
    return value if isinstance(value, Markup) else text(value)


@cache
def _attribute_name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _attribute_value(value: str | float | bool) -> str:  # noqa: FBT001 - any value that an attribute may have
    if isinstance(value, str):
        # Line feeds of an attribute would become spaces in XML.
        return value if _is_plain(value) else text(value).replace("\n", "&#10;")
    if value is True:
        return ""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


_PLAIN = re.compile(r"[ !#-%(-;=?-~]*").fullmatch
"""ASCII that needs no escape."""


def _is_plain(value: str) -> bool:
    return _PLAIN(value) is not None
