"""docs/appspec.md has every code that a finding can have, and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pages

import orchestrator.bundle

TEXT = pages.page("appspec")
SOURCES = sorted(Path(next(iter(orchestrator.bundle.__path__))).glob("*.py"))

_CODE = re.compile(r"[a-z0-9]+(_[a-z0-9]+)+")
_EVERY_KEY = {"files_{}_missing": ("source", "destination")} | dict.fromkeys(
    ("permission_{}_type", "permission_{}_unknown"), ("owner", "group")
)
_NO_CODES = {"file_exists_behavior", "ignore_hidden", "include_vcs"}
"""Keys of AppSpecs and manifests that look like codes."""


def codes_in_the_sources() -> set[str]:
    """Words in the places where codes stand: arguments, members of tuples, one side of a condition."""
    found: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for value in _values(node):
                text = _text(value)
                if _CODE.fullmatch(text.replace("{}", "x")):
                    found.update(text.format(key) for key in _EVERY_KEY.get(text, ("",)))
    return {code for code in found if not code.startswith("_")} - _NO_CODES


def _values(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.Call():
            return node.args
        case ast.Tuple():
            return node.elts
        case ast.IfExp():
            return [node.body, node.orelse]
        case _:
            return []


def _text(value: ast.expr) -> str:
    if isinstance(value, ast.Constant):
        return str(value.value)
    if isinstance(value, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in value.values)
    return ""


def test_every_code_is_in_the_tables_and_no_other() -> None:
    rows = pages.rows(pages.section(TEXT, "Finding codes"))
    listed = {code for row in rows for code in pages.codes(row[0])}
    derived = {code for code in listed if code.endswith("_for_next_deployment")}
    assert listed - derived == codes_in_the_sources() - derived
    assert {code.removesuffix("_for_next_deployment") for code in derived} <= listed


def test_each_is_an_error_or_a_warning() -> None:
    for row in pages.rows(pages.section(TEXT, "Finding codes")):
        kinds = set(row[1].split(", "))
        assert kinds <= {"error", "warning", "as the others"}
