"""What a run is told from outside: start nothing new, stop what runs, leave."""

from __future__ import annotations

from enum import StrEnum

import anyio


class OnCancel(StrEnum):
    """What a cancel does, beside that nothing new starts."""

    WAIT = "wait"
    """Watch what runs to its end."""
    STOP = "stop"
    """Stop our deployments."""
    ROLLBACK = "rollback"
    """Stop our deployments; then all that the run changed goes back to what stood before it."""
    DETACH = "detach"
    """Leave them running."""


class Control:
    """Doors that only ever close; whoever needs to know waits for them."""

    def __init__(self) -> None:
        self.closing = anyio.Event()
        """Nothing new starts."""
        self.stopping = anyio.Event()
        """What runs is to be stopped."""
        self.leaving = anyio.Event()
        """We go, and leave running what runs."""
        self.leave_reason = ""
        self.is_blocked = False
        """We go because the run is blocked, not because we were told to."""
        self.is_pause = False
        """We go for a while, and that is nothing worth recording."""
        self.decided = anyio.Event()
        """What hasn't started is not going to: its verdict can be given."""

    @property
    def is_closed(self) -> bool:
        return self.closing.is_set()

    def hold(self) -> None:
        """Nothing new starts in this process; what hasn't started stays as it is, for a resume."""
        self.closing.set()

    def close(self) -> None:
        """Nothing new starts in this run."""
        self.closing.set()
        self.decided.set()

    def request(self, mode: OnCancel, reason: str) -> None:
        self.close()
        match mode:
            case OnCancel.WAIT:
                pass
            case OnCancel.STOP | OnCancel.ROLLBACK:
                self.stopping.set()
            case OnCancel.DETACH:
                self.leave(reason)

    def leave(self, reason: str, *, blocked: bool = False, pause: bool = False) -> None:
        self.hold()
        if not self.leaving.is_set():
            self.leave_reason, self.is_blocked, self.is_pause = reason, blocked, pause
        self.leaving.set()
