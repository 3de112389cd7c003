"""Runs a plan: recorder, engine, views and signals side by side."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import anyio

from orchestrator import __version__
from orchestrator.app.requests import obey_requests
from orchestrator.app.services import Services
from orchestrator.app.signals import obey_signals
from orchestrator.app.stores import Hold
from orchestrator.app.views import Views
from orchestrator.core.control import OnCancel
from orchestrator.core.engine import Engine
from orchestrator.core.events import ApiThrottled, RunStarted, WarningRaised
from orchestrator.core.lease import LeaseKeeper
from orchestrator.core.model import Concurrency, Policy
from orchestrator.core.plan import Plan, step_to_dict
from orchestrator.core.ports import Artifacts, Journal
from orchestrator.core.recorder import Recorder
from orchestrator.core.state import RunState
from orchestrator.core.timing import Timing
from orchestrator.sinks.summary import left_running


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    poll_interval: float
    """Seconds."""
    policy: Policy = field(default_factory=Policy)
    concurrency: Concurrency = field(default_factory=Concurrency)
    on_cancel: OnCancel = OnCancel.WAIT
    stops: bool = True
    """Whether the deployments are ours to stop."""
    leave_after: float | None = None
    """Seconds; then we go, and leave running what runs."""


def start_event(plan: Plan, options: RunOptions, chosen: Mapping[str, Any] | None = None) -> RunStarted:
    """`chosen`: what was selected of the manifest, for a resume."""
    return RunStarted(
        release=plan.release,
        environment=plan.environment,
        manifest=plan.manifest,
        manifest_digest=plan.manifest_digest,
        targets=tuple(step_to_dict(step) for step in plan.steps),
        policy=asdict(options.policy),
        concurrency=asdict(options.concurrency),
        version=__version__,
        host=socket.gethostname(),
        pid=os.getpid(),
        options=chosen or {},
    )


def open_recorder(run: str, journal: Journal, views: Views) -> Recorder:
    return Recorder(run=run, state=RunState(), journal=journal, sinks=views.sinks, clock=time.time)


async def carry_out(
    plan: Plan,
    *,
    recorder: Recorder,
    services: Services,
    artifacts: Artifacts,
    views: Views,
    options: RunOptions,
    hold: Hold | None = None,
) -> None:
    """Runs the engine to its end, with its views, under signals. How it went is in the recorder's state.

    `hold`: the run's lease and where requests to it come in; None for what starts nothing.

    An error, such as a journal that can't be written any more, carries a note of the deployments that run on.
    """

    def throttled(region: str, operation: str, rate: float) -> None:
        recorder.record(ApiThrottled(service="codedeploy", operation=operation, region=region, rate=rate))

    services.throttles.listener = throttled
    views.rates = services.rates
    regions = services.regions(options.poll_interval, lambda message: recorder.record(WarningRaised(message=message)))
    engine = Engine(
        plan,
        recorder=recorder,
        regions=regions,
        artifacts=artifacts,
        policy=options.policy,
        concurrency=options.concurrency,
        timing=Timing.for_interval(options.poll_interval),
    )
    try:
        async with anyio.create_task_group() as beside:
            for task in views.tasks:
                beside.start_soon(task)
            with anyio.CancelScope() as everything:
                obey = partial(obey_signals, stops=options.stops, everything=everything, tell=views.console.say)
                beside.start_soon(obey, engine, options.on_cancel)
                if hold is not None:
                    services.guard.ensure = hold.keeper.ensure
                    beside.start_soon(hold.keeper.keep)
                    beside.start_soon(_leave_when_lost, engine, hold.keeper)
                    beside.start_soon(obey_requests, hold.blobs, recorder.run, partial(_cancel, engine))
                if options.leave_after is not None:
                    beside.start_soon(_leave_after, engine, options.leave_after)
                await engine.run()
            beside.cancel_scope.cancel()
    except Exception as error:
        for line in left_running(recorder.state):
            error.add_note(line)
        raise


def _cancel(engine: Engine, mode: OnCancel, reason: str) -> None:
    engine.cancel(mode, reason=reason)


async def _leave_when_lost(engine: Engine, keeper: LeaseKeeper) -> None:
    await keeper.lost.wait()
    engine.leave("the lease was lost: another process has taken over, or it was unlocked")


async def _leave_after(engine: Engine, seconds: float) -> None:
    await anyio.sleep(seconds)
    engine.leave(f"the {seconds:.0f} s of --for are over")
