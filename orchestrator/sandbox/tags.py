"""Tags and tag filters: checked, and matched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from orchestrator.sandbox.errors import Json, ServiceError

KEY_LIMIT, VALUE_LIMIT, TAG_LIMIT = 128, 256, 50
"""Characters of a key and of a value; tags of one resource."""
FILTER_LIMIT = 10
"""Filters in one list of a deployment group."""


def tags_of(given: Iterable[Json], code: str) -> dict[str, str]:
    """A TagList as a mapping. Raises an error of that code."""
    found: dict[str, str] = {}
    for tag in given:
        key, value = tag.get("Key"), tag.get("Value") or ""
        if not key or len(key) > KEY_LIMIT or key.lower().startswith("aws:"):
            raise ServiceError(code, f"the tag key {key!r} isn't 1–{KEY_LIMIT} characters that don't start with aws:")
        if len(value) > VALUE_LIMIT:
            raise ServiceError(code, f"the value of tag {key} has {len(value)} characters, {VALUE_LIMIT} are allowed")
        found[key] = value
    return found


def tag_list(tags: Mapping[str, str]) -> list[Json]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def check_filters(filters: Sequence[Json], code: str) -> None:
    """The filters of one list. Raises an error of that code."""
    if len(filters) > FILTER_LIMIT:
        raise ServiceError(code, f"{len(filters)} tag filters; the limit is {FILTER_LIMIT}")
    for one in filters:
        kind, key, value = one.get("Type"), one.get("Key") or "", one.get("Value") or ""
        if kind is None:
            raise ServiceError(code, "a tag filter needs a Type: KEY_ONLY, VALUE_ONLY or KEY_AND_VALUE")
        if len(key) > KEY_LIMIT or len(value) > VALUE_LIMIT:
            raise ServiceError(code, f"a tag filter's key has at most {KEY_LIMIT} characters, its value {VALUE_LIMIT}")
        if kind != "VALUE_ONLY" and not key:
            raise ServiceError(code, f"a tag filter of type {kind} needs a Key")


def matches(tags: Mapping[str, str], filters: Iterable[Json]) -> bool:
    """Whether any of the filters (EC2TagFilter, TagFilter) fits."""
    return any(_fits(tags, one) for one in filters)


def _fits(tags: Mapping[str, str], one: Json) -> bool:
    """Without a type: what it names has to fit."""
    key, value = one.get("Key") or "", one.get("Value") or ""
    match one.get("Type") or ("KEY_AND_VALUE" if key and value else "VALUE_ONLY" if value else "KEY_ONLY"):
        case "KEY_ONLY":
            return key in tags
        case "VALUE_ONLY":
            return value in tags.values()
        case _:
            return tags.get(key) == value
