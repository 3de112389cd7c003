"""How a release goes on where no process stays with it: which part is looked in on when, and what the parts owe each
other.

Everything here follows from what the looks have said, so that playing it again with the same answers makes the same
decisions: a durable execution is carried on by exactly that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import ceil
from typing import Any, Protocol

from orchestrator.core.errors import StateError, UsageError
from orchestrator.core.outcome import FAILURES
from orchestrator.core.state import RunState

LONGEST_PAUSE = 900.0
"""Seconds after which a run is looked in on whatever it waits for: a word that got lost only delays it."""

EARLY = 0.3
"""A part is looked in on early by up to this share of its pause where another one is due: a round is an invocation."""
EARLIEST = 20.0
"""And by no more than so many seconds."""

NEVER = 864_000.0
"""Seconds that stand for never, in a number that JSON has."""

SHORT = 20.0
"""A pause of less than so many seconds can't be cut short; nobody waits for that."""

TROUBLE_PAUSE = 5.0
LONGEST_TROUBLE_PAUSE = 300.0
MOST_TROUBLES = 40
"""Looks in a row that may go wrong, the pauses between them doubling: some three hours of a state out of reach."""

HELD_PAUSE = 60.0
"""Seconds until the next look where somebody else carries the part on."""

PROTOCOL = 1
"""Of the operations that an execution consists of: one begun with others can't be replayed, and is replaced."""

MOST_OPERATIONS = 1000
"""Of one durable execution: then a fresh one goes on, for each replays all that was before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What a look is told."""

    run: str
    """Of the part, or of the whole where it isn't divided."""
    failed_elsewhere: int = 0
    """Targets that have failed in the other parts."""
    go_back: str | None = None
    """Why all that it has changed is to go back; None: as it says itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What a look has found: small enough to be kept of each."""

    at: float
    """Epoch seconds at its end."""
    due: float | None = None
    """Epoch seconds of the next; None: at once."""
    over: bool = False
    failed: int = 0
    """Targets that have failed."""
    changed: bool = False
    """Something of it could go back."""
    goes_back: str | None = None
    """The scope of the rollback that it is in, or has been through."""
    people: bool = False
    """It waits for people."""
    trouble: str | None = None
    """Why nothing could be done."""
    held: str | None = None
    """Who else carries it on."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without what is as it mostly is."""
        usual = asdict(Look(at=0.0))
        return {name: value for name, value in asdict(self).items() if name == "at" or value != usual[name]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Look:
        return cls(**data)


@dataclass(frozen=True, kw_only=True, slots=True)
class Launched:
    """What a durable execution is started with."""

    run: str
    state: str
    """The URL of the runs."""
    parts: tuple[str, ...]
    """The runs that carry out its parts; its own id alone: it isn't divided."""
    generation: int = 1
    """Of the executions that go on with it one after the other."""

    @property
    def is_divided(self) -> bool:
        return self.parts != (self.run,)


def is_over(state: RunState, order: Order) -> bool:
    """Whether a look has nothing to do: the run has ended, or somebody wants it left alone."""
    if order.go_back is not None and state.rollback is None:
        return False
    left = state.cancelled is not None and state.detached is not None
    return (state.is_finished and not state.awaits_rollback) or left


def report(state: RunState, due: float | None, now: float) -> Look:
    """What a look has found. `due`: when the next is, where all was at rest; `now`: both in epoch seconds."""
    targets = state.targets.values()
    return Look(
        at=round(now, 3),
        due=None if due is None else round(min(due, now + NEVER), 3),
        over=is_over(state, Order(run=state.run)),
        failed=sum(target.state in FAILURES for target in targets),
        changed=any(target.was_changed for target in targets),
        goes_back=None if state.rollback is None else state.rollback.scope,
        people=any(gate.kind == "approval" and gate.passed is None for gate in state.gates.gates.values()),
    )


def event_of(launched: Launched) -> dict[str, Any]:
    """What an execution is started with; `launched_from` reads it back."""
    return {**asdict(launched), "parts": list(launched.parts), "protocol": PROTOCOL}


def launched_from(event: Mapping[str, Any]) -> Launched:
    """Raises `UsageError` for what `orchestrator launch` hasn't made."""
    try:
        return Launched(
            run=str(event["run"]),
            state=str(event["state"]),
            parts=tuple(str(part) for part in event["parts"]),
            generation=int(event.get("generation", 1)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"this starts no run: {error!r}", hint="a run is started with: orchestrator launch MANIFEST --function NAME"
        ) from None


class Worker(Protocol):
    """What carries a release on; each call is kept by the durable execution, and isn't done again in a replay."""

    async def look(self, orders: Sequence[Order]) -> Sequence[Look]:
        """At all of these at the same time; a look never raises for what may be mended."""
        ...

    async def pause(self, seconds: int, *, wakeable: bool) -> bool:
        """Whether it was cut short, since somebody has asked something of the run."""
        ...

    async def finish(self) -> str:
        """Records the end of a run with parts, and tells its outcome."""
        ...

    async def go_on_afresh(self, generation: int) -> None:
        """Starts the execution that goes on in place of this one."""
        ...


@dataclass(kw_only=True, slots=True)
class _Part:
    run: str
    look: Look | None = None
    due: float = 0.0
    troubles: int = 0

    @property
    def is_over(self) -> bool:
        return self.look is not None and self.look.over

    @property
    def slack(self) -> float:
        """Seconds by which it may be looked in on before it is due."""
        return 0.0 if self.look is None else min(EARLIEST, EARLY * max(0.0, self.due - self.look.at))


@dataclass(slots=True)
class Conductor:
    """One for an execution."""

    launched: Launched
    worker: Worker
    _parts: dict[str, _Part] = field(init=False)
    _now: float = field(init=False, default=0.0)
    """As of the last look, or of the end of the pause after it."""
    operations: int = field(init=False, default=0)
    """Of this execution, so far."""

    def __post_init__(self) -> None:
        self._parts = {run: _Part(run=run) for run in self.launched.parts}

    async def run(self) -> str:
        """The outcome; "continued" where a fresh execution goes on. Raises `StateError` when nothing helps any more."""
        due = list(self._parts.values())
        while due:
            await self._look(due)
            if all(part.is_over for part in self._parts.values()) and not self._owe():
                break
            if self.operations > MOST_OPERATIONS:
                await self.worker.go_on_afresh(self.launched.generation + 1)
                return "continued"
            due = await self._pause()
        return await self.worker.finish()

    async def _look(self, parts: Sequence[_Part]) -> None:
        orders = [self._order(part) for part in parts]
        self.operations += 1 if len(orders) == 1 else 1 + 2 * len(orders)
        for part, look in zip(parts, await self.worker.look(orders), strict=True):
            self._take(part, look)
            self._now = max(self._now, look.at)

    def _order(self, part: _Part) -> Order:
        others = [each.look for each in self._parts.values() if each is not part and each.look is not None]
        failed = sum(look.failed for look in others)
        return Order(run=part.run, failed_elsewhere=failed, go_back=self._owed(part))

    def _take(self, part: _Part, look: Look) -> None:
        if look.trouble is None and look.held is None:
            part.look, part.troubles = look, 0
            part.due = look.at if look.due is None else look.due
            return
        before = part.look or Look(at=look.at)
        part.look = replace(before, at=look.at, trouble=look.trouble, held=look.held, over=False)
        if look.held is not None:
            part.due = look.at + HELD_PAUSE
            return
        part.troubles += 1
        if part.troubles > MOST_TROUBLES:
            raise StateError(
                f"run {part.run}: {part.troubles} looks in a row went wrong, the last one: {look.trouble}",
                hint=f"when that is mended: orchestrator resume {part.run}",
            )
        part.due = look.at + min(LONGEST_TROUBLE_PAUSE, TROUBLE_PAUSE * 2 ** (part.troubles - 1))

    # --- what the parts owe each other -------------------------------------------------------------------------------

    def _owed(self, part: _Part) -> str | None:
        """Why a part that is over has to go back: another one has failed, or was told to."""
        if part.look is None or not part.look.over or not part.look.changed or part.look.goes_back is not None:
            return None
        goes = any(each.look is not None and each.look.goes_back == "release" for each in self._parts.values())
        return "another part of the release goes back" if goes else None

    def _owe(self) -> list[_Part]:
        return [part for part in self._parts.values() if self._owed(part) is not None]

    # --- pauses ------------------------------------------------------------------------------------------------------

    async def _pause(self) -> list[_Part]:
        """Waits until somebody is due, and tells who that is."""
        going = [part for part in self._parts.values() if not part.is_over]
        owing = self._owe()
        earliest = self._now if owing else min(part.due for part in going)
        seconds = max(1, ceil(min(LONGEST_PAUSE, earliest - self._now)))
        wakeable = seconds > SHORT
        self.operations += 2 if wakeable else 1
        woken = await self.worker.pause(seconds, wakeable=wakeable)
        if woken:
            return [*going, *owing]
        self._now += seconds
        longest = seconds >= LONGEST_PAUSE
        return [part for part in going if longest or part.due - part.slack <= self._now] + owing
