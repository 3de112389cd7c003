"""The one place in aws/ that asks again: calls of S3 and STS that may be sent twice. CodeDeploy's never come here."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio

from orchestrator.core.errors import AnswerLostError, ThrottledError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Backoff:
    """How often, and how long to wait in between: between half and all of `base`, twice that, … up to `cap` seconds."""

    attempts: int = 5
    base: float = 0.25
    cap: float = 5.0
    jitter: Callable[[], float] = random.random
    """From 0 to 1; given, so that tests know what comes."""

    def delay(self, attempt: int) -> float:
        """Seconds to wait after the attempt of this number, counted from 1."""
        longest: float = min(self.cap, self.base * 2 ** (attempt - 1))
        return longest * (0.5 + self.jitter() / 2)


async def retrying(call: Callable[[], Awaitable[T]], *, backoff: Backoff) -> T:
    """What the call returns, asked again while it is throttled or its answer is lost; at last, the error."""
    attempt = 1
    while True:
        try:
            return await call()
        except (ThrottledError, AnswerLostError):
            if attempt >= backoff.attempts:
                raise
        await anyio.sleep(backoff.delay(attempt))
        attempt += 1
