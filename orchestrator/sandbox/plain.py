"""Dataclasses as plain JSON and back: how what the sandbox holds gets onto disk.

A field that refers to something kept elsewhere, or that can be worked out again, has `metadata=NOT_KEPT`. All others
are kept, whatever is added to a class later; a type that can't be kept is an error as soon as its class is used.
`inf` is written as Python's `json` writes it.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Convert = Callable[[Any], Any]

NOT_KEPT: Mapping[str, bool] = {"kept": False}
"""`field(metadata=NOT_KEPT)`"""

_AS_THEY_ARE = (str, int, float, bool, type(None), Any)


def to_plain(value: Any) -> dict[str, Any]:
    """A dataclass as a JSON object."""
    kind: Any = type(value)
    found: dict[str, Any] = _encoder(kind)(value)
    return found


def from_plain(kind: type[T], data: Mapping[str, Any], **others: Any) -> T:
    """The dataclass again. `others`: its fields that aren't kept and have no default.

    A field that the data lack gets its default, so that data of an older version can be read.
    """
    shape: Any = kind
    known = _members(shape)
    given = {
        name: decode(data[name])
        for name, (field, _, decode) in known.items()
        if field.init and (name in data or _is_needed(field))
    }
    return kind(**given, **others)


def _is_needed(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


@cache
def _members(kind: Any) -> dict[str, tuple[Field[Any], Convert, Convert]]:
    hints = get_type_hints(kind)
    return {
        field.name: (field, _encoder(hints[field.name]), _decoder(hints[field.name]))
        for field in fields(kind)
        if field.metadata.get("kept", True) and field.init
    }


@cache
def _encoder(kind: Any) -> Convert:
    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return lambda value: {name: encode(getattr(value, name)) for name, (_, encode, _) in _members(kind).items()}
    if kind in _AS_THEY_ARE or origin is Literal:
        return _same
    if kind is Path:
        return str
    if origin in (list, tuple, set, frozenset):
        return _each(origin, inner, _encoder, list)
    if origin is dict:
        item = _encoder(inner[1])
        return lambda value: {key: item(one) for key, one in value.items()}
    if origin in (Union, types.UnionType):
        return _optional(inner, _encoder)
    raise TypeError(f"{kind} can't be kept: give its field metadata=NOT_KEPT, or another type")


@cache
def _decoder(kind: Any) -> Convert:
    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return lambda value: from_plain(kind, value)
    if kind in _AS_THEY_ARE or origin is Literal:
        return _same
    if kind is Path:
        return Path
    if origin in (list, tuple, set, frozenset):
        return _each(origin, inner, _decoder, origin)
    if origin is dict:
        item = _decoder(inner[1])
        return lambda value: {key: item(one) for key, one in value.items()}
    return _optional(inner, _decoder)


def _same(value: Any) -> Any:
    return value


def _each(
    origin: Any, inner: tuple[Any, ...], convert: Callable[[Any], Convert], make: Callable[[Any], Any]
) -> Convert:
    """A list, a set, a tuple of any length, or one of fixed members."""
    if origin is tuple and inner[1:] != (...,):
        items = [convert(one) for one in inner]
        return lambda value: make(item(one) for item, one in zip(items, value, strict=True))
    item = convert(inner[0])
    if origin in (set, frozenset):
        return lambda value: make(sorted(item(one) for one in value))
    return lambda value: make(item(one) for one in value)


def _optional(inner: tuple[Any, ...], convert: Callable[[Any], Convert]) -> Convert:
    """`X | None`, or a union of types that JSON tells apart by itself."""
    others = [one for one in inner if one is not type(None)]
    if len(others) == 1:
        item = convert(others[0])
        return lambda value: None if value is None else item(value)
    if all(one in _AS_THEY_ARE for one in others):
        return _same
    raise TypeError(f"{inner} can't be kept: JSON doesn't tell these types apart")
