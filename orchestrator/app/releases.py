"""A manifest's release: all that can be wrong without a call, and then its plan."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from orchestrator.app.accounts import check_accounts
from orchestrator.app.buckets import check_buckets
from orchestrator.app.bundles import ReleaseArtifacts, digest_all
from orchestrator.app.caches import hash_cache
from orchestrator.app.planning import build_plan
from orchestrator.app.preflight import Preflight
from orchestrator.app.proving import ahead, read_proofs, verify
from orchestrator.app.regions import default_region
from orchestrator.app.services import is_near, open_services
from orchestrator.app.sources import check_sources
from orchestrator.app.stand_ins import for_rehearsal, put_stand_ins
from orchestrator.app.stores import State
from orchestrator.app.undertakings import Planned
from orchestrator.bundle.source import Bundle
from orchestrator.core.concurrent import both
from orchestrator.core.errors import Finding, UsageError
from orchestrator.core.model import BundleSource, Concurrency, Policy, Target
from orchestrator.core.plan import Plan
from orchestrator.core.ports import CallObserver
from orchestrator.core.selection import select
from orchestrator.manifest import Release, load
from orchestrator.sandbox.rehearsal import Hooks


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
    time_scale: float | None = None
    """Of the embedded sandbox; None: what its fleet file says, or 10."""
    fleet: Path | None = None
    """What it plays; None: every group with three ordinary instances."""
    hooks: Hooks = "none"
    """What its instances do with scripts."""
    instances_dir: Path | None = None
    """Where its instances' files stay; None: they go with it."""
    instance_image: Path | None = None
    """What a new instance starts with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A release that was found in order, before any call."""

    release: Release
    targets: tuple[Target, ...]
    policy: Policy
    bundles: Mapping[BundleSource, Bundle]
    warnings: Sequence[Finding]


def selected(release: Release, options: ReleaseOptions) -> tuple[Target, ...]:
    """Raises `UsageError` when that is none."""
    return select(
        release.targets,
        select=options.select,
        exclude=options.exclude,
        include_needs=options.include_needs,
        include_dependents=options.include_dependents,
    )


def prepare(options: ReleaseOptions, env: Mapping[str, str]) -> Prepared:
    """Manifest, selection, bundles: everything that can be wrong without a call. Raises with all that is."""
    if not options.sandbox and (options.hooks != "none" or options.instances_dir or options.instance_image):
        raise UsageError(
            "--hooks, --instances-dir and --instance-image are about the instances of the sandbox",
            hint="give --sandbox, too",
        )
    if not options.sandbox and options.fleet is not None:
        raise UsageError("--fleet is what the sandbox plays", hint="give --sandbox, too")
    release = load(
        options.manifest,
        environment=options.environment,
        variables=options.variables,
        env=env,
        default_region=default_region(env) or ("us-east-1" if options.sandbox else None),
    )
    targets = selected(release, options)
    bundles, warnings = check_sources(release, targets)
    if options.sandbox:
        deploys = options.hooks != "none" or options.instances_dir is not None
        targets, stood_in = for_rehearsal(release, targets, really_deploys=deploys)
        warnings += stood_in
    return Prepared(
        release=release, targets=targets, policy=release.policy_for(targets), bundles=bundles, warnings=warnings
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestRelease:
    """A manifest's release, as an `Undertaking`."""

    prepared: Prepared
    options: ReleaseOptions

    is_saved: ClassVar[bool] = False

    @property
    def targets(self) -> tuple[Target, ...]:
        return self.prepared.targets

    @property
    def policy(self) -> Policy:
        return self.prepared.policy

    @property
    def concurrency(self) -> Concurrency:
        return self.prepared.release.concurrency

    @property
    def state(self) -> str | None:
        # A rehearsal is nobody else's business, wherever the manifest keeps its runs.
        return None if self.options.sandbox else self.prepared.release.state

    @property
    def is_rehearsal(self) -> bool:
        return self.options.sandbox

    @property
    def chosen(self) -> dict[str, Any]:
        """What a resume has to read the manifest with; `ReleaseOptions` of the same names."""
        options = self.options
        return {
            "variables": dict(options.variables),
            "select": list(options.select),
            "exclude": list(options.exclude),
            "include_needs": options.include_needs,
            "include_dependents": options.include_dependents,
            "force": options.force,
            "sandbox": options.sandbox,
        }

    @asynccontextmanager
    async def open(
        self,
        env: Mapping[str, str],
        state: State,
        observer: CallObserver | None = None,
        *,
        preflight: bool,
    ) -> AsyncIterator[Planned]:
        """Raises `InvalidInputError` with all that can be found wrong by reading, and `CallError`."""
        prepared, options = self.prepared, self.options
        async with AsyncExitStack() as stack:
            endpoint: Mapping[str, str] | None = None
            if options.sandbox:
                endpoint = await stack.enter_async_context(_sandbox(prepared, options))
            locations = [target.location for target in prepared.targets]
            services = await stack.enter_async_context(
                open_services(
                    locations,
                    near=options.sandbox or is_near(env),
                    observer=observer,
                    endpoint_environment=endpoint,
                )
            )
            accounts = await check_accounts(services.session, locations)
            if options.sandbox:
                await put_stand_ins(prepared.targets, services.stores)
            opened, mistakes = await both(
                lambda: digest_all(prepared.bundles, hash_cache(env)),
                lambda: check_buckets(prepared.release, prepared.targets, services.stores),
            )
            look = Preflight(prepared.targets, services, prepared.release.position, opened)
            make = partial(
                build_plan,
                prepared.release,
                prepared.targets,
                opened=opened,
                codedeploys=services.impatient(),
                stores=services.stores,
                force=options.force,
                known=mistakes,
                check=look if preflight else None,
            )
            plan = await make()
            remarks, unverified = look.warnings, list[str]()
            if (before := prepared.release.environment.promote_from) is not None and not options.sandbox:
                plan, told, unverified = await _verified(plan, prepared.release, before, state)
                remarks = [*remarks, *told]
            yield Planned(
                plan=plan,
                services=services,
                accounts=accounts,
                again=make,
                artifacts=lambda record: ReleaseArtifacts(opened, services.stores, record=record),
                remarks=remarks,
                unverified=unverified,
            )


async def _verified(plan: Plan, release: Release, before: str, state: State) -> tuple[Plan, list[str], list[str]]:
    """The plan with its proofs, what the other environment has that this one hasn't, and what isn't verified there."""
    soak, now = release.environment.soak or 0.0, time.time()
    names = [step.target.id for step in plan.steps]
    proofs = await read_proofs(state.runs, before, release.manifest, names, soak=soak, now=now)
    plan, unverified = verify(plan, proofs, before, soak=soak, now=now)
    return plan, ahead(plan, proofs, before), unverified


@asynccontextmanager
async def _sandbox(prepared: Prepared, options: ReleaseOptions) -> AsyncIterator[Mapping[str, str]]:
    from orchestrator.app.rehearsal import fleet_of  # noqa: PLC0415 - only with --sandbox
    from orchestrator.sandbox.fleetfile import read_fleet  # noqa: PLC0415 - as above
    from orchestrator.sandbox.fleetmerge import merged_fleet, merged_options  # noqa: PLC0415 - as above
    from orchestrator.sandbox.options import Faults  # noqa: PLC0415 - as above
    from orchestrator.sandbox.rehearsal import agents_maker  # noqa: PLC0415 - as above
    from orchestrator.sandbox.server import Sandbox  # noqa: PLC0415 - as above

    try:
        file = read_fleet(options.fleet) if options.fleet is not None else None
        settings = merged_options(file, faults=Faults(), time_scale=options.time_scale)
        fleet = fleet_of([prepared.release], instances=settings.instances)
        if file is not None:
            fleet = merged_fleet(file, fleet)
        repositories = settings.repositories or None
        agents = agents_maker(options.hooks, options.instances_dir, repositories, image=options.instance_image)
    except ValueError as error:
        raise UsageError(str(error)) from None
    async with Sandbox(fleet, settings, agents=agents).serve() as endpoint:
        yield endpoint.environment()
