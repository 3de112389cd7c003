"""A saved plan, made and carried out: exactly what it says, or nothing at all."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from orchestrator.app.accounts import Accounts, check_accounts
from orchestrator.app.bundles import ReleaseArtifacts, digest_all
from orchestrator.app.caches import hash_cache
from orchestrator.app.preflight import Preflight
from orchestrator.app.releases import ManifestRelease
from orchestrator.app.services import Services, is_near, open_services
from orchestrator.app.sources import Sources
from orchestrator.app.standing import Groups, group_key, read_groups
from orchestrator.app.stored import Found, StoredFirst, find_stored
from orchestrator.app.stores import State
from orchestrator.app.undertakings import Planned
from orchestrator.app.uploads import Opened
from orchestrator.bundle.remembered import HashCache
from orchestrator.core.errors import BlockedError, BundleError, InvalidInputError, UsageError
from orchestrator.core.model import BundleSource, Concurrency, Policy, Target
from orchestrator.core.plan import Plan, Step
from orchestrator.core.planfile import SavedPlan, Seen, from_text, is_plan
from orchestrator.core.ports import CallObserver
from orchestrator.manifest import Position

READ_AT_MOST = 64 * 1024 * 1024
"""Bytes of a plan file: thousands of targets."""


def save(planned: Planned, release: ManifestRelease, *, ttl: float) -> SavedPlan:
    """`ttl`: seconds."""
    state = release.state
    if state is not None and "://" not in state:
        state = os.path.relpath(state, _folder_of(planned.plan.manifest))
    return SavedPlan(
        plan=planned.plan,
        seen={step.target.id: Seen.of(step.seen) for step in planned.plan.steps if step.seen is not None},
        accounts=planned.accounts,
        policy=release.policy,
        concurrency=release.concurrency,
        state=state,
        created_at=time.time(),
        ttl=ttl,
    )


def read_saved(path: Path) -> SavedPlan | None:
    """The plan in this file; None when it isn't meant to be one. Raises `InvalidInputError` for a broken one."""
    try:
        with path.open("rb") as file:
            if not is_plan(file.read(512).decode(errors="replace")):
                return None
            file.seek(0)
            text = file.read(READ_AT_MOST).decode(errors="replace")
    except OSError:
        return None  # the manifest's reader says what is wrong with it
    return from_text(text, str(path))


def _folder_of(manifest: str) -> Path:
    return Path(manifest).absolute().parent


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedRelease:
    """An `Undertaking`."""

    saved: SavedPlan
    file: Path

    is_saved: ClassVar[bool] = True
    is_rehearsal: ClassVar[bool] = False

    @property
    def folder(self) -> Path:
        """Of the manifest: as the plan names it from here, or from where the plan lies."""
        given = Path(self.saved.plan.manifest)
        beside = self.file.absolute().parent / given
        return (beside if not given.exists() and beside.exists() else given.absolute()).parent

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(step.target for step in self.steps)

    @property
    def steps(self) -> tuple[Step, ...]:
        """With the sources where they are on this machine."""
        return tuple(replace(step, target=_placed(step.target, self.folder)) for step in self.saved.plan.steps)

    @property
    def policy(self) -> Policy:
        return self.saved.policy

    @property
    def concurrency(self) -> Concurrency:
        return self.saved.concurrency

    @property
    def state(self) -> str | None:
        state = self.saved.state
        return state if state is None or "://" in state else os.path.normpath(self.folder / state)

    @property
    def chosen(self) -> Mapping[str, Any]:
        return {"exact": True}

    def _position(self, _target: str, _setting: str) -> Position:
        return Position(file=str(self.file), line=1, column=1)

    @asynccontextmanager
    async def open(
        self,
        env: Mapping[str, str],
        state: State,  # noqa: ARG002 - the undertaking's signature
        observer: CallObserver | None = None,
        *,
        preflight: bool,
    ) -> AsyncIterator[Planned]:
        """Raises `BlockedError` when the plan is stale or too old, and `UsageError` in another account."""
        self.saved.check_age(time.time())
        async with AsyncExitStack() as stack:
            locations = [target.location for target in self.targets]
            services = await stack.enter_async_context(open_services(locations, near=is_near(env), observer=observer))
            accounts = await check_accounts(services.session, locations)
            _check_same_accounts(self.saved.accounts, accounts)
            plan = replace(self.saved.plan, steps=self.steps)
            groups = await _check_unchanged(plan, self.saved, services)
            look = Preflight(self.targets, services, self._position)
            if preflight and (problems := await look(groups)):
                raise InvalidInputError(problems)
            found = await find_stored(plan.changes, services.stores)
            opened = await open_sources(plan.changes, found, hash_cache(env))

            async def again() -> Plan:
                await _check_unchanged(plan, self.saved, services)
                return plan

            yield Planned(
                plan=plan,
                services=services,
                accounts=accounts,
                again=again,
                artifacts=lambda record: StoredFirst(found, ReleaseArtifacts(opened, services.stores, record=record)),
                remarks=look.warnings,
            )


def _placed(target: Target, folder: Path) -> Target:
    source = target.source
    if not isinstance(source, BundleSource):
        return target
    path = Path(os.path.normpath(folder / source.path))
    return replace(target, source=replace(source, path=path))


def _check_same_accounts(seen: Accounts, found: Accounts) -> None:
    wrong = [
        f"{location}: {account} -> {found[location]}"
        for location, account in seen.items()
        if account and found.get(location) and found[location] != account
    ]
    if wrong:
        raise UsageError(
            "the plan was made for another account:\n  " + "\n  ".join(wrong),
            hint="check the credentials; nothing was touched",
        )


async def _check_unchanged(plan: Plan, saved: SavedPlan, services: Services) -> Groups:
    """What stands in a group now is what stood there when the plan was made, or the plan is no longer true."""
    targets = [step.target for step in plan.steps]
    groups = await read_groups(targets, services.impatient())
    changed = []
    for target in targets:
        before, group = saved.seen[target.id], groups.get(group_key(target))
        now = None if group is None else Seen.of(group)
        if now != before:
            changed.append(f"{target.id}: {before} -> {now or 'no such group'}")
    if changed:
        raise BlockedError(
            "the plan is stale: groups have changed since it was made:\n  " + "\n  ".join(changed),
            hint="make a new one with `plan -o`, and look at it again",
        )
    return groups


async def open_sources(steps: Sequence[Step], found: Found, cache: HashCache | None) -> dict[BundleSource, Opened]:
    """The sources of the bundles that have to be made; each must have the digest that its steps name.

    Raises `BlockedError` when one has another digest, or isn't there.
    """
    needed: dict[BundleSource, Step] = {}
    for step in steps:
        source = step.target.source
        if isinstance(source, BundleSource) and (step.target.location, source) not in found:
            needed.setdefault(source, step)
    sources = Sources()
    problems: list[str] = []
    bundles = {}
    for source, step in needed.items():
        try:
            bundles[source] = sources.open(source)
        except BundleError as error:
            problems.append(f"{step.target.id}: {error.message}, and {_place(step)} isn't there either")
    opened = await digest_all(bundles, cache)
    for source, each in opened.items():
        step = needed[source]
        if step.digest != each.digest.value:
            problems.append(f"{step.target.id}: {_short(step.digest)} -> {_short(each.digest.value)} ({source.path})")
    if problems:
        raise BlockedError(
            "the plan is stale: bundles aren't what they were:\n  " + "\n  ".join(problems),
            hint="check out what the plan was made of, or make a new one",
        )
    return opened


def _place(step: Step) -> str:
    revision = step.revision
    return (
        "the bundle" if revision is None else f"s3://{getattr(revision, 'bucket', '')}/{getattr(revision, 'key', '')}"
    )


def _short(digest: str | None) -> str:
    return f"{digest[:19]}…" if digest else "nothing"
