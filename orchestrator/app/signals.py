"""SIGINT and SIGTERM: the first does what `--on-cancel` says, the second stops our deployments, the third leaves."""

from __future__ import annotations

import signal
from collections.abc import Callable

import anyio

from orchestrator.core.control import OnCancel
from orchestrator.core.phases import Phases

Tell = Callable[[str], None]


async def obey_signals(
    engine: Phases, first: OnCancel, *, stops: bool, everything: anyio.CancelScope, tell: Tell
) -> None:
    """Never returns; cancel it. `stops`: whether the deployments are ours to stop; where not, the second leaves."""
    number = 0
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async for each in received:
            number += 1
            name = signal.Signals(each).name
            why = f"interrupted by {name}"
            if engine.is_rolling_back and number == 1:
                tell(f"{name}: the rollback goes on, half of one is worse than a slow one; once more leaves it running")
                engine.cancel(OnCancel.WAIT, reason=why, signal=int(each))
            elif number == 1:
                tell(f"{name}: {_FIRST[first]}; {'once more stops our deployments' if stops else 'once more leaves'}")
                engine.cancel(first, reason=why, signal=int(each))
            elif number == 2 and stops and not engine.is_rolling_back and first is not OnCancel.DETACH:
                tell(f"{name}: stopping our deployments; once more leaves at once")
                if first is OnCancel.WAIT:  # else they are being stopped already
                    engine.cancel(OnCancel.STOP, reason=why, signal=int(each))
            else:
                tell(f"{name}: leaving at once")
                engine.leave(f"interrupted by {name}")
                everything.cancel()


_FIRST = {
    OnCancel.WAIT: "starting nothing new, watching what runs to its end",
    OnCancel.STOP: "stopping our deployments",
    OnCancel.ROLLBACK: "stopping our deployments, then rolling back all that this run has changed",
    OnCancel.DETACH: "leaving; what runs is left running",
}
