"""`resume`: goes on with a run that died, was left or was interrupted, from its journal, on any machine."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from orchestrator import __version__
from orchestrator.app.accounts import check_accounts
from orchestrator.app.applying import override
from orchestrator.app.bundles import ReleaseArtifacts, digest_all
from orchestrator.app.caches import hash_cache
from orchestrator.app.copies import locations_of
from orchestrator.app.looking import read_release
from orchestrator.app.notifying import close_late
from orchestrator.app.recorded import ResumedArtifacts, recorded_plan, started_of
from orchestrator.app.releases import ReleaseOptions, prepare
from orchestrator.app.running import RunOptions, carry_out
from orchestrator.app.saved import open_sources
from orchestrator.app.services import AWS_POLL_INTERVAL, SANDBOX_POLL_INTERVAL, is_near, open_services
from orchestrator.app.stored import Found, StoredFirst, find_stored
from orchestrator.app.stores import hold_lease, open_state
from orchestrator.app.uploads import Opened
from orchestrator.app.views import ViewOptions, open_views
from orchestrator.bundle.source import Bundle
from orchestrator.core.control import OnCancel
from orchestrator.core.errors import UsageError
from orchestrator.core.events import RunResumed, RunStarted
from orchestrator.core.merging import check_undivided
from orchestrator.core.model import BundleSource, Concurrency, Policy, Target, TargetState
from orchestrator.core.plan import Plan, Step, order, step_from_dict, target_to_dict
from orchestrator.core.recorder import Recorder
from orchestrator.core.state import REOPENED, RunState, fold
from orchestrator.manifest.freezes import calendar_of
from orchestrator.wording.text import write_line


@dataclass(frozen=True, kw_only=True, slots=True)
class GoOnOptions:
    """How this process carries on a run that is there already."""

    run: str | None
    """None: the newest."""
    views: ViewOptions
    state: str | None = None
    poll_interval: float | None = None
    """Seconds; None: what suits AWS or the sandbox."""
    on_cancel: OnCancel = OnCancel.WAIT
    leave_after: float | None = None
    """Seconds."""
    detach: bool = False
    """Leave once all that can start has started."""
    lock_wait: float = 0.0
    """Seconds to wait for the locks of others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResumeOptions(GoOnOptions):
    override_freeze: str | None = None
    """Why freezes don't count for this process; None: they do."""
    accept_manifest: bool = False
    """Go on with a changed manifest for what hasn't been started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumed:
    state: RunState
    was_over: bool
    """Nothing was left to do."""


async def resume(options: ResumeOptions, env: Mapping[str, str], *, stdout: TextIO, stderr: TextIO) -> Resumed:
    """Reconciles what the journal left open, and runs the rest. Raises `UsageError` when that can't be."""
    async with AsyncExitStack() as stack:
        kept = await stack.enter_async_context(open_state(options.state, None, env))
        run, contents, before = await read_release(kept.runs, options.run)
        if before.is_over:
            await close_late(kept.runs, before, env, partial(write_line, stderr))
            return Resumed(state=before, was_over=True)
        check_undivided(contents.records, "resume")
        targets = [step.target for step in recorded_plan(started_of(contents.records, run)).steps]
        opening_views = open_views(options.views, stdout=stdout, stderr=stderr, state=kept.runs.where)
        views = await stack.enter_async_context(opening_views)
        lease = hold_lease(kept, run, targets, wait=options.lock_wait, tell=views.console.say)
        hold = await stack.enter_async_context(lease)
        journal = await stack.enter_async_context(kept.runs.open_journal(run, new=False))
        # As it stands now that it's ours: another process may have gone on with the run a moment ago.
        state = fold(journal.found.records)
        if state.is_over:
            return Resumed(state=state, was_over=True)
        started = started_of(journal.found.records, run)
        plan, bundles = _plan_again(started, state, options, env)
        exact = started.options.get("exact") and state.rollback is None
        opened = await digest_all(bundles, hash_cache(env))
        if not exact and not options.accept_manifest and state.rollback is None:
            _check_digests(plan, state, opened)
        near = is_near(env)
        locations = locations_of(step.target for step in plan.steps)
        services = await stack.enter_async_context(open_services(locations, near=near, observer=views.observer))
        await check_accounts(services.session, locations)
        found: Found = {}
        if exact:
            needed = [step for step in plan.changes if _needs_artifact(state, step.target.id)]
            found = await find_stored(needed, services.stores)
            opened = await open_sources(needed, found, hash_cache(env))
        views.remember(journal.found.records)
        recorder = Recorder(run=run, state=state, journal=journal, sinks=views.sinks, clock=time.time)
        recorder.record(RunResumed(version=__version__, host=socket.gethostname(), pid=os.getpid()))
        if options.override_freeze is not None:
            override(recorder, options.override_freeze, calendar_of(plan.freeze).frozen(time.time()))
        await carry_out(
            plan,
            recorder=recorder,
            services=services,
            artifacts=ResumedArtifacts(
                state, StoredFirst(found, ReleaseArtifacts(opened, services.stores, record=recorder.record))
            ),
            views=views,
            options=RunOptions(
                poll_interval=options.poll_interval or (SANDBOX_POLL_INTERVAL if near else AWS_POLL_INTERVAL),
                policy=Policy(**started.policy),
                concurrency=Concurrency(**started.concurrency),
                on_cancel=options.on_cancel,
                leave_after=options.leave_after,
                detach=options.detach,
                keeps_freezes=options.override_freeze is None,
                env=env,
            ),
            hold=hold,
            runs=kept.runs,
        )
        return Resumed(state=recorder.state, was_over=False)


# --- the plan, as it was or as it may be now -------------------------------------------------------------------------


def _plan_again(
    started: RunStarted, state: RunState, options: ResumeOptions, env: Mapping[str, str]
) -> tuple[Plan, Mapping[BundleSource, Bundle]]:
    """The recorded plan; its sources are found by the manifest as it lies here, which must say the same."""
    steps = [step_from_dict(data) for data in started.targets]
    if state.rollback is not None:  # nothing new is deployed: neither the manifest nor the bundles are asked any more
        return recorded_plan(started), {}
    untouched = {step.target.id for step in steps if _is_untouched(state, step.target.id)}
    needs_bundle = any(
        isinstance(step.target.source, BundleSource) and step.action == "deploy"
        for step in steps
        if step.target.id in untouched and state.targets[step.target.id].revision is None
    )
    bundles: Mapping[BundleSource, Bundle] = {}
    if started.options.get("exact"):  # a saved plan says it all
        return recorded_plan(started), {}
    if Path(started.manifest).exists():
        steps, bundles = _merge(started, steps, untouched, options, env)
    elif needs_bundle:
        raise UsageError(
            f"bundles have to be made, and the manifest {started.manifest} isn't here",
            hint="resume in a checkout of it, in the same folder as the run was started in",
        )
    return replace(recorded_plan(started), steps=tuple(steps)), bundles


def _is_untouched(state: RunState, target: str) -> bool:
    """Nothing was started for it, and it may still be."""
    known = state.targets[target]
    is_open = not known.state.is_final or known.state in REOPENED or known.state is TargetState.SKIPPED
    return is_open and known.deployment_id is None and known.intent is None


def _needs_artifact(state: RunState, target: str) -> bool:
    return _is_untouched(state, target) and state.targets[target].revision is None


def _merge(
    started: RunStarted, steps: Sequence[Step], untouched: set[str], options: ResumeOptions, env: Mapping[str, str]
) -> tuple[list[Step], Mapping[BundleSource, Bundle]]:
    chosen = dict(started.options) or {"variables": {}}
    prepared = prepare(
        ReleaseOptions(
            manifest=Path(started.manifest),
            environment=None if started.environment == "default" else started.environment,
            **chosen,
        ),
        env,
    )
    now = {target.id: target for target in prepared.targets}
    differences = [line for step in steps if step.target.id in untouched for line in _differences(step.target, now)]
    if differences and not options.accept_manifest:
        raise UsageError(
            f"{started.manifest} has changed since the run began:\n  " + "\n  ".join(differences),
            hint="go back to it as it was, or give --accept-manifest to go on with it as it is for what hasn't started",
        )
    merged = [_with_target(step, now[step.target.id]) if step.target.id in now else step for step in steps]
    kept = {step.target.id: step for step in merged}
    ordered = [kept[target.id] for target in order([step.target for step in merged])]
    return ordered, prepared.bundles


def _with_target(step: Step, target: Target) -> Step:
    """The target as the manifest says now; the sources are where they lie on this machine."""
    same = _comparable(step.target) == _comparable(target)
    return replace(step, target=target, digest=step.digest if same else None)


def _differences(target: Target, now: Mapping[str, Target]) -> list[str]:
    if target.id not in now:
        return [f"{target.id}: is no longer in it"]
    old, new = _comparable(target), _comparable(now[target.id])
    return [f"{target.id}: {name}: {old[name]!r} -> {new[name]!r}" for name in old if old[name] != new[name]]


def _comparable(target: Target) -> dict[str, Any]:
    """Without what may differ from machine to machine: where the checkout lies."""
    data = target_to_dict(target)
    source = {name: value for name, value in data["source"].items() if name != "path"}
    return {**data, "source": source}


def _check_digests(plan: Plan, state: RunState, opened: Mapping[BundleSource, Opened]) -> None:
    """What was planned is what is deployed: a source that has changed meanwhile is another release."""
    for step in plan.steps:
        source, known = step.target.source, state.targets[step.target.id]
        if not isinstance(source, BundleSource) or known.revision is not None or step.action == "unchanged":
            continue
        found = opened[source].digest.value
        if step.digest is not None and found != step.digest:
            raise UsageError(
                f"{step.target.id}: the bundle has changed since the run began: {step.digest[:19]}… -> {found[:19]}…",
                hint="check out what the run began with, or give --accept-manifest to deploy it as it is now",
            )
