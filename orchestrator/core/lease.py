"""Leases: one run at a time for each target, without a server and without comparing clocks.

- A holder stands in the table (`core.locks`) and rewrites its sign of life `leases/<holder>.json` every 10 s, each
  time only if the object is still the one that it wrote last.
- Another process believes a holder dead when that object's tag hasn't changed for the whole time to live on its own
  monotonic clock. Before it takes over it puts an end mark in the object's place, only if the tag is still that one:
  so either the holder's next renewal fails, or the takeover does.
- The holder believes in its lease for that time, less a margin, from the moment at which it *sent* the last renewal
  that was confirmed. Hence the two never believe in theirs at once.

Timeouts of one table write are covered, too: what was cancelled may still arrive, so whoever leaves writes the table
once more, which makes the tag that the late write expects a thing of the past.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import anyio

from orchestrator.core.blobs import Blobs, ConflictError
from orchestrator.core.errors import RefusedError, StateError
from orchestrator.core.locks import Holder, LockedError, LockTable, Owner
from orchestrator.core.locktable import SWAP_PAUSE, read_table, remove, swap
from orchestrator.core.signs import Watch, has_ended, sign, sign_name

RELEASE_DEADLINE = 10.0
"""Seconds; what isn't released by then is taken over by whoever comes, 30 s after the last sign of life."""
RETRY_PAUSE = 1.0
"""Seconds between two attempts at a renewal that a call waits for."""

LEASE_LOST = "LeaseLost"


class LeaseLostError(RefusedError):
    """The run may not start or stop anything any more. Nothing was sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseTiming:
    """Seconds."""

    ttl: float = 30.0
    """Without a sign of life; then others may take over."""
    renew: float = 10.0
    margin: float = 10.0
    """Taken off the time to live by the holder: for the way of the call that follows, and clocks that run unevenly."""
    look: float = 2.0
    """Between two looks at a holder in the way."""


class LeaseKeeper:
    """The lease of one process of a run on its targets; an async context manager that releases it."""

    def __init__(
        self,
        blobs: Blobs,
        *,
        run: str,
        owner: Owner,
        keys: Iterable[str],
        timing: LeaseTiming | None = None,
        clock: Callable[[], float] = time.time,
        nonce: Callable[[], str] = lambda: secrets.token_hex(8),
        on_wait: Callable[[Sequence[Holder]], None] = lambda _holders: None,
    ) -> None:
        """`keys`: see `core.locks.target_key`. `clock`: epoch seconds, only shown to people. `nonce`: unique words.

        `on_wait` is told, once, who is in the way.
        """
        self.lost = anyio.Event()
        """Set once somebody else has taken over: nothing brings the lease back."""
        self._blobs = blobs
        self._timing = timing or LeaseTiming()
        self._nonce = nonce
        self._on_wait = on_wait
        self._me = Holder(id=f"{run}.{nonce()}", run=run, owner=owner, since=clock(), keys=tuple(sorted(set(keys))))
        self._tag: str | None = None
        self._count = 0
        self._sent_at = -math.inf
        self._confirmed_at = -math.inf
        self._fault: StateError | None = None
        self._renewing: anyio.Event | None = None
        self._signed = False
        self._entered = False
        self._released = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()

    # --- getting it --------------------------------------------------------------------------------------------------

    async def acquire(self, wait: float = 0.0) -> None:
        """Returns when all targets are ours; takes over from the dead. Leaves nothing behind when it doesn't return.

        Waits up to `wait` seconds for the living, and up to the time to live to tell them from the dead.
        Raises `LockedError`, or `StateError` when the state can't be reached.
        """
        try:
            await self._acquire(anyio.current_time() + wait)
        except BaseException:
            await self.release()
            raise

    async def _acquire(self, deadline: float) -> None:
        self._signed = True
        self._tag = await self._blobs.put(sign_name(self._me.id), self._sign(), absent=True)
        watch = Watch(self._blobs, self._timing.ttl)
        told = False
        while True:
            table = await read_table(self._blobs)
            others = table.in_the_way(self._me)
            if not others:
                if await self._enter(table):
                    break
                await anyio.sleep(SWAP_PAUSE)
                continue
            if not told:
                self._on_wait(others)
                told = True
            if await self._make_way(others, watch):
                continue
            if anyio.current_time() >= deadline and watch.saw_life(others):
                raise LockedError(self._me, others)
            await anyio.sleep(self._timing.look)
        # Only now does it count: whoever found us in the table looks at this object from then on.
        await self.ensure()

    async def _enter(self, table: LockTable) -> bool:
        if self._me.id in table.holders:  # an earlier write of ours whose answer was lost
            return True
        self._entered = True
        return await swap(self._blobs, table.with_holder(self._me), self._nonce())

    async def _make_way(self, others: Sequence[Holder], watch: Watch) -> bool:
        """Whether any of them was dead; it is out of the way then."""
        dead = [holder.id for holder in others if await watch.is_dead(holder.id, ended_by=self._me.id)]
        if not dead:
            return False
        await remove(self._blobs, dead, self._nonce)
        return True

    # --- keeping it --------------------------------------------------------------------------------------------------

    def is_held(self) -> bool:
        """Whether nobody else can believe to hold any of our targets. To be asked right before every mutating call."""
        if self._is_over():
            return False
        return anyio.current_time() < self._confirmed_at + self._timing.ttl - self._timing.margin

    async def ensure(self) -> None:
        """Returns at once while the lease is held; otherwise tries to renew it, for up to the time to live.

        Raises `LeaseLostError`. For the place right before a mutating call.
        """
        if self.is_held():
            return
        with anyio.move_on_after(self._timing.ttl):
            while not self._is_over():
                with suppress(StateError):
                    await self.renew()
                if self.is_held():
                    return
                await anyio.sleep(RETRY_PAUSE)
        raise self._lost_error()

    async def keep(self) -> None:
        """Renews until the lease is lost, then returns. What can't be reached is tried again: a renewal that gets
        through late proves that nobody has taken over, and `is_held` says how it stands meanwhile."""
        while not self._is_over():
            now = anyio.current_time()
            await anyio.sleep_until(max(self._sent_at + self._timing.renew, now + SWAP_PAUSE))
            with suppress(StateError):
                await self.renew()

    async def renew(self) -> None:
        """One renewal, shared by all who ask for it meanwhile. Raises `StateError` when the state can't be reached."""
        if self._renewing is not None:
            await self._renewing.wait()
            return
        finished = self._renewing = anyio.Event()
        try:
            await self._renew()
        except StateError as error:
            self._fault = error
            raise
        finally:
            self._renewing = None
            finished.set()

    async def _renew(self) -> None:
        while self._tag is not None and not self._is_over():
            sent_at = self._sent_at = anyio.current_time()
            try:
                self._tag = await self._blobs.put(sign_name(self._me.id), self._sign(), match=self._tag)
            except ConflictError:
                found = await self._blobs.get(sign_name(self._me.id))
                if found is None or has_ended(found.content):
                    self.lost.set()
                else:
                    self._tag = found.tag  # a renewal of ours that was given up before its answer came
            else:
                self._confirmed_at = sent_at
                return

    def _sign(self) -> bytes:
        self._count += 1
        return sign(self._me, self._count)

    def _is_over(self) -> bool:
        return self._released or self.lost.is_set()

    def _lost_error(self) -> LeaseLostError:
        how = "another process has taken over" if self.lost.is_set() else "it could not be renewed in time"
        if self._fault is not None and not self.lost.is_set():
            how = f"{how}: {self._fault.message}"
        return LeaseLostError(
            f"the lease of run {self._me.run} on its targets was lost: {how}",
            code=LEASE_LOST,
            hint="nothing more is started or stopped by this process; what runs goes on. See: orchestrator runs",
        )

    # --- giving it back ----------------------------------------------------------------------------------------------

    async def release(self) -> None:
        """Others may have the targets at once. Never raises; also while cancelled, for up to `RELEASE_DEADLINE`."""
        self._released = True
        if not self._signed:
            return
        with anyio.move_on_after(RELEASE_DEADLINE, shield=True), suppress(StateError):
            if self._entered:
                await remove(self._blobs, [self._me.id], self._nonce, always=True)
            else:
                await self._blobs.delete(sign_name(self._me.id))
            self._signed = False
