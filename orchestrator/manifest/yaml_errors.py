"""libyaml's complaints, in words that say what to do."""

from __future__ import annotations

import yaml

from orchestrator.core.errors import Finding

HINTS = (
    ("tab character", "YAML indents with spaces only"),
    ("cannot start any token", "text that begins with @, ` or % must be in quotes"),
    ("mapping values are not allowed", "check the indentation, and put text that holds ': ' in quotes"),
    (
        "did not find expected ',' or",
        "close the bracket; inside of brackets, values that hold ${…}, {, [ or ', ' need quotes",
    ),
    ("expected alphabetic or numeric character", "text that begins with * or & must be in quotes"),
    ("could not find expected ':'", "a key must be followed by ': '"),
    ("did not find expected key", "check the indentation of this line and of those before it"),
    ("did not find expected '-' indicator", "check the indentation: the items of a list begin at one column"),
    ("unexpected end of stream", "a quote is not closed"),
    ("did not find expected <document start>", "check the indentation; a manifest is one mapping"),
    ("undefined tag handle", "take the tag away, or put the text in quotes"),
)


def syntax_finding(error: yaml.YAMLError, file: str, text: str) -> Finding:
    """One finding from whatever PyYAML raises; without a position of its own it is at the end of the text."""
    problem = str(getattr(error, "problem", None) or error).splitlines()[0]
    mark = getattr(error, "problem_mark", None)
    context = getattr(error, "context", None)
    line, column = (mark.line, mark.column) if mark is not None else (text.count("\n"), 0)
    hint = next((hint for words, hint in HINTS if words in problem), None)
    if "cannot start any token" in problem and _character(text, line, column) == "\t":
        hint = "YAML indents with spaces only; this is a tab"
    during = f" {context}" if context else ""
    return Finding(
        file=file, line=line + 1, column=column + 1, place="", message=f"not valid YAML{during}: {problem}", hint=hint
    )


def _character(text: str, line: int, column: int) -> str:
    lines = text.splitlines()
    return lines[line][column : column + 1] if line < len(lines) else ""
