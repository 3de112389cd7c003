"""What every operation of CodeDeploy gets, and what several of them need."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from orchestrator.sandbox.bundles import BundleChecker
from orchestrator.sandbox.errors import Json, ServiceError
from orchestrator.sandbox.injector import Injector
from orchestrator.sandbox.options import SandboxOptions
from orchestrator.sandbox.region import Region
from orchestrator.sandbox.shapes import Serializer


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """One call: where, when, and with what."""

    region: Region
    now: float
    injector: Injector
    bundles: BundleChecker
    options: SandboxOptions
    deployment_info: Serializer


@dataclass(frozen=True, slots=True)
class Rendered:
    """An answer that is JSON already, in its shape."""

    text: str


Answer = Json | Rendered
Handler = Callable[[Context, Json], Answer | Awaitable[Answer]]
"""Takes parameters that fit the model. Raises `ServiceError`."""


def page(items: Sequence[str], token: str | None, size: int) -> tuple[list[str], str | None]:
    """One page and the token of the next. A token names the last item before it, so new items don't shift pages."""
    start = 0
    if token is not None:
        try:
            last = base64.urlsafe_b64decode(token.encode()).decode()
            start = items.index(last) + 1
        except (binascii.Error, UnicodeError, ValueError):
            raise ServiceError("InvalidNextTokenException", f"nextToken {token!r} wasn't given by this call") from None
    found = list(items[start : start + size])
    is_last = start + size >= len(items)
    return found, None if is_last else base64.urlsafe_b64encode(found[-1].encode()).decode()


def check_batch(items: Sequence[object], limit: int, what: str) -> None:
    if len(items) > limit:
        raise ServiceError("BatchLimitExceededException", f"{len(items)} {what} in one call; the limit is {limit}")
