"""The manifest's JSON Schema."""

from __future__ import annotations

from typing import Any

from orchestrator.manifest.models import Manifest

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12, of a manifest: for editors, which check and complete with it.

    It allows `${…}` where a number, a boolean or a word of a few is expected.
    """
    made = Manifest.model_json_schema()
    cleaned = clean(made)
    return {"$schema": DIALECT, **cleaned} if isinstance(cleaned, dict) else {}


def clean(node: object, *, is_property: bool = False) -> object:
    """Without generated titles, and without null for properties.

    In Python None stands for a property that is left out; written out in a manifest, null is a mistake. The members
    of a mapping (groups and environments without settings) may be null.
    """
    if isinstance(node, list):
        return [clean(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: clean_value(key, value) for key, value in node.items() if not drops(key, value)}
    if "patternProperties" in found:
        found["additionalProperties"] = False
    options = found.get("anyOf")
    if is_property and isinstance(options, list):
        options = [option for option in options if option != {"type": "null"}]
        if len(options) == 1 and isinstance(options[0], dict):
            del found["anyOf"]
            return {**options[0], **found}
        found["anyOf"] = options
    return found


def clean_value(key: str, value: object) -> object:
    if key == "properties" and isinstance(value, dict):
        return {name: clean(property_schema, is_property=True) for name, property_schema in value.items()}
    return clean(value)


def drops(key: str, value: object) -> bool:
    return (key == "default" and value is None) or (key == "title" and isinstance(value, str))
