"""A page read back, by two parsers: as a browser would take its tags, and strictly as XML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

VOID = {"br", "hr", "input", "link", "meta"}


@dataclass
class Element:
    name: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""
    """All that it holds, also within its children."""

    def __iter__(self) -> Iterator[Element]:
        """Itself and all below it, in the order of the page."""
        yield self
        for child in self.children:
            yield from child

    def all(self, name: str, **attributes: str) -> list[Element]:
        """Those below it with this name and these attributes; `class_` looks for one class of several."""
        return [each for each in self if each.name == name and all(_has(each, *pair) for pair in attributes.items())]

    def one(self, name: str, **attributes: str) -> Element:
        found = self.all(name, **attributes)
        assert len(found) == 1, f"{len(found)} of {name} {attributes}"
        return found[0]

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """Names of elements and of attributes, without what they hold."""
        return [(each.name, tuple(each.attributes)) for each in self]


def _has(element: Element, key: str, value: str) -> bool:
    given = element.attributes.get(key.rstrip("_").replace("_", "-"), "")
    return value in given.split() if key == "class_" else given == value


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("document", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        assert tag in VOID, f"<{tag}/> isn't closed for a browser"

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].name == tag, f"</{tag}> closes <{self.open[-1].name}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for each in self.open:
            each.text += data


def read_html(page: str) -> Element:
    """Fails where something isn't closed."""
    parser = _Parser()
    parser.feed(page)
    parser.close()
    assert parser.open == [parser.root], "something isn't closed"
    return parser.root


def read(page: str) -> Element:
    """The document. Fails for what isn't well-formed: two parsers have to see the same elements."""
    root = read_html(page)
    strict = [each.tag.split("}")[-1] for each in ET.fromstring(page.removeprefix("<!DOCTYPE html>\n")).iter()]  # noqa: S314 - ours
    assert strict == [each.name for each in root][1:]
    return root
