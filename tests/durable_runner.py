"""The SDK's local runner leaves its event loop open."""

from __future__ import annotations

import asyncio
from typing import Any


def close_scheduler(scheduler: Any) -> None:
    """Of a runner that has been stopped: what it has called off ends, and the loop is closed."""
    loop: asyncio.AbstractEventLoop = scheduler._loop
    loop.run_until_complete(_ends(asyncio.all_tasks(loop)))
    loop.close()


async def _ends(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
