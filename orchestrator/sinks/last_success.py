"""When runs last succeeded, read back from metrics that an earlier run has left somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from orchestrator.sinks.exposition import PREFIX

Successes = dict[tuple[str, str], float]
"""Epoch seconds by (release, environment)."""

_NAME = f"{PREFIX}last_success_timestamp_seconds"
_LINE = re.compile(rf"^{_NAME}\{{(.*)\}} (\S+)(?: \d+)?\s*$")
_LABEL = re.compile(r'([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


def found_in(lines: Iterable[bytes], where: Mapping[str, str] | None = None) -> Successes:
    """Of all lines that have the labels of `where`, too. Reads the text format; what isn't it, is passed over.

    Raises what reading the lines raises.
    """
    found: Successes = {}
    prefix = _NAME.encode()
    for raw in lines:
        if not raw.startswith(prefix) or (match := _LINE.match(raw.decode(errors="replace"))) is None:
            continue
        labels = {name: _ESCAPED.sub(_unescape, value) for name, value in _LABEL.findall(match[1])}
        if any(labels.get(name, "") != value for name, value in (where or {}).items()):
            continue
        if {"release", "environment"} <= set(labels) and (value := _number(match[2])) is not None:
            found[labels["release"], labels["environment"]] = value
    return found


def _unescape(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
