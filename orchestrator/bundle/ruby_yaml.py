"""YAML as the agent reads it, with positions: Psych's safe load of the first document, over the same libyaml.

Psych hands libyaml bytes that it calls UTF-8, looks no further than the first document, and refuses aliases and every
class but symbols. What it merely can't turn into a value is listed in `Document.problems`, so that the rest is checked.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import yaml

from orchestrator.bundle.ruby_scalars import Scalar, Symbol, inspect, to_s
from orchestrator.bundle.ruby_tags import Refused, list_of, mapping_of, scalar_of

Kind = Literal["scalar", "list", "mapping"]

UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_MAX_DEPTH = 1000  # deeper ones exhaust the agent's stack, too


class AppSpecSyntaxError(Exception):
    """What the agent's parser refuses. Line and column count from 1."""

    def __init__(self, code: str, message: str, *, line: int = 1, column: int = 1, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.line = line
        self.column = column
        self.hint = hint
        self.place = ""


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A value of the document, where it stands, and its path of keys."""

    kind: Kind
    line: int
    column: int
    place: str
    scalar: Scalar = None
    """Of a scalar: what Ruby has; None is nil."""
    written: str = ""
    """Of a scalar: its text, without quotes."""
    is_plain: bool = False
    """Of a scalar: written without quotes and tag."""
    items: tuple[Value, ...] = ()
    """Of a list."""
    pairs: tuple[tuple[Value, Value], ...] = ()
    """Of a mapping: one for each key, in the order of their first appearance; of doubled keys the last value."""
    doubled: tuple[Value, ...] = ()
    """Of a mapping: keys that stood there before."""

    @property
    def is_mapping(self) -> bool:
        return self.kind == "mapping"

    @property
    def is_list(self) -> bool:
        return self.kind == "list"

    @property
    def is_string(self) -> bool:
        return isinstance(self.scalar, str)

    @property
    def is_nil(self) -> bool:
        return self.kind == "scalar" and self.scalar is None

    @property
    def is_falsy(self) -> bool:
        """Nil or false, which `||` passes over."""
        return self.kind == "scalar" and (self.scalar is None or self.scalar is False)

    def get(self, name: str) -> Value | None:
        """Of a mapping; None when the key isn't there."""
        return next((value for key, value in self.pairs if key.scalar == name and key.is_string), None)

    def to_s(self) -> str:
        """Ruby's `to_s`."""
        return to_s(self.scalar) if self.kind == "scalar" else self.inspect()

    def shown(self) -> str:
        """For messages: as written, and shortened."""
        text = self.written if self.kind == "scalar" else f"a {self.kind}"
        return text if len(text) <= 80 else f"{text[:77]}..."

    def identity(self) -> Hashable:
        """What makes two keys of a mapping the same."""
        if self.kind == "scalar":
            return type(self.scalar), self.scalar
        parts = self.items if self.kind == "list" else [part for pair in self.pairs for part in pair]
        return self.kind, tuple(part.identity() for part in parts)

    def inspect(self) -> str:
        """Ruby's `inspect`."""
        if self.kind == "scalar":
            return inspect(self.scalar)
        if self.kind == "list":
            return f"[{', '.join(item.inspect() for item in self.items)}]"
        return f"{{{', '.join(f'{key.inspect()}=>{value.inspect()}' for key, value in self.pairs)}}}"


@dataclass(frozen=True, slots=True)
class Problem:
    """A part of the document that the agent's reader refuses."""

    at: Value
    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Document:
    root: Value | None
    """None when the content holds no document."""
    problems: tuple[Problem, ...] = ()
    rest: int | None = None
    """The line where something begins that the agent doesn't read any more: another document, or broken text."""
    has_bom: bool = False


def load(content: bytes) -> Document:
    """The first document. Raises `AppSpecSyntaxError`."""
    if content.startswith(_UTF16_BOMS):
        raise AppSpecSyntaxError("yaml_encoding", "is UTF-16, and the agent reads UTF-8", hint="save it as UTF-8")
    has_bom = content.startswith(UTF8_BOM)
    # libyaml drops one mark when it detects the encoding; the agent names the encoding, so that the mark stays.
    events = yaml.parse(UTF8_BOM + content if has_bom else content, Loader=yaml.CSafeLoader)
    builder = _Builder()
    try:
        root = builder.build(events)
        return Document(root, tuple(builder.problems), _rest(events) if root is not None else None, has_bom)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error) from error
    except yaml.YAMLError as error:
        raise _unreadable(content, error) from error


def _rest(events: Iterator[yaml.Event]) -> int | None:
    try:
        event = next(events)
    except yaml.MarkedYAMLError as error:
        return error.problem_mark.line + 1 if error.problem_mark else 1
    except yaml.YAMLError:
        return 1
    return _at(event)[0] if isinstance(event, yaml.DocumentStartEvent) else None


def _syntax_error(error: yaml.MarkedYAMLError) -> AppSpecSyntaxError:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    problem = str(error.problem or error.context)
    hint = "indent with spaces, not tabs" if "\\t" in problem or "'\t'" in problem else None
    if "start any token" in problem and hint is None:
        hint = "put the value in quotes"
    elif "alias" in problem:
        hint = 'put a value that begins with * or & in quotes, such as "*.sh"'
    return AppSpecSyntaxError("yaml_syntax", f"is not YAML: {problem}", line=line, column=column, hint=hint)


def _unreadable(content: bytes, error: yaml.YAMLError) -> AppSpecSyntaxError:
    """What libyaml's reader refuses: bytes that aren't UTF-8, and control characters."""
    position = int(getattr(error, "position", 0))
    try:
        content.decode()
    except UnicodeDecodeError as decoding:
        line, column = _position(content[: decoding.start])
        return AppSpecSyntaxError("yaml_encoding", "is not UTF-8", line=line, column=column, hint="save it as UTF-8")
    reason = str(getattr(error, "reason", error))
    code = "yaml_encoding" if b"\0" in content else "yaml_syntax"
    line, column = _position(content[:position])
    return AppSpecSyntaxError(code, f"is not YAML: {reason}", line=line, column=column, hint="save it as UTF-8 text")


def _position(before: bytes) -> tuple[int, int]:
    return before.count(b"\n") + 1, len(before[before.rfind(b"\n") + 1 :].decode(errors="replace")) + 1


# --- from events to values -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end hasn't come."""

    event: yaml.CollectionStartEvent
    place: str
    items: list[Value] = field(default_factory=list)

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.event, yaml.MappingStartEvent)

    def next_place(self) -> str:
        if not self.is_mapping:
            return f"{self.place}[{len(self.items)}]"
        if len(self.items) % 2 == 0:  # a key
            return self.place
        key = self.items[-1].written
        return f"{self.place}.{key}" if self.place else key


class _Builder:
    """No recursion: a document may be deep."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._open: list[_Open] = []

    def build(self, events: Iterator[yaml.Event]) -> Value | None:
        root: Value | None = None
        for event in events:
            if isinstance(event, yaml.DocumentEndEvent):
                break  # the agent reads no further
            done = self._take(event)
            if done is None:
                continue
            if self._open:
                self._open[-1].items.append(done)
            else:
                root = done
        return root

    def _take(self, event: yaml.Event) -> Value | None:
        """The value that this event ends, if any."""
        place = self._open[-1].next_place() if self._open else ""
        if isinstance(event, yaml.CollectionStartEvent):
            self._open.append(_Open(event, place))
            if len(self._open) > _MAX_DEPTH:
                line, column = _at(event)
                message = f"is nested over {_MAX_DEPTH} levels deep"
                raise AppSpecSyntaxError("yaml_too_complex", message, line=line, column=column)
            return None
        if isinstance(event, yaml.CollectionEndEvent):
            return self._close(self._open.pop())
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, place)
        return self._alias(event, place) if isinstance(event, yaml.AliasEvent) else None

    def _scalar(self, event: yaml.ScalarEvent, place: str) -> Value:
        value = Value("scalar", *_at(event), place, written=event.value)
        plain = event.tag is None and not event.implicit[1]
        read = scalar_of(event.tag, event.value, quoted=event.implicit[1])
        if isinstance(read, Refused):
            return self._refuse(value, read)
        return Value("scalar", *_at(event), place, scalar=read, written=event.value, is_plain=plain)

    def _alias(self, event: yaml.AliasEvent, place: str) -> Value:
        value = Value("scalar", *_at(event), place, written=f"*{event.anchor}")
        message = f"*{event.anchor} is an alias, which the agent on Ruby 3.1 and newer refuses"
        hint = "write out what it stands for; in quotes, a value may begin with *"
        self.problems.append(Problem(value, "yaml_alias", message, hint))
        return value

    def _refuse(self, value: Value, refused: Refused) -> Value:
        self.problems.append(Problem(value, refused.code, refused.message, refused.hint))
        return value

    def _close(self, opened: _Open) -> Value:
        tag = opened.event.tag
        refused = mapping_of(tag) if opened.is_mapping else list_of(tag)
        if isinstance(refused, Refused):
            return self._refuse(Value("scalar", *_at(opened.event), opened.place, written=str(tag)), refused)
        if not opened.is_mapping and refused != "omap":
            return Value("list", *_at(opened.event), opened.place, items=tuple(opened.items))
        pairs = list(zip(opened.items[::2], opened.items[1::2], strict=True)) if opened.is_mapping else []
        if refused == "omap":  # a list of mappings with one key each
            pairs = [item.pairs[0] for item in opened.items if item.pairs]
        if refused == "text":  # a mapping that stands for its key `str`
            return next((value for key, value in pairs if key.scalar == "str"), _nil(opened))
        return _mapping(opened, pairs)


def _at(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)


def _nil(opened: _Open) -> Value:
    return Value("scalar", *_at(opened.event), opened.place)


def _mapping(opened: _Open, pairs: list[tuple[Value, Value]]) -> Value:
    kept: dict[Hashable, tuple[Value, Value]] = {}
    doubled: list[Value] = []
    for key, value in pairs:
        merged = _merged(key, value)
        if merged is None and key.identity() in kept:
            doubled.append(key)
        for name, inner in merged if merged is not None else [(key, value)]:
            identity = name.identity()
            kept[identity] = (kept.get(identity, (name, inner))[0], inner)
    return Value("mapping", *_at(opened.event), opened.place, pairs=tuple(kept.values()), doubled=tuple(doubled))


def _merged(key: Value, value: Value) -> list[tuple[Value, Value]] | None:
    """What a `<<` brings in; None when the key is an ordinary one."""
    if key.scalar != "<<" or isinstance(key.scalar, Symbol):
        return None
    if value.is_mapping:
        return list(value.pairs)
    if value.is_list and all(item.is_mapping for item in value.items):
        return [pair for item in reversed(value.items) for pair in item.pairs]
    return None
