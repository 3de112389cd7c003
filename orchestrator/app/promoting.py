"""`promote`: the content that succeeded in one environment, to the next. All of it, or none."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, cast, get_args

from orchestrator.app.accounts import check_accounts
from orchestrator.app.bundles import ReleaseArtifacts
from orchestrator.app.copies import locations_of
from orchestrator.app.planning import build_plan
from orchestrator.app.preflight import Preflight
from orchestrator.app.proving import is_given, not_verified, read_proofs, verified_by
from orchestrator.app.regions import default_region
from orchestrator.app.releases import ReleaseOptions, selected
from orchestrator.app.services import is_near, open_services
from orchestrator.app.stores import State
from orchestrator.app.undertakings import Planned
from orchestrator.bundle.source import object_key
from orchestrator.core.errors import UsageError
from orchestrator.core.model import (
    BundleFormat,
    BundleSource,
    Concurrency,
    Policy,
    PromotedBundle,
    RevisionSource,
    S3Revision,
    Target,
)
from orchestrator.core.plan import Plan
from orchestrator.core.ports import CallObserver
from orchestrator.core.promotion import Proof, Proofs, proof_for
from orchestrator.manifest import Release, load


def prepare_promotion(options: ReleaseOptions, source: str, env: Mapping[str, str]) -> Promotion:
    """Raises `InvalidInputError` and `UsageError`, before any call. No bundle is looked at here."""
    release = load(
        options.manifest,
        environment=options.environment,
        variables=options.variables,
        env=env,
        default_region=default_region(env),
    )
    name = release.environment.name
    if source not in release.environments:
        raise UsageError(
            f"there is no environment {source!r} in {options.manifest}",
            hint=f"--from: one of {', '.join(release.environments) or 'none'}",
        )
    if source == name:
        raise UsageError(f"{name} can't be promoted from itself", hint="-e: the environment to promote to")
    wanted = release.environment.promote_from
    if wanted is not None and wanted != source:
        raise UsageError(f"{name} is promoted from {wanted}, not from {source}", hint=f"--from {wanted}")
    return Promotion(release=release, chosen_targets=selected(release, options), source=source, force=options.force)


@dataclass(frozen=True, kw_only=True, slots=True)
class Promotion:
    """An `Undertaking`."""

    release: Release
    chosen_targets: tuple[Target, ...]
    source: str
    """The environment to promote from."""
    force: bool = False

    is_saved: ClassVar[bool] = False
    is_rehearsal: ClassVar[bool] = False

    @property
    def targets(self) -> tuple[Target, ...]:
        return self.chosen_targets

    @property
    def policy(self) -> Policy:
        return self.release.policy_for(self.chosen_targets)

    @property
    def concurrency(self) -> Concurrency:
        return self.release.concurrency

    @property
    def state(self) -> str | None:
        return self.release.state

    @property
    def chosen(self) -> Mapping[str, Any]:
        return {"exact": True, "promoted_from": self.source}

    @asynccontextmanager
    async def open(
        self, env: Mapping[str, str], state: State, observer: CallObserver | None = None, *, preflight: bool
    ) -> AsyncIterator[Planned]:
        """Raises `BlockedError` when anything of it isn't verified there."""
        soak, now = self.release.environment.soak or 0.0, time.time()
        names = [target.id for target in self.chosen_targets]
        proofs = await read_proofs(state.runs, self.source, self.release.manifest, names, soak=soak, now=now)
        proven = self._proven(proofs, soak, now)
        targets = [_promoted(target, proven[target.id]) for target in self.chosen_targets]
        newest = max(proven.values(), key=lambda proof: proof.run)
        release = replace(self.release, release=newest.release)
        async with AsyncExitStack() as stack:
            locations = locations_of(targets)
            services = await stack.enter_async_context(open_services(locations, near=is_near(env), observer=observer))
            accounts = await check_accounts(services.session, locations)
            look = Preflight(targets, services, release.position)
            make = partial(
                build_plan,
                release,
                targets,
                opened={},
                codedeploys=services.impatient(),
                stores=services.stores,
                force=self.force,
                check=look if preflight else None,
            )

            async def again() -> Plan:
                plan = await make()
                steps = [replace(s, verified=verified_by(proven[s.target.id], self.source)) for s in plan.steps]
                return replace(plan, steps=tuple(steps), committed_at=newest.committed_at)

            yield Planned(
                plan=await again(),
                services=services,
                accounts=accounts,
                again=again,
                artifacts=lambda record: ReleaseArtifacts({}, services.stores, record=record),
                remarks=look.warnings,
            )

    def _proven(self, proofs: Proofs, soak: float, now: float) -> dict[str, Proof]:
        proven: dict[str, Proof] = {}
        problems: list[str] = []
        for target in self.chosen_targets:
            found = proof_for(target.id, target.application, proofs.found)
            problem = found if isinstance(found, str) else found.problem(soak, now)
            if isinstance(found, Proof) and problem is None:
                proven[target.id] = found
            else:
                problems.append(f"{target.id} in {self.source}: {problem}")
        if problems:
            raise not_verified(problems)
        return proven


def _promoted(target: Target, proof: Proof) -> Target:
    return replace(target, source=_source(target, proof))


def _source(target: Target, proof: Proof) -> RevisionSource:
    content, own = proof.content, target.source
    revision = content.revision
    if is_given(content) or not isinstance(own, BundleSource) or not isinstance(revision, S3Revision):
        return revision
    digest = content.digest or ""
    if revision.bundle_type not in get_args(BundleFormat):
        return revision
    key = object_key(own, target.application, digest, cast("BundleFormat", revision.bundle_type))
    return PromotedBundle(
        digest=digest,
        bundle_type=revision.bundle_type,
        from_bucket=revision.bucket,
        from_key=revision.key,
        from_version=revision.version,
        from_etag=revision.etag,
        from_region=proof.location.region,
        from_role_arn=proof.location.role_arn,
        bucket=own.bucket,
        key=key,
        stored=own.stored,
    )
