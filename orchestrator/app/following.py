"""Follows a run that others carry out, with the views of one of our own."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import anyio

from orchestrator.app.views import Views
from orchestrator.aws import ENDED, Functions
from orchestrator.core.blobs import UnreachableError
from orchestrator.core.errors import CallError, StateError
from orchestrator.core.events import Record
from orchestrator.core.ports import Sink
from orchestrator.core.runs import RunStore, RunTail
from orchestrator.core.state import RunState

FATE_EVERY = 30.0
"""Seconds between two looks at whether anybody still carries it out."""


class After:
    """A sink that passes on what its own have not been told yet."""

    def __init__(self, told: int, sinks: Sequence[Sink]) -> None:
        self._told = told
        self._sinks = sinks

    def handle(self, record: Record, state: RunState) -> None:
        if record.seq > self._told:
            for sink in self._sinks:
                sink.handle(record, state)


async def follow(
    runs: RunStore, run: str, after: After, views: Views, functions: Functions, execution: str | None
) -> RunState:
    """The run at its end; or as it stands when SIGINT or SIGTERM says that enough was seen.

    Raises `StateError` when the execution has ended and the run hasn't.
    """
    tail = runs.tail(run, [after])
    async with anyio.create_task_group() as tasks:
        for task in views.tasks:
            tasks.start_soon(task)
        tasks.start_soon(_until_told, tasks.cancel_scope)
        await _read_to_its_end(tail, functions, execution, views)
        tasks.cancel_scope.cancel()
    return tail.state


async def _until_told(following: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async for _ in received:
            following.cancel()
            return


async def _read_to_its_end(tail: RunTail, functions: Functions, execution: str | None, views: Views) -> None:
    looked = anyio.current_time()
    while not tail.state.is_finished:
        try:
            await tail.read()
        except UnreachableError as error:
            views.console.say(f"the run can't be read just now: {error}")
        if tail.state.is_finished:
            return
        if execution is not None and anyio.current_time() - looked >= FATE_EVERY:
            looked = anyio.current_time()
            await _see_that_it_goes_on(tail, functions, execution)
        await tail.wait()


async def _see_that_it_goes_on(tail: RunTail, functions: Functions, execution: str) -> None:
    try:
        fate = await functions.fate(execution)
    except CallError:
        return  # who may not ask follows all the same
    if fate.status not in ENDED or fate.status == "SUCCEEDED":
        return
    await tail.read()
    if not tail.state.is_finished:
        why = f": {fate.error}" if fate.error else ""
        raise StateError(
            f"the durable execution has ended ({fate.status}{why}), and run {tail.state.run} hasn't",
            hint=f"nothing is lost; go on from here: orchestrator resume {tail.state.run}",
        )
