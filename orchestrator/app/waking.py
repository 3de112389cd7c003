"""A run that a durable function goes on with sleeps between its looks; who asks something of it wakes it.

The callback that it sleeps on lies beside its journal. A word that gets lost only delays: the function looks for
requests by itself, too, once the time of the callback is over.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from orchestrator.app.stores import State
from orchestrator.aws import Functions
from orchestrator.core.blobs import Blobs
from orchestrator.core.errors import CallError, StateError
from orchestrator.core.events import RunStarted
from orchestrator.core.merging import parts_of, whole_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Sleep:
    callback: str
    region: str
    """Of the function."""


def _name(run: str) -> str:
    return f"launched/{run}.json"


async def note(blobs: Blobs, run: str, sleep: Sleep) -> bool:
    """Writes down what wakes the run. Whether something was asked of it just before: then it mustn't sleep.

    Whoever asks leaves the request first and looks for the callback then; so one of the two sees the other.
    Raises `StateError`.
    """
    await blobs.put(_name(run), json.dumps({"callback": sleep.callback, "region": sleep.region}).encode())
    return bool(await blobs.list(f"requests/{run}"))


async def forget(blobs: Blobs, run: str) -> None:
    """Of a run that is over. Raises `StateError`."""
    await blobs.delete(_name(run))


async def wake(kept: State, run: str) -> bool:
    """Whether the run was told; False also where no function goes on with it, or it isn't asleep."""
    if kept.session is None:
        return False
    try:
        found = await kept.blobs.get(_name(run))
        if found is None:
            return False
        sleep = Sleep(**json.loads(found.content))
        await Functions(kept.session, sleep.region).wake(sleep.callback)
    except (CallError, StateError, ValueError, TypeError):
        return False
    return True


async def whole_and_parts(kept: State, run: str) -> tuple[str, tuple[str, ...]]:
    """The whole run, and the runs whose processes take requests: its parts, or itself. Raises as reading it does."""
    contents = await kept.runs.read_run(run)
    first = contents.records[0].event if contents.records else None
    whole = whole_of(first) if isinstance(first, RunStarted) else None
    return whole or run, parts_of(contents.records) or (run,)
