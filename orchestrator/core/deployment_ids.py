"""Finds deployment ids in what people and programs hand over."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from orchestrator.core.errors import UsageError

_ID = re.compile(r"d-[A-Za-z0-9]{1,32}")
_SHOWN = 60


def parse_ids(text: str) -> list[str]:
    """The ids in a text, in their order, each once.

    The text is plain ids, between white space or commas, or JSON as `aws deploy create-deployment` prints it: one
    value or many after one another; objects with `deploymentId` or `deploymentIds` or `deployments`, strings, lists.
    Raises `UsageError` that shows what was found instead.
    """
    found = list(dict.fromkeys(_ids(text)))
    if not found:
        raise UsageError(
            "no deployment ids were given",
            hint="give them as arguments, or pipe the output of `aws deploy create-deployment` in; "
            "when that command failed, its own message says why",
        )
    return found


def _ids(text: str) -> Iterator[str]:
    decoder = json.JSONDecoder()
    rest = text.lstrip("\ufeff \t\r\n,")
    while rest:
        if rest[0] in '{["':
            try:
                value, end = decoder.raw_decode(rest)
            except ValueError as error:
                raise UsageError(f"this is no JSON: {rest[:_SHOWN]!r}", hint=str(error)) from None
            yield from _in_json(value)
        else:
            match = re.match(r"[^\s,]+", rest)
            end = match.end() if match else 1
            yield _checked(rest[:end])
        rest = rest[end:].lstrip(" \t\r\n,")


def _in_json(value: Any) -> Sequence[str]:
    if isinstance(value, str):
        return [_checked(value)]
    if isinstance(value, list):
        return [each for item in value for each in _in_json(item)]
    if isinstance(value, dict):
        for name in ("deploymentId", "deploymentIds", "deployments"):
            if name in value:
                return _in_json(value[name])
    raise UsageError(
        f"no deploymentId in {json.dumps(value)[:_SHOWN]}",
        hint='the output of `aws deploy create-deployment` looks like {"deploymentId": "d-ABCDEF123"}',
    )


def _checked(word: str) -> str:
    if not _ID.fullmatch(word):
        raise UsageError(f"{word[:_SHOWN]!r} is no deployment id", hint="they look like d-ABCDEF123")
    return word
