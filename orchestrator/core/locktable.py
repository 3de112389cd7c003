"""The table of locks in its place: read, changed by compare-and-swap, and unlocked by hand."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection

import anyio

from orchestrator.core.blobs import Blobs, ConflictError
from orchestrator.core.locks import LOCKS, Holder, LockTable
from orchestrator.core.signs import end_mark, sign_name

SWAP_PAUSE = 0.05
"""Seconds after a write that somebody else was faster than."""


async def holders(blobs: Blobs) -> list[Holder]:
    """Who holds locks, alive or dead; oldest first. Raises `StateError`."""
    table = await read_table(blobs)
    return sorted(table.holders.values(), key=lambda holder: (holder.since, holder.id))


async def unlock(blobs: Blobs, run: str | None = None) -> list[Holder]:
    """Takes the locks of the run (None: of all runs) away, alive or dead, and returns whose they were.

    A living process notices at its next renewal, up to 10 s later, and may start things until then: ask the user first.
    Raises `StateError`.
    """
    victims = [holder for holder in await holders(blobs) if run is None or holder.run == run]
    for victim in victims:
        await blobs.put(sign_name(victim.id), end_mark(victim.id, f"unlock.{secrets.token_hex(8)}"))
    if victims:
        await remove(blobs, [victim.id for victim in victims], lambda: secrets.token_hex(8))
    return victims


async def read_table(blobs: Blobs) -> LockTable:
    """Raises `StateError`."""
    return LockTable.parse(await blobs.get(LOCKS), blobs.where)


async def swap(blobs: Blobs, table: LockTable, nonce: str) -> bool:
    """Whether the table was still the one that this one was made from."""
    try:
        await blobs.put(LOCKS, table.content(nonce), absent=table.tag is None, match=table.tag)
    except ConflictError:
        return False
    return True


async def remove(blobs: Blobs, ids: Collection[str], nonce: Callable[[], str], *, always: bool = False) -> None:
    """Out of the table, then their signs of life. `always`: writes the table even if they aren't in it."""
    while True:
        table = await read_table(blobs)
        if not always and table.holders.keys().isdisjoint(ids):
            break
        if await swap(blobs, table.without(ids), nonce()):
            break
        await anyio.sleep(SWAP_PAUSE)
    for holder in ids:
        await blobs.delete(sign_name(holder))
