"""Requests and answers as the services see them; only `http` knows aiohttp."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.sandbox.identity import Scope

if TYPE_CHECKING:
    from orchestrator.sandbox.storage import Blob


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One HTTP request."""

    method: str
    path: str
    """Percent-decoded, from the first slash."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Case doesn't matter."""
    scope: Scope
    now: float
    body: AsyncIterator[bytes]


@dataclass(kw_only=True, slots=True)
class Answer:
    """One HTTP answer. `blob` is sent in place of `body`, from `start` on, `length` bytes."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    blob: Blob | None = None
    start: int = 0
    length: int = 0


def xml(name: str, *content: str, namespace: str = "") -> str:
    """One element around XML that is escaped already."""
    attribute = f' xmlns="{namespace}"' if namespace else ""
    return f"<{name}{attribute}>{''.join(content)}</{name}>"


def text(name: str, value: object) -> str:
    """One element around a value: booleans as XML writes them; nothing at all for None."""
    if value is None:
        return ""
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    return f"<{name}>{html.escape(shown, quote=False)}</{name}>"


def xml_answer(document: str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{document}'.encode()
    return Answer(status=status, body=body, headers={"Content-Type": "application/xml", **(headers or {})})
