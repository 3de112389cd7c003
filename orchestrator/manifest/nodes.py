"""A YAML document as a tree that knows where everything was written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, TypeAlias

Plain: TypeAlias = "str | int | float | bool | list[Plain] | dict[str, Plain] | None"
"""What a document means once its positions are left aside."""

Key = str | int
Place = tuple[Key, ...]
"""The keys and indexes that lead from the root to a node."""


class OddInt(int):
    """A number in a notation that YAML 1.1 and 1.2 read differently (`010`, `1_000`) or that is unusual (`0x1F`)."""

    text: str

    def __new__(cls, text: str) -> Self:
        odd = super().__new__(cls, 0)
        odd.text = text
        return odd


@dataclass(slots=True, eq=False)
class Scalar:
    file: str
    line: int
    column: int
    value: str | int | float | bool | None
    text: str
    """As written, without quotes."""

    @property
    def dynamic(self) -> bool:
        """Whether it holds something to expand."""
        return "${" in self.text


@dataclass(slots=True, eq=False)
class Sequence:
    file: str
    line: int
    column: int
    items: list[Node]
    value: list[Plain]
    """The items' values, nothing expanded."""
    dynamic: bool = False
    size: int = 1
    """Nodes in it, aliases counted as often as they are used."""
    height: int = 1


@dataclass(slots=True, eq=False)
class Map:
    file: str
    line: int
    column: int
    items: dict[str, Node]
    keys: dict[str, Scalar]
    """The keys as nodes, for their positions."""
    value: dict[str, Plain]
    dynamic: bool = False
    size: int = 1
    height: int = 1


Node: TypeAlias = Scalar | Sequence | Map


def child(node: Node | None, key: Key) -> Node | None:
    """What stands under a key or an index; None when there is nothing."""
    match node:
        case Map():
            return node.items.get(key) if isinstance(key, str) else None
        case Sequence():
            return node.items[key] if isinstance(key, int) and 0 <= key < len(node.items) else None
        case _:
            return None


def descend(node: Node | None, place: Place) -> Node | None:
    for key in place:
        node = child(node, key)
    return node


def written(place: Place) -> str:
    """A place for people: `applications.shop-api.needs[0]`."""
    text = ""
    for key in place:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += f".{key}" if text else key
    return text
