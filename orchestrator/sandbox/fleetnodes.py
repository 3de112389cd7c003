"""YAML with positions, read against a small description: every mistake at once, each with its place.

A reader takes a node and gives a value, or notes what is wrong and gives None. Composed YAML nodes are used rather
than loaded values, because they know line and column, and because a plain `on` is still what was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

_DURATION = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?")
_MILLISECONDS = re.compile(r"(\d+(?:\.\d+)?)ms")
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")
_BIGGEST = 1 << 20
"""Bytes of a file, and nodes of what its aliases make of it."""


class FleetFileError(ValueError):
    """The message has every mistake, one a line: `path:line:column: place: what is wrong`."""


class Notes:
    """The mistakes found so far."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: list[tuple[int, int, str]] = []

    def add(self, node: yaml.Node, place: str, what: str) -> None:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        where = f"{place}: " if place else ""
        self._found.append((line, column, f"{self._path}:{line}:{column}: {where}{what}"))

    def check(self) -> None:
        """Raises `FleetFileError` if there are any."""
        if self._found:
            raise FleetFileError("\n".join(text for _, _, text in sorted(self._found)))


Reader = Callable[[yaml.Node, str, Notes], Any]


def compose(path: Path) -> yaml.Node | None:
    """The document; None if it is empty. Raises `FleetFileError`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FleetFileError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise FleetFileError(f"{path}: this isn't UTF-8 text") from None
    if len(text) > _BIGGEST:
        raise FleetFileError(f"{path}: more than {_BIGGEST} characters")
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise FleetFileError(f"{where}: {error.problem or error}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise FleetFileError(f"{path}: {' '.join(str(error).split())}") from None


def similar(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing."""
    close = get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


# --- values


def _scalar(node: yaml.Node, place: str, notes: Notes, wanted: str) -> str | None:
    if isinstance(node, yaml.ScalarNode):
        text: str = node.value
        if text or node.style:
            return text
    found = "a mapping" if isinstance(node, yaml.MappingNode) else "a list" if node.value else "nothing"
    notes.add(node, place, f"expected {wanted}, got {found}")
    return None


def text(node: yaml.Node, place: str, notes: Notes) -> str | None:
    return _scalar(node, place, notes, "text")


def number(lowest: float = 0.0, highest: float = float("inf"), *, above: bool = False) -> Reader:
    """`above`: more than the lowest."""

    def read(node: yaml.Node, place: str, notes: Notes) -> float | None:
        written = _scalar(node, place, notes, "a number")
        if written is None:
            return None
        try:
            value = float(written)
        except ValueError:
            notes.add(node, place, f"{written!r} is no number")
            return None
        if not (lowest < value if above else lowest <= value) or not value <= highest:
            limits = f"more than {lowest:g}" if above else f"from {lowest:g}"
            notes.add(node, place, f"{written} is out of range: {limits}" + _up_to(highest))
            return None
        return value

    return read


def whole(lowest: int, highest: float = float("inf")) -> Reader:
    def read(node: yaml.Node, place: str, notes: Notes) -> int | None:
        written = _scalar(node, place, notes, "a whole number")
        if written is None:
            return None
        if not re.fullmatch(r"-?\d{1,18}", written):
            notes.add(node, place, f"{written!r} is no whole number")
            return None
        if not lowest <= int(written) <= highest:
            notes.add(node, place, f"{written} is out of range: from {lowest}" + _up_to(highest))
            return None
        return int(written)

    return read


def _up_to(highest: float) -> str:
    return f" to {highest:g}" if highest < float("inf") else ""


def share(node: yaml.Node, place: str, notes: Notes) -> float | None:
    """A probability: `0.1` or `10%`."""
    written = _scalar(node, place, notes, "a probability")
    if written is None:
        return None
    try:
        value = float(written[:-1]) / 100 if written.endswith("%") else float(written)
    except ValueError:
        notes.add(node, place, f"{written!r} is no probability: 0 to 1, or a percentage")
        return None
    if not 0 <= value <= 1:
        notes.add(node, place, f"{written} is out of range: 0 to 1, or 0% to 100%")
        return None
    return value


def seconds(node: yaml.Node, place: str, notes: Notes) -> float | None:
    """A duration: `500ms`, `90s`, `1h30m`."""
    written = _scalar(node, place, notes, "a duration")
    if written is None:
        return None
    value = _seconds(written)
    if value is None:
        notes.add(node, place, f"{written!r} is no duration: 500ms, 90s, 45m, 1h30m")
    return value


def between(node: yaml.Node, place: str, notes: Notes) -> tuple[float, float] | None:
    """One duration, or two with a dash: `2s` or `1s-3s`."""
    written = _scalar(node, place, notes, "a duration")
    if written is None:
        return None
    first, dash, last = written.partition("-")
    shortest, longest = _seconds(first.strip()), _seconds(last.strip() if dash else first.strip())
    if shortest is None or longest is None or shortest > longest:
        notes.add(node, place, f"{written!r} is neither a duration nor two of them: 2s, or 1s-3s")
        return None
    return shortest, longest


def _seconds(written: str) -> float | None:
    if match := _MILLISECONDS.fullmatch(written):
        return float(match[1]) / 1000
    match = _DURATION.fullmatch(written)
    if match is None or not written:
        return None
    return float(match["h"] or 0) * 3600 + float(match["m"] or 0) * 60 + float(match["s"] or 0)


def flag(node: yaml.Node, place: str, notes: Notes) -> bool | None:
    written = _scalar(node, place, notes, "true or false")
    if written is None:
        return None
    if written.lower() in (*_TRUE, *_FALSE):
        return written.lower() in _TRUE
    notes.add(node, place, f"{written!r} is neither true nor false")
    return None


def one_of(choices: Iterable[str], what: str) -> Reader:
    known = tuple(choices)

    def read(node: yaml.Node, place: str, notes: Notes) -> str | None:
        written = _scalar(node, place, notes, what)
        if written is None or written in known:
            return written
        hint = similar(written, known) or f"; there are {', '.join(sorted(known))}"
        notes.add(node, place, f"unknown {what} {written!r}{hint}")
        return None

    return read


def matching(pattern: str, what: str) -> Reader:
    """Text of a form."""
    known = re.compile(pattern)

    def read(node: yaml.Node, place: str, notes: Notes) -> str | None:
        written = _scalar(node, place, notes, what)
        if written is None or known.fullmatch(written):
            return written
        notes.add(node, place, f"{written!r} isn't {what}")
        return None

    return read


# --- lists and mappings


def listed(item: Reader) -> Reader:
    """A list; what is no list is taken for its only item, where that is a scalar."""

    def read(node: yaml.Node, place: str, notes: Notes) -> tuple[Any, ...] | None:
        if isinstance(node, yaml.ScalarNode) and node.value:
            nodes = [node]
        elif isinstance(node, yaml.SequenceNode):
            nodes = node.value
        else:
            notes.add(node, place, "expected a list")
            return None
        return tuple(item(one, f"{place}[{number}]", notes) for number, one in enumerate(nodes))

    return read


def pairs(node: yaml.Node, place: str, notes: Notes) -> list[tuple[str, yaml.Node, yaml.Node]]:
    """Key, its node and the value's of a mapping; each key once."""
    if not isinstance(node, yaml.MappingNode):
        notes.add(node, place, "expected a mapping")
        return []
    found: dict[str, tuple[str, yaml.Node, yaml.Node]] = {}
    for key, value in node.value:
        name = _scalar(key, place, notes, "a key")
        if name is None:
            continue
        if name in found:
            notes.add(key, place, f"{name} is there twice")
        found[name] = (name, key, value)
    return list(found.values())


def mapped(item: Reader, key: Reader = text) -> Reader:
    """A mapping whose keys are names."""

    def read(node: yaml.Node, place: str, notes: Notes) -> dict[str, Any]:
        found = {}
        for name, at, value in pairs(node, place, notes):
            if key(at, place, notes) is not None:
                found[name] = item(value, _inside(place, name), notes)
        return found

    return read


def record(known: Mapping[str, Reader], required: Iterable[str] = ()) -> Reader:
    """A mapping with these keys: gives those that are there."""
    needed = tuple(required)

    def read(node: yaml.Node, place: str, notes: Notes) -> dict[str, Any]:
        found: dict[str, Any] = {}
        names = set()
        for name, at, value in pairs(node, place, notes):
            names.add(name)
            if name not in known:
                hint = similar(name, known) or f"; there are {', '.join(known)}"
                notes.add(at, place, f"unknown key {name!r}{hint}")
            elif (read_value := known[name](value, _inside(place, name), notes)) is not None:
                found[name] = read_value
        missing = [name for name in needed if name not in names]
        if missing and isinstance(node, yaml.MappingNode):
            notes.add(node, place, f"{', '.join(missing)} is missing")
        return found

    return read


def _inside(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
