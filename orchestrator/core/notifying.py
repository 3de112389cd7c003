"""Tells people and programs how a run goes, beside the run: no receiver, slow or broken, delays or fails it.

Each notification has a task and a short list of what is to be told. Events only add to the list; what is told is read
from the state when it is sent, so what comes meanwhile is told at once with it, and no list grows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import anyio

from orchestrator.core.calling_off import cancel_after
from orchestrator.core.errors import StateError
from orchestrator.core.events import ApiThrottled, Record
from orchestrator.core.notification_events import (
    NotificationClosed,
    NotificationEvent,
    NotificationFailed,
    NotificationOpened,
)
from orchestrator.core.notification_specs import Moment, NotificationSpec
from orchestrator.core.notifications import NotDeliveredError, Notice, moment_of
from orchestrator.core.ports import Receiver
from orchestrator.core.recorder import Recorder
from orchestrator.core.state import RunState

ATTEMPTS = 5
"""At one delivery."""

FIRST_PAUSE = 1.0
"""Seconds between the first two attempts; each pause is twice the one before."""

LONGEST_PAUSE = 300.0
"""Seconds that a receiver is left alone, whatever it asks for."""

LAST = 6.0
"""Seconds that the last deliveries have, all together, when the run has ended. CI kills some 7 s after a signal."""

HURRIED = 2.0
"""The same when we were told to leave at once."""


class Notifier:
    """A sink of the run, and the tasks that deliver."""

    def __init__(self, recorder: Recorder, receivers: Sequence[tuple[NotificationSpec, Receiver | str]]) -> None:
        """In place of a receiver: why there is none."""
        self._recorder = recorder
        self._state = recorder.state
        self._missing = [(spec, found) for spec, found in receivers if isinstance(found, str)]
        self._lines = [_Line(spec, found, recorder) for spec, found in receivers if not isinstance(found, str)]

    def begin(self) -> None:
        """Tells what this process has begun: a run, or to go on with one.

        One that only looks in on it says nothing of itself, but opens what nobody has opened: the run may have been
        launched by a process that sends nothing.
        """
        found = self._state.notifications.moments
        to_tell = {moment: seq for moment, seq in found.items() if seq > self._recorder.began}
        if self._state.is_finished:
            to_tell = {"finished": found["finished"]}
        for moment, seq in to_tell.items():
            self._put(moment, seq)
        if not to_tell and "started" in found:
            for line in self._lines:
                line.open("started", found["started"])
        for spec, why in self._missing if to_tell else ():
            self._recorder.record(NotificationFailed(notification=spec.name, reason=why))
        self._recorder.watch(self)

    def handle(self, record: Record, state: RunState) -> None:  # noqa: ARG002 - the port's signature
        moment = moment_of(record.event)
        if moment is not None:
            self._put(moment, record.seq)
        elif not isinstance(record.event, NotificationEvent | ApiThrottled):
            for line in self._lines:
                line.go_on()

    async def run(self) -> None:
        """Delivers until `finish`; may be cancelled."""
        async with anyio.create_task_group() as tasks:
            for line in self._lines:
                tasks.start_soon(line.run)

    async def finish(self, limit: float = LAST, *, died: bool = False, enough: anyio.Event | None = None) -> None:
        """The last deliveries, within `limit` seconds, also when the run is cancelled or has failed.

        `died`: the process ends in the middle, by a fault, and nothing in the journal says so. `enough`: cuts it short.
        """
        if not self._lines:
            return
        state = self._state
        if died and not state.is_finished and state.detached is None and state.blocked is None:
            self._put("waiting", state.last_seq)
        with anyio.move_on_after(limit, shield=True) as scope:
            async with anyio.create_task_group() as beside:
                beside.start_soon(cancel_after, enough or anyio.Event(), scope)
                async with anyio.create_task_group() as tasks:
                    for line in self._lines:
                        line.closing.set()
                        tasks.start_soon(line.drain)
                beside.cancel_scope.cancel()
        hurried = enough is not None and enough.is_set()
        for line in self._lines:
            line.give_up("not before a signal" if hurried else f"not within the last {limit:.0f} s")
        with anyio.move_on_after(limit, shield=True), suppress(StateError):
            await self._recorder.commit()

    def _put(self, moment: Moment, seq: int) -> None:
        for line in self._lines:
            line.put(moment, seq)


class _Line:
    """One notification: what is to be told, and the task that tells it."""

    def __init__(self, spec: NotificationSpec, receiver: Receiver, recorder: Recorder) -> None:
        self.closing = anyio.Event()
        self._spec = spec
        self._receiver = receiver
        self._recorder = recorder
        self._state = recorder.state
        self._told = recorder.state.notifications.told[spec.name]
        self._pending: dict[Moment | None, int] = {}
        self._failing = False
        self._wake = anyio.Event()
        self._lock = anyio.Lock()

    def put(self, moment: Moment, seq: int) -> None:
        opened = self._told.handle is not None
        wanted = self._spec.wants(moment, self._state)
        if wanted or (opened and (self._receiver.keeps_up or moment == "finished")):
            self._pending[moment] = seq
            self._wake.set()

    def open(self, moment: Moment, seq: int) -> None:
        if self._told.handle is None:
            self.put(moment, seq)

    def go_on(self) -> None:
        """The run has gone on; only a message that is kept up to date says so."""
        if self._receiver.keeps_up and (self._told.handle is not None or self._pending):
            self._pending[None] = self._state.last_seq
            self._wake.set()

    async def run(self) -> None:
        while not self.closing.is_set():
            await self._wake.wait()
            self._wake = anyio.Event()
            await self.drain()
            await self._pause(self._receiver.interval)

    async def drain(self) -> None:
        async with self._lock:
            while (notice := self._next()) is not None:
                try:
                    await self._deliver(notice)
                except anyio.get_cancelled_exc_class():
                    self._pending.setdefault(notice.moment, notice.seq)  # for the last deliveries
                    raise

    def give_up(self, reason: str) -> None:
        """What hasn't been delivered by now won't be."""
        if self._pending:
            self._fail(reason)

    def _next(self) -> Notice | None:
        if not self._pending:
            return None
        if not self._receiver.keeps_up:
            moment = next(iter(self._pending))
            return Notice(moment, self._pending.pop(moment))
        newest = max(self._pending, key=lambda moment: (moment is not None, self._pending[moment]))
        last: Moment | None = "finished" if "finished" in self._pending else newest
        notice = Notice(last, self._pending[last])
        self._pending.clear()
        return notice

    async def _deliver(self, notice: Notice) -> None:
        """Until it is delivered, or the attempts are used up."""
        pause = FIRST_PAUSE
        for attempt in range(1, ATTEMPTS + 1):
            fault = await self._attempt(notice)
            if fault is None:
                self._delivered(notice)
                return
            if fault.final or attempt == ATTEMPTS or (self.closing.is_set() and self._pending):
                self._fail(str(fault))
                return
            await self._pause(min(pause if fault.retry_after is None else fault.retry_after, LONGEST_PAUSE))
            pause *= 2

    async def _attempt(self, notice: Notice) -> NotDeliveredError | None:
        try:
            await self._receiver.tell(notice, self._state, self._told, self._opened)
        except NotDeliveredError as error:
            return error
        except TimeoutError:
            return NotDeliveredError("no answer in time")
        except Exception as error:  # noqa: BLE001 - whatever it is, a notification must not take the release with it
            return NotDeliveredError(f"internal error: {type(error).__name__}", final=True)
        return None

    async def _pause(self, seconds: float) -> None:
        """Cut short at the end: then there is no later any more."""
        if self.closing.is_set():
            await anyio.sleep(min(seconds, FIRST_PAUSE))
            return
        with anyio.move_on_after(seconds):
            await self.closing.wait()

    def _opened(self, handle: Mapping[str, Any]) -> None:
        if self._told.handle != handle:
            self._record(NotificationOpened(notification=self._spec.name, handle=handle))

    def _delivered(self, notice: Notice) -> None:
        self._failing = False
        if notice.moment == "finished":
            self._record(NotificationClosed(notification=self._spec.name, outcome=str(self._state.outcome)))

    def _fail(self, reason: str) -> None:
        if not self._failing:
            self._failing = True
            self._record(NotificationFailed(notification=self._spec.name, reason=reason))

    def _record(self, event: NotificationEvent) -> None:
        with suppress(StateError):  # a journal that can't be written is the run's affair, not ours
            self._recorder.record(event)
