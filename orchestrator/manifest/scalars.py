"""What an unquoted word of YAML means.

YAML 1.1 (PyYAML, Ruby) and 1.2 (editors, JSON Schema) disagree about some words. Where they do, we take the reading
that can't do harm silently: times (`1:30`) and dates stay text as in 1.2, `yes` is a boolean as in 1.1 (so that it is
refused where text is needed), numbers such as `1e10` count as numbers when either says so.
"""

from __future__ import annotations

import re

from orchestrator.manifest.nodes import OddInt

WORDS: dict[str, bool | None] = {
    form: meaning
    for word, meaning in {
        "true": True,
        "yes": True,
        "on": True,
        "false": False,
        "no": False,
        "off": False,
        "null": None,
    }.items()
    for form in (word, word.capitalize(), word.upper())
} | {"": None, "~": None}

MAYBE_SPECIAL = frozenset("0123456789+-.~nNtTfFyYoO")
DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\Z")
INTEGER = re.compile(r"[-+]?(?:[0-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+|0o[0-7_]+)\Z")
FLOAT = re.compile(
    r"[-+]?(?:\.[0-9][0-9_]*|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?\Z"
    r"|[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z"
)


def resolve(text: str) -> str | int | float | bool | None:
    """The value of a plain (unquoted) scalar."""
    if text and text[0] not in MAYBE_SPECIAL:
        return text
    if text in WORDS:
        return WORDS[text]
    if DECIMAL.match(text):
        return int(text)
    if INTEGER.match(text):
        return OddInt(text)
    if FLOAT.match(text):
        return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
