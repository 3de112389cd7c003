"""The end of a journal: what is pending becomes durable, however the run ends."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from orchestrator.core.errors import StateError
from orchestrator.core.ports import Journal


@asynccontextmanager
async def flushed_at_the_end(journal: Journal, *, within: float = math.inf) -> AsyncIterator[None]:
    """Flushes when the block ends, also when it is cancelled; takes up to `within` seconds.

    Raises `StateError` when that fails; if the block has failed already, the fault becomes a note of that error.
    """
    try:
        yield
    except BaseException as error:
        try:
            await _flush(journal, within)
        except StateError as fault:
            error.add_note(f"besides: {fault.message}")
        raise
    await _flush(journal, within)


async def _flush(journal: Journal, within: float) -> None:
    with anyio.move_on_after(within, shield=True) as scope:
        await journal.flush()
    if scope.cancelled_caught:
        raise StateError(
            f"the last events could not be written within {within:.0f} s",
            hint="what runs at CodeDeploy goes on; resume the run, which finds it again",
        )
