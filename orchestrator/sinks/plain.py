"""Plain lines for CI logs: `HH:MM:SS target  text`, and a sign of life whenever it has been quiet for long."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import tzinfo
from typing import TextIO

import anyio

from orchestrator.core.events import ApiThrottled, DeploymentProgressed, Record
from orchestrator.core.model import TargetState
from orchestrator.core.state import RunState, TargetRun
from orchestrator.wording.facts import progress
from orchestrator.wording.phrase import Phrase
from orchestrator.wording.phrases import phrase
from orchestrator.wording.text import age, clock_time, listing, one_line, plural, write_line
from orchestrator.wording.waiting import waits_for

SILENCE = 55.0
"""Seconds without a line before a sign of life: CI systems end jobs that are silent, and a timer may come late."""

PROGRESS = 10.0
"""Seconds between two lines about the progress of one target, at least."""

PROGRESS_PER_TARGET = 0.25
"""Seconds that each target of the run adds where that is longer: all targets together make four such lines a second."""

THROTTLES = 30.0
"""Seconds between two lines about throttling, at least."""

_WIDEST = 30
_NAMED = 3

_ACTIVE = (TargetState.RUNNING, TargetState.BAKING, TargetState.ROLLING_BACK, TargetState.STARTING)
_WAITING = (TargetState.PENDING, TargetState.BLOCKED, TargetState.UPLOADING)


class PlainSink:
    """Writes lines about events as they come; `run` adds the signs of life."""

    def __init__(
        self,
        stream: TextIO,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = anyio.current_time,
        zone: tzinfo | None = None,
    ) -> None:
        """`clock` gives epoch seconds, for signs of life; `monotonic` measures silence.

        `zone` is that of the times shown; None: this machine's.
        """
        self._stream = stream
        self._clock = clock
        self._monotonic = monotonic
        self._zone = zone
        self._state: RunState | None = None
        self._column = 0
        self._wrote_at = float("-inf")
        self._told: dict[str, tuple[float, str]] = {}
        self._throttles_told_at = float("-inf")
        self._broken = False
        self._said = ""
        """The last line that was no event."""

    def handle(self, record: Record, state: RunState) -> None:
        self._look(record, state)
        said = phrase(record, state)
        if said is not None and self._is_due(record, said, state):
            self._tell(record.ts, said)

    def finish(self) -> None:
        """Nothing is kept back."""

    def _look(self, record: Record, state: RunState) -> None:
        if self._state is not state or record.seq == 1:
            self._state = state
            self._column = min(_WIDEST, max((len(name) for name in state.targets), default=0))

    def _tell(self, ts: float, said: Phrase) -> None:
        self._say(ts, said.about, said.text)
        for line in said.below:
            self._write(f"         {line}")

    def say(self, text: str) -> None:
        """A line that is no event, such as what a signal does."""
        self._said = one_line(text)
        self._say(self._clock(), "", one_line(text))

    async def run(self) -> None:
        """Signs of life. Never returns; cancel it."""
        self._wrote_at = max(self._wrote_at, self._monotonic())
        while True:
            await anyio.sleep(self._wrote_at + SILENCE - self._monotonic())
            if self._monotonic() - self._wrote_at >= SILENCE:
                now = self._clock()
                self._say(now, "", still(self._state, now) if self._state is not None else self._not_begun())

    def _not_begun(self) -> str:
        """Before its first event a run may wait for a lock; that was said once, and still holds."""
        return f"still {self._said}" if self._said else "starting"

    def _is_due(self, record: Record, said: Phrase, state: RunState) -> bool:
        match record.event:
            case DeploymentProgressed():
                told_at, told = self._told.get(said.about, (float("-inf"), ""))
                gap = max(PROGRESS, PROGRESS_PER_TARGET * len(state.targets))
                if said.text == told or record.ts - told_at < gap:
                    return False
                self._told[said.about] = (record.ts, said.text)
                return True
            case ApiThrottled():
                if record.ts - self._throttles_told_at < THROTTLES:
                    return False
                self._throttles_told_at = record.ts
                return True
            case _:
                return True

    def _say(self, ts: float, about: str, text: str) -> None:
        name = one_line(about)
        gap = f"{name.ljust(self._column)}  " if name else ""
        self._write(f"{clock_time(ts, self._zone)} {gap}{text}")

    def _write(self, line: str) -> None:
        self._wrote_at = self._monotonic()
        if not self._broken:
            self._broken = not write_line(self._stream, line)


def still(state: RunState, now: float) -> str:
    """The sign of life: what runs and for how long, what waits and for what. `now` is epoch seconds."""
    active = [target for target in state.targets.values() if target.state in _ACTIVE]
    waiting = [target for target in state.targets.values() if target.state in _WAITING]
    parts = []
    if active:
        parts.append("still running: " + listing([_active(target, state, now) for target in active], _NAMED))
    if waiting:
        names = [f"{one_line(target.id)} (for {waits_for(target, state)})" for target in waiting[:_NAMED]]
        parts.append("waiting: " + listing([*names, *(target.id for target in waiting[_NAMED:])], _NAMED))
    if state.throttles:
        parts.append(f"throttled {plural(state.throttles, 'time')}")
    return "; ".join(parts) or "finishing"


def _active(target: TargetRun, state: RunState, now: float) -> str:
    since = f" {age(now - target.started_at)}" if target.started_at is not None else ""
    done = progress(target.overview)
    waiting = waits_for(target, state)
    notes = [note for note in (f"{done} instances" if done else "", f"waits for {waiting}" if waiting else "") if note]
    return f"{one_line(target.id)}{since}" + (f" ({'; '.join(notes)})" if notes else "")
