"""How far notifications have come: a part of the run's state, folded from its events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core import notification_events as nev
from orchestrator.core.model import TargetState
from orchestrator.core.notification_specs import Moment, NotificationSpec, specs_from_list

if TYPE_CHECKING:
    from orchestrator.core.state import RunState

_FAILED = frozenset({TargetState.FAILED, TargetState.STOPPED, TargetState.TIMED_OUT, TargetState.ERRORED})


_OF_INTEREST = frozenset(
    {
        ev.RunStarted,
        ev.RunResumed,
        ev.RunDetached,
        ev.RunFinished,
        ev.TargetFinished,
        ev.RollbackStarted,
        ev.ReleaseRollbackRequested,
        ev.ReleaseRollbackStarted,
        gev.GateWaiting,
        gev.RunBlocked,
        nev.NotificationOpened,
        nev.NotificationClosed,
    }
)
"""What `NotificationState` is folded from; all that is a moment is among it."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell."""

    moment: Moment | None
    """None: it has only gone on."""
    seq: int
    """Of the event that it is about: the same one told again by another process has the same."""


@dataclass(kw_only=True, slots=True)
class Told:
    """How far one notification has come."""

    handle: Mapping[str, Any] | None = None
    """By what the receiver's message, deployment and so on is found; None: it hasn't been opened."""
    closed: bool = False
    outcome: str | None = None
    """With which it was closed the last time, if ever."""


@dataclass(kw_only=True, slots=True)
class NotificationState:
    """A part of the run's state, folded from its events."""

    specs: tuple[NotificationSpec, ...] = ()
    told: dict[str, Told] = field(default_factory=dict)
    """By name."""
    moments: dict[Moment, int] = field(default_factory=dict)
    """The number of the last event of each."""

    def apply(self, record: ev.Record) -> None:
        event = record.event
        if type(event) not in _OF_INTEREST:  # of a hundred events one is
            return
        moment = moment_of(event)
        if moment is not None:
            self.moments[moment] = record.seq
        match event:
            case ev.RunStarted():
                self.specs = specs_from_list(event.notifications)
                self.told = {spec.name: Told() for spec in self.specs}
            case ev.RunResumed() | ev.ReleaseRollbackRequested():
                for told in self.told.values():
                    told.closed = False
            case nev.NotificationOpened() if event.notification in self.told:
                self.told[event.notification].handle = event.handle
            case nev.NotificationClosed() if event.notification in self.told:
                told = self.told[event.notification]
                told.closed, told.outcome = True, event.outcome
            case _:
                pass

    def unclosed(self, state: RunState) -> tuple[NotificationSpec, ...]:
        """Of a run that has ended: those that don't say so yet."""
        return tuple(
            spec
            for spec in self.specs
            if not self.told[spec.name].closed
            and (self.told[spec.name].handle is not None or spec.wants("finished", state))
        )


def moment_of(event: ev.Event) -> Moment | None:  # noqa: PLR0911 - a table: one line a case
    """What the event is to people who aren't watching."""
    match event:
        case ev.RunStarted():
            return "started"
        case ev.RunResumed():
            return "resumed"
        case ev.TargetFinished() if event.state in _FAILED:
            return "failed"
        case gev.GateWaiting(kind="approval"):
            return "approval"
        case ev.RollbackStarted(of_release=False) | ev.ReleaseRollbackStarted():
            return "rollback"
        case ev.RunDetached() | gev.RunBlocked():
            return "waiting"
        case ev.RunFinished():
            return "finished"
        case _:
            return None


class NotDeliveredError(Exception):
    """The receiver hasn't got it, or didn't say so; the text says why, for people, and holds no secret."""

    def __init__(self, message: str, *, final: bool = False, retry_after: float | None = None) -> None:
        """`final`: asking again won't help. `retry_after`: seconds that the receiver wants to be left alone."""
        super().__init__(message)
        self.final = final
        self.retry_after = retry_after
