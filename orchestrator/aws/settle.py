"""A call whose answer must be known, even when the run is cancelled in the middle of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio

T = TypeVar("T")


class Settled(Generic[T]):
    """Runs a call to its end; a cancellation takes effect afterwards, `grace` seconds later at the latest.

    `answers` holds the answer once there is one, also where `run` was cancelled.
    """

    def __init__(self, call: Callable[[], Awaitable[T]], *, grace: float) -> None:
        self._call = call
        self._grace = grace
        self._scope = anyio.CancelScope(shield=True)
        self._ended = anyio.Event()
        self._error: Exception | None = None
        self.answers: list[T] = []

    async def run(self) -> T:
        """The answer. Raises what the call raises."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._work)
            try:
                await self._ended.wait()
            except BaseException:
                self._scope.deadline = anyio.current_time() + self._grace
                raise
        if self._error is not None:
            raise self._error
        return self.answers[0]

    async def _work(self) -> None:
        try:
            with self._scope:
                self.answers.append(await self._call())
        except Exception as error:  # noqa: BLE001  # handed over to `run`, whole
            self._error = error
        finally:
            self._ended.set()
