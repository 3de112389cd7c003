"""Calls that must work under a shield, in a task that was cancelled already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")


async def in_own_task(call: Callable[[], Awaitable[T]]) -> T:
    """What the call returns or raises; it runs in a task of its own, under the caller's scopes.

    When S3 answers before a body was sent (an empty one, or a condition that failed), aiohttp ends its writer by a
    cancellation, and takes that for one of its caller's if the calling task was ever cancelled: under a shield, too.
    """
    answers: list[T] = []
    errors: list[Exception] = []

    async def work() -> None:
        try:
            answers.append(await call())
        except Exception as error:  # noqa: BLE001  # raised below, where no task group wraps it
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
    if errors:
        raise errors[0]
    return answers[0]
