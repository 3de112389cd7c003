"""YAML text to a tree of nodes, from libyaml's events.

Events rather than PyYAML's own node tree: the tree is built recursively, takes several times as long, and knows
neither a bound for aliases nor one for depth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn, Protocol, cast

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from orchestrator.manifest.nodes import Map, Node, Place, Scalar, Sequence, written
from orchestrator.manifest.problems import Problems
from orchestrator.manifest.scalars import resolve
from orchestrator.manifest.yaml_errors import syntax_finding

MAX_DEPTH = 50
"""Levels of nesting; the contract's deepest setting is at eight."""

MAX_EXPANDED = 1_000_000
"""Values that aliases may add to a document."""

STANDARD = "tag:yaml.org,2002:"
PLAIN_TAGS = frozenset({f"{STANDARD}int", f"{STANDARD}float", f"{STANDARD}bool", f"{STANDARD}null"})
TEXT_TAGS = frozenset({f"{STANDARD}str", "!"})


class Mark(Protocol):
    """Counts from 0."""

    line: int
    column: int


class Event(Protocol):
    """What we read of libyaml's events; a scalar or a start has all of it, an alias only the anchor."""

    start_mark: Mark
    anchor: str | None
    tag: str | None
    value: str
    implicit: tuple[bool, bool]


class UnreadableError(Exception):
    """The document can't be read any further; the finding is recorded."""


@dataclass(slots=True, eq=False)
class OpenMap:
    """A mapping whose end hasn't come yet."""

    node: Map
    anchor: str | None
    key: Scalar | None = None
    skip_value: bool = False
    merges: list[tuple[Scalar, Node]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class OpenSequence:
    node: Sequence
    anchor: str | None


def compose(text: str, file: str, problems: Problems, may_be_empty: Callable[[Place], bool]) -> Node | None:
    """The document's root; None when it is empty or can't be read, with findings for the latter.

    `may_be_empty` tells at which places a key or a list item may have no value.
    """
    problems.add_file(file)
    try:
        return Composer(file, problems, may_be_empty).run(text)
    except UnreadableError:
        return None
    except yaml.YAMLError as error:
        problems.extend([syntax_finding(error, file, text)])
        return None


class Composer:
    """Builds one document. Mistakes that leave a readable tree are recorded, and the building goes on."""

    def __init__(self, file: str, problems: Problems, may_be_empty: Callable[[Place], bool]) -> None:
        self._file = file
        self._may_be_empty = may_be_empty
        self._problems = problems
        self._open: list[OpenMap | OpenSequence] = []
        self._anchors: dict[str, Node | None] = {}
        self._expanded = 0
        self._root: Node | None = None
        self._handlers: dict[type[object], Callable[[Event], None]] = {
            AliasEvent: self._alias,
            MappingStartEvent: self._start,
            SequenceStartEvent: self._start,
            MappingEndEvent: self._end,
            SequenceEndEvent: self._end,
            DocumentStartEvent: self._document,
        }

    def run(self, text: str) -> Node | None:
        loader = yaml.CSafeLoader(text)
        next_event = cast("Callable[[], Event]", loader.get_event)
        handlers, scalar = self._handlers, self._scalar
        while True:
            event = next_event()
            kind: type[object] = type(event)
            if kind is ScalarEvent:
                scalar(event)
            elif kind is StreamEndEvent:
                return self._root
            elif kind in handlers:
                handlers[kind](event)

    # --- events ------------------------------------------------------------------------------------------------------

    def _document(self, event: Event) -> None:
        if self._root is not None:
            self._stop(event, "a second document begins here", "a manifest is one document: take away the '---'")

    def _scalar(self, event: Event) -> None:
        mark = event.start_mark
        text: str = event.value
        tag = event.tag
        value = resolve(text) if event.implicit[0] and tag is None else text
        if tag is not None and tag not in TEXT_TAGS:
            value = self._tagged(event, tag, text)
        node = Scalar(self._file, mark.line + 1, mark.column + 1, value, text)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        if value is None:
            self._empty(node)
        self._attach(node)

    def _tagged(self, event: Event, tag: str, text: str) -> str | int | float | bool | None:
        if tag in PLAIN_TAGS:
            return resolve(text)
        self._note_tag(event, tag)
        return text

    def _start(self, event: Event) -> None:
        if len(self._open) >= MAX_DEPTH:
            self._stop(event, f"nested deeper than {MAX_DEPTH} levels")
        is_map = isinstance(cast("object", event), MappingStartEvent)
        tag = event.tag
        if tag is not None and tag not in {"!", STANDARD + ("map" if is_map else "seq")}:
            self._note_tag(event, tag)
        mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        if event.anchor is not None:
            self._anchors[event.anchor] = None  # met again before its end, it would hold itself
        if is_map:
            self._open.append(OpenMap(Map(self._file, line, column, {}, {}, {}), event.anchor))
        else:
            self._open.append(OpenSequence(Sequence(self._file, line, column, [], []), event.anchor))

    def _end(self, _event: Event) -> None:
        ended = self._open.pop()
        if isinstance(ended, OpenMap):
            self._merge(ended)
        if ended.anchor is not None:
            self._anchors[ended.anchor] = ended.node
        self._attach(ended.node)

    def _alias(self, event: Event) -> None:
        name = event.anchor or ""
        if name not in self._anchors:
            self._stop(
                event,
                f"*{name} refers to nothing: there is no &{name} above",
                "text that begins with * must be in quotes",
            )
        node = self._anchors[name]
        if node is None:
            self._stop(event, f"*{name} stands inside of what it refers to")
        if not isinstance(node, Scalar):
            if len(self._open) + node.height > MAX_DEPTH:
                self._stop(event, f"nested deeper than {MAX_DEPTH} levels")
            self._count(event, node.size)
        self._attach(node)

    # --- building ----------------------------------------------------------------------------------------------------

    def _attach(self, node: Node) -> None:
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if isinstance(parent, OpenSequence):
            parent.node.items.append(node)
            parent.node.value.append(node.value)
            grow(parent.node, node)
        elif parent.skip_value:
            parent.skip_value = False
        elif parent.key is None:
            self._take_key(parent, node)
        else:
            self._take_value(parent, parent.key, node)

    def _take_key(self, parent: OpenMap, node: Node) -> None:
        if not isinstance(node, Scalar):
            self._problems.add(node, self._place(), "a key must be text, not a list or a mapping")
            parent.skip_value = True
            return
        if not isinstance(node.value, str):
            hint = f'put it in quotes: "{node.text}"' if node.text else "a key is missing before the ':'"
            meaning = {bool: "a boolean", type(None): "nothing"}.get(type(node.value), "a number")
            message = f"a key must be text, but YAML reads {node.text or 'this'} as {meaning}"
            self._problems.add(node, self._place(), message, hint)
        parent.key = node

    def _take_value(self, parent: OpenMap, key: Scalar, node: Node) -> None:
        parent.key = None
        name, owner = key.text, parent.node
        if name == "<<":
            parent.merges.append((key, node))
        elif name in owner.items:
            first = owner.keys[name]
            self._problems.add(
                key, (*self._place(), name), f"the key {name!r} stands here twice, first at {first.line}:{first.column}"
            )
        else:
            owner.items[name] = node
            owner.keys[name] = key
            owner.value[name] = node.value
            grow(owner, node)

    def _merge(self, ended: OpenMap) -> None:
        """`<<`: own keys win over merged ones, and earlier merged ones over later (YAML's merge key type)."""
        owner = ended.node
        for key, source in ended.merges:
            sources = source.items if isinstance(source, Sequence) else [source]
            for other in sources:
                if not isinstance(other, Map):
                    self._problems.add(key, (*self._place(), "<<"), "only mappings can be merged with '<<'")
                    continue
                for name, node in other.items.items():
                    if name not in owner.items:
                        owner.items[name] = node
                        owner.keys[name] = other.keys[name]
                        owner.value[name] = node.value
                        grow(owner, node)

    # --- mistakes ----------------------------------------------------------------------------------------------------

    def _count(self, event: Event, size: int) -> None:
        self._expanded += size
        if self._expanded > MAX_EXPANDED:
            self._stop(event, f"the document's aliases expand to more than {MAX_EXPANDED:,} values")

    def _empty(self, node: Scalar) -> None:
        parent = self._open[-1] if self._open else None
        is_key = isinstance(parent, OpenMap) and parent.key is None
        if parent is None or is_key or self._may_be_empty(self._place()):
            return
        self._problems.add(node, self._place(), "has no value", "give it one, or take it away")
        self._problems.mark_broken(node)

    def _note_tag(self, event: Event, tag: str) -> None:
        mark = event.start_mark
        shown = "!!" + tag.removeprefix(STANDARD) if tag.startswith(STANDARD) else tag
        self._problems.add_at(
            self._file,
            mark.line + 1,
            mark.column + 1,
            written(self._place()),
            f"the tag {shown} means nothing in a manifest",
            "take it away, or put the text in quotes",
        )

    def _stop(self, event: Event, message: str, hint: str | None = None) -> NoReturn:
        mark = event.start_mark
        self._problems.add_at(self._file, mark.line + 1, mark.column + 1, written(self._place()), message, hint)
        raise UnreadableError

    def _place(self) -> Place:
        place: list[str | int] = []
        for frame in self._open:
            if isinstance(frame, OpenSequence):
                place.append(len(frame.node.items))
            elif frame.key is not None:
                place.append(frame.key.text)
        return tuple(place[:8])


def grow(owner: Map | Sequence, node: Node) -> None:
    if isinstance(node, Scalar):
        owner.size += 1
        owner.dynamic = owner.dynamic or "${" in node.text
        return
    owner.size += node.size
    owner.height = max(owner.height, node.height + 1)
    owner.dynamic = owner.dynamic or node.dynamic
