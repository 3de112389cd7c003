"""`launch`: a run is made ready here, and a durable function carries it out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, TextIO

from orchestrator.app.applying import Confirm, frozen_now
from orchestrator.app.durations import earlier_durations
from orchestrator.app.following import After, follow
from orchestrator.app.proving import not_verified
from orchestrator.app.regions import default_region
from orchestrator.app.running import RunOptions, start_event
from orchestrator.app.stores import State, hold_lease, open_state
from orchestrator.app.undertakings import Planned, Undertaking
from orchestrator.app.views import ViewOptions, Views, open_views
from orchestrator.aws import Function, Functions
from orchestrator.core.bundle_events import RevisionPinned
from orchestrator.core.bundles import Bundles
from orchestrator.core.conducting import Launched, event_of
from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.core.events import DurationsExpected, Event, Record
from orchestrator.core.merging import FUNCTION, PART_OF, PARTS
from orchestrator.core.parts import Part, part_id, split
from orchestrator.core.plan import Plan
from orchestrator.core.recorder import Recorder
from orchestrator.core.state import RunState
from orchestrator.core.token import new_run_id


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchOptions:
    views: ViewOptions
    function: Function
    state: str | None = None
    lock_wait: float = 0.0
    """Seconds to wait for the locks of others."""
    detach: bool = False
    """Leave once it was launched; else it is followed to its end."""


async def launch(
    undertaking: Undertaking,
    options: LaunchOptions,
    env: Mapping[str, str],
    *,
    stdout: TextIO,
    stderr: TextIO,
    confirm: Confirm,
) -> RunState | None:
    """The run as it stands when we leave it: launched, or at its end. None when the plan was declined."""
    check_reachable(options.state or undertaking.state)
    async with AsyncExitStack() as stack:
        state = await stack.enter_async_context(open_state(options.state, undertaking.state, env))
        opening_views = open_views(options.views, stdout=stdout, stderr=stderr, state=state.runs.where)
        views = await stack.enter_async_context(opening_views)
        launched = await _launch(undertaking, options, env, state, views, confirm)
        if launched is None:
            return None
        views.console.say(f"run {launched.run.run} is carried out by {options.function}")
        functions = _functions(state, options, env)
        if options.detach:
            return await state.runs.load_run(launched.run.run)
        after = After(launched.told, views.sinks)
        return await follow(state.runs, launched.run.run, after, views, functions, launched.execution)


def check_reachable(where: str | None) -> None:
    """Raises `UsageError` for a state that no function reaches."""
    if where is None or "://" not in where:
        raise UsageError(
            f"the runs are kept in {where or 'a local folder'}, where no function reaches them",
            hint="give --state s3://bucket/prefix, or write state: s3://bucket/prefix into the manifest",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Started:
    run: Launched
    told: int
    """So many events the views have seen already."""
    execution: str | None
    """The ARN of the durable execution."""


async def _launch(
    undertaking: Undertaking,
    options: LaunchOptions,
    env: Mapping[str, str],
    state: State,
    views: Views,
    confirm: Confirm,
) -> _Started | None:
    run = new_run_id(time.time())
    async with AsyncExitStack() as stack:
        planned = await stack.enter_async_context(undertaking.open(env, state, views.observer, preflight=True))
        for remark in planned.remarks:
            views.console.say(remark)
        if planned.unverified:
            raise not_verified(planned.unverified)
        if (frozen := frozen_now(planned.plan)) is not None:
            views.console.say(f"{frozen}; the function waits until then")
        if not confirm(planned):
            return None
        lease = hold_lease(state, run, undertaking.targets, wait=options.lock_wait, tell=views.console.say)
        hold = await stack.enter_async_context(lease)
        plan = await planned.again() if hold.waited or undertaking.is_saved else planned.plan
        parts = split(plan, undertaking.concurrency)
        names = [part_id(run, number) for number in range(1, len(parts) + 1)] if len(parts) > 1 else [run]
        launched = Launched(run=run, state=state.blobs.where, parts=tuple(names))
        chosen = {"exact": True, FUNCTION: str(options.function)} | ({PARTS: names} if launched.is_divided else {})
        memory = _Memory()
        recorder = Recorder(run=run, state=RunState(), journal=memory, sinks=views.sinks, clock=time.time)
        recorder.record(start_event(plan, _settings(undertaking), chosen))
        if found := await earlier_durations(state.runs, plan):
            recorder.record(DurationsExpected(seconds=found))
        await _make_ready(plan, planned, recorder, undertaking.concurrency.uploads)
        if launched.is_divided:
            for name, part in zip(names, parts, strict=True):
                await _write(state, name, _of_part(part, plan, undertaking, memory.records, run, options))
        await _copy(state, run, memory.records)
    # Without our lease, which the function needs.
    execution = await _start(_functions(state, options, env), options.function, launched)
    return _Started(run=launched, told=len(memory.records), execution=execution)


def _settings(undertaking: Undertaking) -> RunOptions:
    """What the journal says of policy and limits; how it is looked at is the function's matter."""
    return RunOptions(poll_interval=0.0, policy=undertaking.policy, concurrency=undertaking.concurrency)


async def _make_ready(plan: Plan, planned: Planned, recorder: Recorder, uploads: int) -> None:
    """Packs and uploads everything that is deployed. Raises what goes wrong with it; nothing was recorded then."""
    targets = [step.target for step in plan.changes]
    bundles = Bundles(
        targets,
        artifacts=planned.artifacts(recorder.record),
        codedeploys=planned.services.codedeploys,
        record=recorder.record,
        uploads=uploads,
    )
    await bundles.run()
    for target in targets:
        await bundles.get(target)


def _of_part(
    part: Part, plan: Plan, undertaking: Undertaking, records: Sequence[Record], run: str, options: LaunchOptions
) -> list[Event]:
    """The events with which the part's own journal begins."""
    settings = RunOptions(poll_interval=0.0, policy=undertaking.policy, concurrency=part.concurrency)
    chosen: dict[str, Any] = {"exact": True, PART_OF: run, FUNCTION: str(options.function)}
    mine = {step.target.id for step in part.steps}
    return [start_event(part.of(plan), settings, chosen), *_pinned(mine, records)]


def _pinned(mine: set[str], records: Sequence[Record]) -> Iterator[Event]:
    for event in (record.event for record in records):
        if isinstance(event, RevisionPinned):
            targets = tuple(name for name in event.targets if name in mine)
            if targets:
                yield replace(event, targets=targets)


async def _write(state: State, run: str, events: Sequence[Event]) -> None:
    async with state.runs.open_journal(run, new=True) as journal:
        recorder = Recorder(run=run, state=RunState(), journal=journal, sinks=(), clock=time.time)
        for event in events:
            recorder.record(event)
        await recorder.commit()


async def _copy(state: State, run: str, records: Sequence[Record]) -> None:
    """The run exists from here on."""
    async with state.runs.open_journal(run, new=True) as journal:
        for record in records:
            journal.append(record)
        await journal.flush()


def _functions(state: State, options: LaunchOptions, env: Mapping[str, str]) -> Functions:
    assert state.session is not None  # noqa: S101 - the state is in a bucket
    return Functions(state.session, options.function.region or default_region(env) or "us-east-1")


async def _start(functions: Functions, function: Function, launched: Launched) -> str | None:
    """The execution's ARN. Of what can't be started it is said how to go on: the run is there, and nobody has it."""
    try:
        return await functions.start(function, launched.run, event_of(launched))
    except OrchestratorError as error:
        for part in launched.parts:
            error.add_note(f"all is uploaded, and nothing was deployed; go on from here: orchestrator resume {part}")
        raise


@dataclass(slots=True)
class _Memory:
    """A journal until there is anything to be kept: what can't be made ready leaves no run behind."""

    records: list[Record] = field(default_factory=list)

    def append(self, record: Record) -> None:
        self.records.append(record)

    async def flush(self) -> None:
        pass

    async def publish(self) -> None:
        pass
