"""An AppSpec's YAML with positions, its scalars read as the agent's Ruby (Psych) reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

Scalar = str | int | float | bool | None

_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_MAX_DEPTH = 64  # deeper is no AppSpec, and composing recurses
_MAX_ALIASES = 100  # each repeats what it points to, so that few bytes can mean endless work

_INTEGER = re.compile(r"[-+]?(0[bB][01_,]+|0[xX][0-9a-fA-F_,]+|0[0-7_,]*|[1-9][0-9_,]*)")
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_,]*)?\.[0-9]*(?:[eE][+-][0-9]+)?")
_SIXTIES = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+")
_INFINITY = re.compile(r"[-+]?\.inf", re.IGNORECASE)
_TRUE = frozenset({"yes", "true", "on"})
_FALSE = frozenset({"no", "false", "off"})
_NULL = frozenset({"", "~", "null", "Null", "NULL"})


class AppSpecSyntaxError(Exception):
    """What the agent's parser refuses. Line and column count from 1."""

    def __init__(self, code: str, message: str, *, line: int = 1, column: int = 1, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.line = line
        self.column = column
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Value:
    """A node of the document and its path of keys."""

    node: yaml.Node
    place: str

    @property
    def line(self) -> int:
        return int(self.node.start_mark.line) + 1

    @property
    def column(self) -> int:
        return int(self.node.start_mark.column) + 1

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node, yaml.MappingNode)

    @property
    def is_list(self) -> bool:
        return isinstance(self.node, yaml.SequenceNode)

    @property
    def is_scalar(self) -> bool:
        return isinstance(self.node, yaml.ScalarNode)

    @property
    def is_string(self) -> bool:
        return self.is_scalar and isinstance(self.scalar(), str)

    @property
    def is_nothing(self) -> bool:
        """Null or false: to Ruby the key might as well not be there."""
        return self.is_scalar and (self.scalar() is None or self.scalar() is False)

    @property
    def is_plain(self) -> bool:
        """A scalar without quotes."""
        return isinstance(self.node, yaml.ScalarNode) and not self.node.style

    def scalar(self) -> Scalar:
        """The value of a scalar. Only for scalars."""
        text = str(self.node.value)
        return read_plain(text) if self.is_plain else text

    def text(self) -> str:
        """As written, for paths and messages."""
        if self.is_mapping:
            return "a mapping"
        if self.is_list:
            return "a list"
        return "" if self.scalar() is None else str(self.node.value)

    def items(self) -> Iterator[Value]:
        """Of a list."""
        for index, node in enumerate(self.node.value):
            yield Value(node, f"{self.place}[{index}]")

    def pairs(self) -> Iterator[tuple[Value, Value]]:
        """Of a mapping: keys and values in the order of the file, doubled keys too."""
        for key, node in self.node.value:
            name = Value(key, self.place)
            yield name, Value(node, f"{self.place}.{name.text()}" if self.place else name.text())

    def get(self, name: str) -> Value | None:
        """Of a mapping; None when it isn't there. Of a key that stands twice, the last counts."""
        found = None
        for key, value in self.pairs():
            if key.is_string and key.scalar() == name:
                found = value
        return found


def read_plain(text: str) -> Scalar:
    """What Psych makes of a scalar without quotes."""
    lower = text.lower()
    if text in _NULL or lower in _TRUE or lower in _FALSE:
        return None if text in _NULL else lower in _TRUE
    digits = re.sub("[_,]", "", text)
    if _INTEGER.fullmatch(text):
        return _integer(digits)
    if _FLOAT.fullmatch(text) and any(character.isdigit() for character in text):
        return float(digits)
    if _INFINITY.fullmatch(text):
        return float(lower.replace(".", ""))
    return _sixties(digits) if _SIXTIES.fullmatch(text) else text


def _sixties(digits: str) -> int:
    value = 0
    for part in digits.lstrip("+-").split(":"):
        value = value * 60 + int(part)
    return -value if digits.startswith("-") else value


def _integer(digits: str) -> int:
    sign = -1 if digits.startswith("-") else 1
    bare = digits.lstrip("+-").lower()
    for prefix, base in (("0b", 2), ("0x", 16)):
        if bare.startswith(prefix):
            return sign * int(bare[2:] or "0", base)
    return sign * int(bare, 8 if bare.startswith("0") else 10)  # 0644 is octal, as the facts of `mode` show


def compose(content: bytes) -> Value | None:
    """The first document's root; None when there is none. Raises `AppSpecSyntaxError`."""
    _require_utf8(content)
    try:
        _guard(content)
        loader = yaml.CSafeLoader(content)
        try:
            root = loader.get_node() if loader.check_node() else None
            return Value(root, "") if root is not None else None
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        hint = "indent with spaces, not tabs" if "\\t" in str(error.problem) else None
        raise AppSpecSyntaxError(
            "yaml_syntax", f"is not YAML: {error.problem or error.context}", line=line, column=column, hint=hint
        ) from error
    except yaml.YAMLError as error:
        raise AppSpecSyntaxError("yaml_syntax", f"is not YAML: {str(error).splitlines()[0]}") from error


def _require_utf8(content: bytes) -> None:
    if content.startswith(_BOMS):
        is_utf8 = content.startswith(_BOMS[0])
        raise AppSpecSyntaxError(
            "yaml_bom" if is_utf8 else "yaml_encoding",
            "starts with a byte order mark, which the agent takes for a part of the first key",
            hint="save it as UTF-8 without a byte order mark",
        )
    try:
        content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode()) + 1
        raise AppSpecSyntaxError(
            "yaml_encoding",
            "is not UTF-8",
            line=before.count(b"\n") + 1,
            column=column,
            hint="save it as UTF-8",
        ) from error


def _guard(content: bytes) -> None:
    """Bounds depth and aliases before anything recurses."""
    depth = aliases = 0
    for event in yaml.parse(content, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.DocumentEndEvent):
            return  # the agent reads no further than the first document
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        if depth > _MAX_DEPTH or aliases > _MAX_ALIASES:
            mark = event.start_mark
            raise AppSpecSyntaxError(
                "yaml_too_complex",
                f"is nested over {_MAX_DEPTH} levels deep, or has over {_MAX_ALIASES} aliases",
                line=mark.line + 1 if mark else 1,
                column=mark.column + 1 if mark else 1,
                hint="write it out, simply",
            )
