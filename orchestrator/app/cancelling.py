"""`cancel` and `unlock`: what is done to a run from another terminal or machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import anyio

from orchestrator.app.looking import read_release
from orchestrator.app.requests import LOOK_EVERY, ask_to_cancel, was_taken
from orchestrator.app.stores import open_state
from orchestrator.app.waking import wake, whole_and_parts
from orchestrator.core.control import OnCancel
from orchestrator.core.errors import UsageError
from orchestrator.core.locks import Holder
from orchestrator.core.locktable import holders, unlock
from orchestrator.core.state import RunState

LOOKS = 15
"""Three in the time between two looks of a living process: it takes a request well before the last."""


@dataclass(frozen=True, slots=True)
class Asked:
    run: str
    answer: str
    taken: bool
    """Whether there is nothing left to wait for."""


async def cancel_run(run: str | None, state: str | None, env: Mapping[str, str], mode: str) -> Asked:
    """Leaves the request, and waits until the run's process has taken it. Raises `UsageError` when there is no run."""
    async with open_state(state, None, env) as kept:
        run_id, _, found = await read_release(kept.runs, run)
        if found.is_finished:
            return Asked(run_id, _over(mode), taken=True)
        whole, parts = await whole_and_parts(kept, run_id)
        asked = [part for part in parts if not (await kept.runs.load_run(part)).is_finished]
        for part in asked:
            await ask_to_cancel(kept.blobs, part, OnCancel(mode))
        await wake(kept, whole)
        for _ in range(LOOKS):
            await anyio.sleep(LOOK_EVERY / 3)
            asked = [part for part in asked if not await was_taken(kept.blobs, part)]
            if not asked:
                return Asked(run_id, f"is being cancelled ({mode})", taken=True)
        return Asked(run_id, _not_taken(found, run_id), taken=False)


def _not_taken(state: RunState, run: str) -> str:
    if state.function is not None:
        return f"the request isn't taken yet; {state.function} does it when it looks in on the run next"
    return f"no process has taken the request; it is done by the next: orchestrator resume {run}"


def _over(mode: str) -> str:
    back = "; to undo it: orchestrator rollback" if mode == OnCancel.ROLLBACK else ""
    return f"is over; there is nothing to cancel{back}"


async def locks(state: str | None, env: Mapping[str, str], run: str | None) -> list[Holder]:
    """Who holds locks: the processes of this run (its id, or the beginning of it), or of all.

    Raises `UsageError` when it holds none, or when several runs begin so.
    """
    async with open_state(state, None, env) as kept:
        held = await holders(kept.blobs)
    if run is None:
        return held
    found = [holder for holder in held if holder.run == run or holder.run.startswith(run)]
    runs = sorted({holder.run for holder in found})
    if not found:
        others = ", ".join(sorted({holder.run for holder in held}))
        raise UsageError(f"run {run!r} holds no lock", hint=f"these do: {others}" if others else "nothing is locked")
    if len(runs) > 1:
        raise UsageError(f"{run!r} is the beginning of {len(runs)} runs: {', '.join(runs)}", hint="write more of it")
    return found


async def take_away(state: str | None, env: Mapping[str, str], run: str | None) -> Sequence[Holder]:
    """Whose locks were taken away."""
    async with open_state(state, None, env) as kept:
        return await unlock(kept.blobs, run)
