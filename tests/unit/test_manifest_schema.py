"""The JSON Schema: what editors check and explain manifests with."""

import json
import re
from collections.abc import Iterator
from typing import Any

from orchestrator.manifest import schema
from orchestrator.manifest.models import Application, Manifest
from orchestrator.manifest.target_models import Settings

SCHEMA = schema()


def objects(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from objects(value)
    elif isinstance(node, list):
        for item in node:
            yield from objects(item)


def test_its_dialect_and_that_it_is_json() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_it_has_every_key_of_the_format() -> None:
    assert set(SCHEMA["properties"]) == set(Manifest.model_fields)
    assert set(SCHEMA["$defs"]["Settings"]["properties"]) == set(Settings.model_fields)
    assert set(SCHEMA["$defs"]["Application"]["properties"]) == set(Application.model_fields)
    assert SCHEMA["required"] == ["applications"]


def test_every_key_is_explained_and_unknown_ones_are_refused() -> None:
    kinds = [one for one in objects(SCHEMA) if one.get("type") == "object" and "properties" in one]
    assert len(kinds) >= 15
    for kind in kinds:
        assert kind["additionalProperties"] is False
        for name, described in kind["properties"].items():
            referred = SCHEMA["$defs"].get(described.get("$ref", "").removeprefix("#/$defs/"), {})
            assert len({**referred, **described}.get("description", "")) >= 10, name


def test_every_pattern_compiles_and_every_reference_leads_somewhere() -> None:
    for one in objects(SCHEMA):
        if isinstance(one.get("pattern"), str):
            re.compile(one["pattern"])
        if isinstance(one.get("$ref"), str):
            assert one["$ref"].removeprefix("#/$defs/") in SCHEMA["$defs"]


def test_templates_may_stand_where_something_else_than_text_is_expected() -> None:
    settings = SCHEMA["$defs"]["Settings"]["properties"]
    template = {"type": "string", "pattern": r"\$\{.+\}"}
    for name in ("timeout", "skip_if_current", "wait_for", "file_exists_behavior", "deployment_config"):
        assert template in settings[name]["anyOf"], name
    assert template in SCHEMA["$defs"]["ConcurrencySettings"]["properties"]["uploads"]["anyOf"]


def test_null_is_allowed_for_groups_and_environments_and_nowhere_else() -> None:
    nulls = [one for one in objects(SCHEMA) if {"type": "null"} in one.get("anyOf", [])]
    assert [next(iter(one["anyOf"]))["$ref"] for one in nulls] == ["#/$defs/Settings", "#/$defs/Environment"]


def test_what_may_be_false_or_short() -> None:
    settings = SCHEMA["$defs"]["Settings"]["properties"]
    for name in ("alarms", "auto_rollback"):
        assert {"const": False, "type": "boolean"} in settings[name]["anyOf"], name
    groups = SCHEMA["$defs"]["Application"]["properties"]["deployment_groups"]
    assert [one["type"] for one in groups["oneOf"]] == ["array", "object"]
