"""The memory of uploads: one limit on the bytes that all of them hold, and buffers that are used again."""

from __future__ import annotations

from collections import deque

import anyio

BYTES_IN_FLIGHT = 60 * 1024 * 1024
"""What all uploads of a run may hold at once: ten parts of the usual size, on as many connections."""

MAKERS = 2
"""Archives that are made at once; each is compressed on all cores."""


class Buffers:
    """A buffer is taken before a part is made and given back when S3 has it; who comes first is served first.

    Nobody waits here while holding a part that isn't under way yet, so uploads can't lock each other up. Used buffers
    are kept: memory that is freed and asked for again in pieces of some megabytes doesn't come back to the system.
    """

    def __init__(self, total: int = BYTES_IN_FLIGHT) -> None:
        self._total = total
        self._free = total
        self._waiting: deque[tuple[int, anyio.Event]] = deque()
        self._kept: list[bytearray] = []
        self.makers = anyio.CapacityLimiter(MAKERS)
        """What may be made at once. More than keeps the cores busy only takes memory; sending isn't counted here."""

    @property
    def taken(self) -> int:
        """Bytes that are taken now."""
        return self._total - self._free

    async def take(self, size: int) -> bytearray:
        """Waits for its turn. A buffer larger than the whole limit goes alone. Cancelled, nothing is taken."""
        counted = self._counted(size)
        if self._waiting or counted > self._free:
            await self._turn(counted)
        else:
            self._free -= counted
        return self._of_size(size)

    def give_back(self, buffer: bytearray) -> None:
        """Its content may be overwritten from now on."""
        self._kept.append(buffer)
        self._free += self._counted(len(buffer))
        self._serve()

    async def _turn(self, counted: int) -> None:
        turn = (counted, anyio.Event())
        self._waiting.append(turn)
        try:
            await turn[1].wait()
        except BaseException:
            if turn[1].is_set():
                self._free += counted
            else:
                self._waiting.remove(turn)
            self._serve()
            raise

    def _counted(self, size: int) -> int:
        return min(size, self._total)

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            counted, turn = self._waiting.popleft()
            self._free -= counted
            turn.set()

    def _of_size(self, size: int) -> bytearray:
        for index, kept in enumerate(self._kept):
            if len(kept) == size:
                return self._kept.pop(index)
        # Others are let go as far as the limit wants it: what is kept and what is taken stay within it.
        while self._kept and sum(map(len, self._kept)) > self._free:
            self._kept.pop(0)
        return bytearray(size)
