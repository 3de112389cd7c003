"""When a process leaves a run by itself, and what is recorded of that."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.control import Control
from orchestrator.core.freezewatch import FreezeWatch
from orchestrator.core.freezing import Frozen
from orchestrator.core.gating import Gating
from orchestrator.core.pausing import LOOK, Resting
from orchestrator.core.recorder import Recorder
from orchestrator.core.schedule import Schedule
from orchestrator.core.standstill import Standstill

DETACH_LOOK = 0.2
"""Seconds between two looks at whether all that can start has started."""

PEOPLE_LOOK = 1.0
"""Seconds between two looks at whether only people can go on."""


Task = Callable[[], Coroutine[Any, Any, None]]


class Leaving:
    """One for a run of the engine; its tasks run beside the targets'."""

    def __init__(  # noqa: PLR0913 - all that it looks at, each by its name
        self,
        recorder: Recorder,
        control: Control,
        schedule: Schedule,
        freezes: FreezeWatch,
        standstill: Standstill,
        gating: Gating,
        *,
        detach: bool,
        asks_people: bool,
        resting: Resting | None,
    ) -> None:
        """`resting`: of a process that only looks in; None: it stays."""
        self._recorder = recorder
        self._state = recorder.state
        self._control = control
        self._schedule = schedule
        self._freezes = freezes
        self._standstill = standstill
        self._gating = gating
        self._detach = detach
        self._asks_people = asks_people
        self._resting = resting
        self._people: tuple[str, ...] = ()
        """The approvals that nothing can go on without."""
        self.rests_until: float | None = None
        """After a pause that was taken because all was at rest: epoch seconds of the next look that is due."""

    def tasks(self) -> list[Task]:
        tasks: list[Task] = [self._hold_when_frozen]
        if self._detach:
            tasks.append(self._leave_when_all_has_started)
        if self._resting is not None:
            tasks.append(self._pause_when_all_rests)
        elif self._asks_people:
            tasks.append(self._leave_when_only_people_can_go_on)
        return tasks

    def pause(self, reason: str) -> None:
        """Goes for a while; what measurements have begun to tell is written down, as long as it is there."""
        if not self._control.leaving.is_set():
            self._gating.record_rows()
        self._control.leave(reason, pause=True)

    def event(self) -> ev.Event:
        """What tells that we leave, and why."""
        running = tuple(name for target in self._state.targets.values() for name in target.running_ids)
        if self._people:
            reason = f"awaiting approval: {', '.join(self._people)}"
            return gev.RunBlocked(reason=reason, gates=self._people, running=running)
        blocked = self._control.is_blocked and not running
        return ev.RunDetached(reason=self._control.leave_reason, running=running, blocked=blocked)

    def hold_if_frozen(self) -> None:
        """For the moment right before a start."""
        if (frozen := self._freezes.frozen()) is not None:
            self._hold(frozen)

    def _hold(self, frozen: Frozen) -> None:
        if not self._control.is_closed:
            if self._state.frozen is None:
                self._recorder.record(ev.FreezeBegan(window=frozen.window, until=frozen.until))
            self._control.hold()

    async def _hold_when_frozen(self) -> None:
        """What runs is watched to its end; then we go, and a resume goes on after the freeze."""
        while not self._control.is_closed:
            frozen = await self._freezes.begin()
            if self._schedule.can_anything_start():
                self._hold(frozen)
            else:
                await anyio.sleep(PEOPLE_LOOK)
        if self._state.frozen is None:
            return
        while self._schedule.anything_under_way():  # noqa: ASYNC110 - as in `_leave_when_all_has_started`
            await anyio.sleep(DETACH_LOOK)
        if self._resting is None:
            self._control.leave(f"frozen: {self._state.frozen.window}", blocked=True)

    async def _leave_when_only_people_can_go_on(self) -> None:
        """Nobody has to keep a process alive for an approval: a resume goes on."""
        while not (gates := self._standstill.only_people()):  # noqa: ASYNC110 - as for --detach
            await anyio.sleep(PEOPLE_LOOK)
        self._people = gates
        self._control.leave("all that is left waits for an approval")

    async def _leave_when_all_has_started(self) -> None:
        while not self._standstill.waits_for_ends():  # noqa: ASYNC110 - many small things end it, and none of them is in a hurry
            await anyio.sleep(DETACH_LOOK)
        self._control.leave("all that can start has started (--detach)")

    async def _pause_when_all_rests(self) -> None:
        assert self._resting is not None  # noqa: S101 - else it isn't among the tasks
        until = None
        while until is None:
            await anyio.sleep(LOOK)
            until = self._resting.until()
        self.rests_until = until
        self.pause("all that is left is waiting")
