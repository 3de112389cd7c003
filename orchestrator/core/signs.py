"""Signs of life: what a holder of locks rewrites again and again, and how others tell the living from the dead."""

from __future__ import annotations

import json
from collections.abc import Sequence

import anyio

from orchestrator.core.blobs import Blobs, ConflictError
from orchestrator.core.locks import Holder

LAYOUT_VERSION = 1


def sign_name(holder: str) -> str:
    """The object's name."""
    return f"leases/{holder}.json"


def sign(holder: Holder, count: int) -> bytes:
    """`count` makes every sign of this holder another one."""
    data = {"version": LAYOUT_VERSION, "holder": holder.id, "run": holder.run, "count": count}
    return json.dumps(data).encode("ascii") + b"\n"


def end_mark(holder: str, ended_by: str) -> bytes:
    """What stands in the place of a sign of life so that its holder can't renew it any more."""
    data = {"version": LAYOUT_VERSION, "holder": holder, "ended_by": ended_by}
    return json.dumps(data).encode("ascii") + b"\n"


def has_ended(content: bytes) -> bool:
    """Whether it is an end mark; what is neither that nor a sign of life counts as the latter."""
    try:
        return "ended_by" in json.loads(content)
    except (ValueError, TypeError):
        return False


class Watch:
    """Since when each holder has shown the same sign of life, on our own clock."""

    def __init__(self, blobs: Blobs, ttl: float) -> None:
        self._blobs = blobs
        self._ttl = ttl
        self._since: dict[str, tuple[str | None, float]] = {}
        self._alive: set[str] = set()

    def saw_life(self, holders: Sequence[Holder]) -> bool:
        """Whether any of them has moved since we began to look."""
        return any(holder.id in self._alive for holder in holders)

    async def is_dead(self, holder: str, *, ended_by: str) -> bool:
        """Looks once. True: there is an end mark in the place of its sign of life, so it can't renew any more."""
        asked_at = anyio.current_time()
        found = await self._blobs.get(sign_name(holder))
        if found is not None and has_ended(found.content):
            return True
        tag = None if found is None else found.tag
        known = self._since.get(holder)
        if known is None or known[0] != tag:
            if known is not None and tag is not None:
                self._alive.add(holder)
            self._since[holder] = (tag, anyio.current_time())  # after the answer: the tag may be as young as that
            return False
        if asked_at - known[1] < self._ttl:
            return False
        return await self._end(holder, tag, ended_by)

    async def _end(self, holder: str, tag: str | None, ended_by: str) -> bool:
        try:
            await self._blobs.put(sign_name(holder), end_mark(holder, ended_by), absent=tag is None, match=tag)
        except ConflictError:
            return False  # it has woken up, or another contender was faster; the next look tells
        return True
