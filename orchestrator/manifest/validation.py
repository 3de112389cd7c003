"""pydantic's errors as findings: with positions, in our words, with hints."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.manifest.models import Application
from orchestrator.manifest.nodes import Map, Node, Place, Scalar, Sequence
from orchestrator.manifest.problems import Problems, did_you_mean
from orchestrator.manifest.target_models import Settings

Message = tuple[str, str | None]
Location = tuple[int | str, ...]


def report(error: ValidationError, model: type[BaseModel], node: Node, place: Place, problems: Problems) -> None:
    """Records each error of a model's validation. `node` and `place` are where the validated value stands."""
    for details in error.errors(include_url=False, include_input=False):
        _report(details, model, Spot(node, place), problems)


class Spot:
    """A node, its place, and the key that leads to it."""

    def __init__(self, node: Node, place: Place) -> None:
        self.node = node
        self.place = place
        self.key: Scalar | None = None

    def enter(self, part: int | str) -> bool:
        """Goes down by one step; False when it leads nowhere, as the tags do that pydantic puts in between."""
        match self.node:
            case Map() if isinstance(part, str) and part in self.node.items:
                self.key, self.node = self.node.keys[part], self.node.items[part]
            case Sequence() if isinstance(part, int) and part < len(self.node.items):
                self.key, self.node = None, self.node.items[part]
            case _:
                return False
        self.place = (*self.place, part)
        return True


def _report(details: ErrorDetails, model: type[BaseModel], spot: Spot, problems: Problems) -> None:
    kind, location = details["type"], details["loc"]
    context: Mapping[str, Any] = details.get("ctx") or {}
    if kind in {"extra_forbidden", "missing"}:
        for part in location[:-1]:
            spot.enter(part)
        _report_key(kind, str(location[-1]), model, location, spot, problems)
        return
    for part in location:
        spot.enter(part)
    at_key = bool(location) and location[-1] == "[key]"
    if kind == "union_tag_invalid":
        spot.enter("type")
    if kind == "mistake" and (at := context.get("at")) is not None:
        spot.enter(at)
        at_key = True
    if problems.is_broken(spot.node):
        return
    message, hint = _explain(kind, context, spot.node, details["msg"])
    if kind in {"union_tag_invalid", "union_tag_not_found"} and spot.place[:1] == ("notifications",):
        message = message.replace("type of gate", "type of notification")
        hint = hint if kind == "union_tag_invalid" or hint is None else "webhook, slack, github or sns"
    where = spot.key if at_key and spot.key is not None else spot.node
    problems.add(where, spot.place, message, hint)


def _report_key(
    kind: str, name: str, model: type[BaseModel], location: Location, spot: Spot, problems: Problems
) -> None:
    if kind == "missing":
        problems.add(spot.key or spot.node, spot.place, f"{name!r} is missing")
        return
    known = known_keys(model, location[:-1])
    hint = _belongs(name) or did_you_mean(name, known) or "there are " + ", ".join(sorted(known))
    key: Node = spot.node.keys[name] if isinstance(spot.node, Map) and name in spot.node.keys else spot.node
    problems.add(key, (*spot.place, name), f"unknown key {name!r}", hint)


def _belongs(name: str) -> str | None:
    if name in Settings.model_fields:
        return "it is a setting of applications, groups and defaults"
    return "it belongs to an application" if name in Application.model_fields else None


# --- texts -----------------------------------------------------------------------------------------------------------


def _explain(kind: str, context: Mapping[str, Any], node: Node, message: str) -> Message:
    if kind == "mistake":
        return context["message"], context["hint"]
    explain = TEXTS.get(kind)
    return explain(context, node) if explain is not None else (message, None)


def _kind_of(node: Node) -> str:
    match node:
        case Map():
            return "a mapping"
        case Sequence():
            return "a list"
        case Scalar():
            return {bool: "a boolean", str: "text", type(None): "nothing"}.get(type(node.value), "a number")


def _text_wanted(_: Mapping[str, Any], node: Node) -> Message:
    if isinstance(node, Scalar) and node.value is not None:
        return f"must be text, but YAML reads {node.text} as {_kind_of(node)}", f'put it in quotes: "{node.text}"'
    return f"must be text, not {_kind_of(node)}", None


def _number_wanted(_: Mapping[str, Any], node: Node) -> Message:
    quoted = isinstance(node, Scalar) and isinstance(node.value, str) and node.value.isdigit()
    shown = f"{node.text!r}" if isinstance(node, Scalar) else _kind_of(node)
    return f"must be a whole number, not {shown}", "write it without quotes" if quoted else None


def _boolean_wanted(_: Mapping[str, Any], node: Node) -> Message:
    shown = f"{node.text!r}" if isinstance(node, Scalar) else _kind_of(node)
    quoted = isinstance(node, Scalar) and node.text.lower() in {"true", "false"}
    return f"must be true or false, not {shown}", "write it without quotes" if quoted else None


def _list_wanted(_: Mapping[str, Any], node: Node) -> Message:
    words = node.text.replace(",", " ").split() if isinstance(node, Scalar) and not node.dynamic else []
    hint = f"write [{', '.join(words)}]" if words else None
    return f"must be a list, not {_kind_of(node)}", hint


def _mapping_wanted(_: Mapping[str, Any], node: Node) -> Message:
    return f"must be a mapping (key: value), not {_kind_of(node)}", None


def _choice(context: Mapping[str, Any], node: Node) -> Message:
    choices = re.findall(r"'([^']*)'", str(context.get("expected", ""))) or [str(context.get("expected"))]
    shown = repr(node.text) if isinstance(node, Scalar) else _kind_of(node)
    close = did_you_mean(node.text, choices) if isinstance(node, Scalar) else None
    upper = isinstance(node, Scalar) and node.text.upper() in choices
    hint = f"did you mean {node.text.upper()!r}?" if upper and isinstance(node, Scalar) else close
    if len(choices) == 1:
        wrong_type = isinstance(node, Scalar) and node.text == choices[0]
        return f"must be {choices[0]}, not {shown}", "write it without quotes" if wrong_type else None
    return f"{shown} is not one of {', '.join(choices)}", hint


def _tag(context: Mapping[str, Any], _: Node) -> Message:
    choices = re.findall(r"'([^']*)'", str(context.get("expected_tags", "")))
    given = str(context.get("tag", ""))
    return f"{given!r} is not a type of gate", did_you_mean(given, choices) or f"there are {', '.join(choices)}"


TEXTS: Mapping[str, Callable[[Mapping[str, Any], Node], Message]] = {
    "string_type": _text_wanted,
    "int_type": _number_wanted,
    "int_from_float": _number_wanted,
    "int_parsing": _number_wanted,
    "bool_type": _boolean_wanted,
    "list_type": _list_wanted,
    "dict_type": _mapping_wanted,
    "model_type": _mapping_wanted,
    "model_attributes_type": _mapping_wanted,
    "literal_error": _choice,
    "union_tag_invalid": _tag,
    "union_tag_not_found": lambda _, node: (
        ("'type' is missing", "cloudwatch_alarm, prometheus, http, command or approval")
        if isinstance(node, Map)
        else _mapping_wanted({}, node)
    ),
    "greater_than_equal": lambda context, _: (f"must be at least {context['ge']}", None),
    "less_than_equal": lambda context, _: (f"must be at most {context['le']}", None),
    "string_too_short": lambda *_: ("is empty", None),
    "string_too_long": lambda context, _: (f"is longer than {context['max_length']} characters", None),
    "too_short": lambda *_: ("is empty", None),
    "string_pattern_mismatch": lambda *_: ("must begin with http:// or https://", None),
}


# --- which keys there are --------------------------------------------------------------------------------------------


def known_keys(model: type[BaseModel], location: Location) -> set[str]:
    """The keys that the model has at a location of one of its errors."""
    reached: list[object] = [model]
    for part in location:
        reached = [step for kind in reached for step in _steps(kind, part)] or reached
    return {name for kind in reached for found in _models(kind) for name in found.model_fields}


def _steps(kind: object, part: int | str) -> list[object]:
    steps: list[object] = []
    for found in _models(kind):
        if isinstance(part, str) and part in found.model_fields:
            steps.append(found.model_fields[part].annotation)
        elif "type" in found.model_fields and part in get_args(found.model_fields["type"].annotation):
            steps.append(found)  # the tag of a union: this one of its members
    if not steps:
        steps = [argument for argument in get_args(kind) if _models(argument)]
    return steps


def _models(kind: object) -> list[type[BaseModel]]:
    """The models that a type mentions at its top: itself, or the members of a union, a list or a mapping."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [found for argument in get_args(kind) for found in _models(argument)]
