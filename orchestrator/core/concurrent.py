"""The same thing for many items, so many at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio

Item = TypeVar("Item")
Result = TypeVar("Result")


async def map_limited(
    function: Callable[[Item], Awaitable[Result]], items: Iterable[Item], *, limit: int
) -> list[Result]:
    """The results in the order of the items. The first error calls the others off and is raised as it is."""
    limiter = anyio.CapacityLimiter(limit)
    numbered = list(enumerate(items))
    results: dict[int, Result] = {}
    errors: list[Exception] = []

    async def one(number: int, item: Item, all_of_them: anyio.CancelScope) -> None:
        async with limiter:
            try:
                results[number] = await function(item)
            except Exception as error:  # noqa: BLE001 - raised below, where no task group wraps it
                errors.append(error)
                all_of_them.cancel()

    async with anyio.create_task_group() as tasks:
        for number, item in numbered:
            tasks.start_soon(one, number, item, tasks.cancel_scope)
    if errors:
        raise errors[0]
    return [results[number] for number, _ in numbered]


async def both(one: Callable[[], Awaitable[Item]], other: Callable[[], Awaitable[Result]]) -> tuple[Item, Result]:
    """Two different things side by side; errors as above."""
    first: list[Item] = []
    second: list[Result] = []

    async def do_one() -> None:
        first.append(await one())

    async def do_other() -> None:
        second.append(await other())

    await map_limited(lambda work: work(), (do_one, do_other), limit=2)
    return first[0], second[0]
