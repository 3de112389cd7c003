"""SIGINT and SIGTERM: the first does what `--on-cancel` says, the second stops our deployments, the third leaves."""

from __future__ import annotations

import signal
from collections.abc import Callable

import anyio

from orchestrator.core.control import OnCancel
from orchestrator.core.engine import Engine

Tell = Callable[[str], None]


async def obey_signals(
    engine: Engine, first: OnCancel, *, stops: bool, everything: anyio.CancelScope, tell: Tell
) -> None:
    """Never returns; cancel it. `stops`: whether the deployments are ours to stop; where not, the second leaves."""
    number = 0
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async for each in received:
            number += 1
            name = signal.Signals(each).name
            if number == 1:
                tell(f"{name}: {_FIRST[first]}; {'once more stops our deployments' if stops else 'once more leaves'}")
                engine.cancel(first, reason=f"interrupted by {name}", signal=int(each))
            elif number == 2 and stops and first is not OnCancel.STOP:
                tell(f"{name}: stopping our deployments; once more leaves at once")
                engine.cancel(OnCancel.STOP, reason=f"interrupted by {name}", signal=int(each))
            else:
                tell(f"{name}: leaving at once")
                engine.leave(f"interrupted by {name}")
                everything.cancel()


_FIRST = {
    OnCancel.WAIT: "starting nothing new, watching what runs to its end",
    OnCancel.STOP: "stopping our deployments",
    OnCancel.DETACH: "leaving; what runs is left running",
}
