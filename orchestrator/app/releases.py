"""`plan` and `apply`: from a manifest to a plan, and from a plan to a run."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from orchestrator.app.bundles import ReleaseArtifacts, digest_all
from orchestrator.app.caches import hash_cache
from orchestrator.app.planning import build_plan
from orchestrator.app.regions import default_region
from orchestrator.app.running import RunOptions, carry_out, open_recorder, start_event
from orchestrator.app.services import (
    AWS_POLL_INTERVAL,
    SANDBOX_POLL_INTERVAL,
    Services,
    is_near,
    open_services,
)
from orchestrator.app.sources import check_sources
from orchestrator.app.stand_ins import for_rehearsal, put_stand_ins
from orchestrator.app.stores import hold_lease, open_state
from orchestrator.app.uploads import Opened
from orchestrator.app.views import ViewOptions, open_views
from orchestrator.bundle.source import Bundle
from orchestrator.core.control import OnCancel
from orchestrator.core.errors import Finding, InvalidInputError
from orchestrator.core.model import BundleSource, Policy, Target
from orchestrator.core.plan import Plan
from orchestrator.core.ports import CallObserver
from orchestrator.core.selection import select
from orchestrator.core.state import RunState
from orchestrator.core.token import new_run_id
from orchestrator.manifest import Release, load


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseOptions:
    """Which part of which manifest, and against what."""

    manifest: Path
    environment: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    select: Sequence[str] = ()
    exclude: Sequence[str] = ()
    include_needs: bool = False
    include_dependents: bool = False
    force: bool = False
    sandbox: bool = False
    time_scale: float = 1.0
    """Of the embedded sandbox."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplyOptions:
    release: ReleaseOptions
    views: ViewOptions
    state: str | None = None
    poll_interval: float | None = None
    """Seconds; None: what suits AWS or the sandbox."""
    on_cancel: OnCancel = OnCancel.WAIT
    lock_wait: float = 0.0
    """Seconds to wait for the locks of others."""
    leave_after: float | None = None
    """Seconds; then we go, and leave running what runs."""
    detach: bool = False
    """Leave once all that can start has started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A release that was found in order, before any call."""

    release: Release
    targets: tuple[Target, ...]
    policy: Policy
    bundles: Mapping[BundleSource, Bundle]
    warnings: Sequence[Finding]


Confirm = Callable[[Plan], bool]


def prepare(options: ReleaseOptions, env: Mapping[str, str]) -> Prepared:
    """Manifest, selection, bundles: everything that can be wrong without a call. Raises with all that is."""
    release = load(
        options.manifest,
        environment=options.environment,
        variables=options.variables,
        env=env,
        default_region=default_region(env) or ("us-east-1" if options.sandbox else None),
    )
    targets = select(
        release.targets,
        select=options.select,
        exclude=options.exclude,
        include_needs=options.include_needs,
        include_dependents=options.include_dependents,
    )
    unsupported = release.unsupported(targets)
    if unsupported:
        raise InvalidInputError(unsupported)
    bundles, warnings = check_sources(release, targets)
    if options.sandbox:
        targets, stood_in = for_rehearsal(release, targets)
        warnings += stood_in
    return Prepared(
        release=release, targets=targets, policy=release.policy_for(targets), bundles=bundles, warnings=warnings
    )


@dataclass(frozen=True, eq=False, slots=True)
class Planned:
    plan: Plan
    services: Services
    opened: Mapping[BundleSource, Opened]
    again: Callable[[], Awaitable[Plan]]
    """Makes the plan anew, from what stands there now."""


@asynccontextmanager
async def open_plan(
    prepared: Prepared, options: ReleaseOptions, env: Mapping[str, str], observer: CallObserver | None = None
) -> AsyncIterator[Planned]:
    """The plan, and the connections that it was made with. Only reads."""
    async with AsyncExitStack() as stack:
        endpoint: Mapping[str, str] | None = None
        if options.sandbox:
            endpoint = await stack.enter_async_context(_sandbox(prepared, options))
        services = await stack.enter_async_context(
            open_services(
                (target.location for target in prepared.targets),
                near=options.sandbox or is_near(env),
                observer=observer,
                endpoint_environment=endpoint,
            )
        )
        if options.sandbox:
            await put_stand_ins(prepared.targets, services.stores)
        opened = await digest_all(prepared.bundles, hash_cache(env))
        make = partial(
            build_plan,
            prepared.release,
            prepared.targets,
            opened=opened,
            codedeploys=services.impatient(),
            stores=services.stores,
            force=options.force,
        )
        yield Planned(await make(), services, opened, make)


@asynccontextmanager
async def _sandbox(prepared: Prepared, options: ReleaseOptions) -> AsyncIterator[Mapping[str, str]]:
    from orchestrator.app.rehearsal import fleet_of  # noqa: PLC0415 - only with --sandbox
    from orchestrator.sandbox.options import SandboxOptions  # noqa: PLC0415 - as above
    from orchestrator.sandbox.server import Sandbox  # noqa: PLC0415 - as above

    settings = SandboxOptions(time_scale=options.time_scale)
    fleet = fleet_of([prepared.release], instances=settings.instances)
    async with Sandbox(fleet, settings).serve() as endpoint:
        yield endpoint.environment()


async def apply(
    prepared: Prepared,
    options: ApplyOptions,
    env: Mapping[str, str],
    *,
    stdout: TextIO,
    stderr: TextIO,
    confirm: Confirm,
) -> RunState | None:
    """The run, from the plan to its end. None when there was a plan and it was declined."""
    async with AsyncExitStack() as stack:
        # A rehearsal is nobody else's business, wherever the manifest keeps its runs.
        state_of_manifest = None if options.release.sandbox else prepared.release.state
        state = await stack.enter_async_context(open_state(options.state, state_of_manifest, env))
        views = await stack.enter_async_context(open_views(options.views, stdout=stdout, stderr=stderr))
        planned = await stack.enter_async_context(open_plan(prepared, options.release, env, views.observer))
        if not confirm(planned.plan):
            return None
        run = new_run_id(time.time())
        hold, plan = None, planned.plan
        if not options.release.sandbox:
            lease = hold_lease(state, run, prepared.targets, wait=options.lock_wait, tell=views.console.say)
            hold = await stack.enter_async_context(lease)
            plan = await planned.again() if hold.waited else plan
        journal = await stack.enter_async_context(state.runs.open_journal(run, new=True))
        recorder = open_recorder(run, journal, views)
        settings = RunOptions(
            poll_interval=_interval(options, env),
            policy=prepared.policy,
            concurrency=prepared.release.concurrency,
            on_cancel=options.on_cancel,
            leave_after=options.leave_after,
            detach=options.detach,
        )
        recorder.record(start_event(plan, settings, chosen(options.release)))
        await recorder.commit()
        await carry_out(
            plan,
            recorder=recorder,
            services=planned.services,
            artifacts=ReleaseArtifacts(planned.opened, planned.services.stores, record=recorder.record),
            views=views,
            options=settings,
            hold=hold,
            runs=state.runs,
        )
        return recorder.state


def chosen(options: ReleaseOptions) -> dict[str, Any]:
    """What a resume has to read the manifest with; `ReleaseOptions` of the same names."""
    return {
        "variables": dict(options.variables),
        "select": list(options.select),
        "exclude": list(options.exclude),
        "include_needs": options.include_needs,
        "include_dependents": options.include_dependents,
        "force": options.force,
        "sandbox": options.sandbox,
    }


def _interval(options: ApplyOptions, env: Mapping[str, str]) -> float:
    if options.poll_interval is not None:
        return options.poll_interval
    return SANDBOX_POLL_INTERVAL if options.release.sandbox or is_near(env) else AWS_POLL_INTERVAL
