"""Where runs are kept, and who may carry them on: a local folder, or a bucket that every machine reaches."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import anyio

from orchestrator.app.regions import default_region
from orchestrator.aws import AwsSession, caller_identity
from orchestrator.aws.blobs import S3Blobs, parse_s3_url
from orchestrator.core.blobs import BlobPatience, Blobs, PatientBlobs
from orchestrator.core.errors import CallError, ExitCode, StateError, UsageError
from orchestrator.core.lease import LeaseKeeper, LeaseTiming
from orchestrator.core.locks import Holder, Owner, target_key
from orchestrator.core.locktable import holders, unlock
from orchestrator.core.model import Location, Target
from orchestrator.core.runs import RunStore
from orchestrator.store.blobstore import BlobStore
from orchestrator.store.folder import FolderBlobs
from orchestrator.store.local import DEFAULT_ROOT, LocalStore
from orchestrator.store.runs import JOURNAL, WRITER
from orchestrator.store.whole import WholeRuns
from orchestrator.store.writer import read_note

IDENTITY_PATIENCE = 3.0
"""Seconds that STS may take to say which account this is; locks work without, they only tell accounts apart."""


@dataclass(frozen=True, eq=False, slots=True)
class State:
    """Runs, and the small objects beside them: locks, signs of life, requests."""

    runs: RunStore
    blobs: Blobs
    session: AwsSession | None = None
    """None: a local folder."""


@asynccontextmanager
async def open_state(
    state: str | None, of_manifest: str | None, env: Mapping[str, str], *, patience: BlobPatience | None = None
) -> AsyncIterator[State]:
    """`--state`, else what the manifest says, else `.orchestrator/`. Raises `UsageError` for what is neither.

    `patience`: with a bucket that doesn't answer; None: what a run needs.
    """
    where = state or of_manifest or str(DEFAULT_ROOT)
    if "://" not in where:
        root = _folder(where)
        yield State(LocalStore(root), FolderBlobs(root))
        return
    bucket, prefix = parse_s3_url(where)
    async with AwsSession() as session:
        location = Location(region=default_region(env) or "us-east-1")
        blobs = PatientBlobs(
            S3Blobs(session, location, bucket=bucket, prefix=prefix),
            random=Random(),  # noqa: S311 - jitter, no secret
            patience=patience,
        )
        yield State(WholeRuns(BlobStore(blobs)), blobs, session)


def _folder(where: str) -> Path:
    root = Path(where)
    if root.exists() and not root.is_dir():
        raise UsageError(f"{where} is a file, and the state is a folder", hint="choose another one with --state")
    return root


async def is_alive(state: State, run: str) -> bool:
    """Whether a process carries the run on, as far as can be known from here."""
    if isinstance(state.runs, LocalStore):
        writer = read_note(state.runs.root / "runs" / run / WRITER)
        return writer is not None and bool(writer.is_alive())
    held = [holder.run for holder in await holders(state.blobs)]
    return any(run in {name, name.rpartition("-p")[0]} for name in held)  # of a run with parts, one of those


# --- leases ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class Hold:
    """What makes a run ours."""

    keeper: LeaseKeeper
    blobs: Blobs
    waited: bool
    """Somebody else had a target of ours until a moment ago: what was read before may no longer be so."""


@asynccontextmanager
async def hold_lease(
    state: State,
    run: str,
    targets: Sequence[Target],
    *,
    wait: float,
    tell: Callable[[str], None],
    timing: LeaseTiming | None = None,
) -> AsyncIterator[Hold]:
    """The lease on these targets, for the block. Raises `LockedError` when somebody has it for longer than `wait`."""
    waited = False

    def waits_for(found: Sequence[Holder]) -> None:
        nonlocal waited
        waited = True
        tell("waiting for the lock of " + "; ".join(str(holder) for holder in found))

    with _unusable_is_bad_input():
        await _forget_the_dead(state)
        keys = await _keys(state, targets)
    owner = Owner.of_this_process()
    keeper = LeaseKeeper(state.blobs, run=run, owner=owner, keys=keys, timing=timing, on_wait=waits_for)
    async with keeper:
        with _unusable_is_bad_input():
            await keeper.acquire(wait)
        yield Hold(keeper, state.blobs, waited)


@contextmanager
def _unusable_is_bad_input() -> Iterator[None]:
    """Before anything has begun, a state that can't be used is a wrong setting, not a fault in the middle."""
    try:
        yield
    except StateError as error:
        if error.exit_code is not ExitCode.INTERNAL:
            raise
        raise UsageError(str(error), hint=error.hint) from error


async def _keys(state: State, targets: Iterable[Target]) -> list[str]:
    accounts = {location: await _account(state, location) for location in {target.location for target in targets}}
    return [
        target_key(accounts[t.location], t.location.region, t.application_name, t.deployment_group_name)
        for t in targets
    ]


async def _account(state: State, location: Location) -> str:
    """The account's id: in the role's name, else by STS where others may share the state, else nothing."""
    if location.role_arn is not None:
        return location.role_arn.split(":")[4]
    if state.session is None:
        return ""
    try:
        with anyio.fail_after(IDENTITY_PATIENCE):
            return (await caller_identity(state.session, location)).account
    except (CallError, TimeoutError):
        return ""


async def _forget_the_dead(state: State) -> None:
    """On one machine it is known at once that a holder is dead; its locks needn't be waited for."""
    if not isinstance(state.runs, LocalStore):
        return
    root = state.runs.root
    for holder in await holders(state.blobs):
        if _is_dead(holder, root / "runs" / holder.run / JOURNAL):
            await unlock(state.blobs, holder.run)


def _is_dead(holder: Holder, journal: Path) -> bool:
    """Its process is gone, by its number and by the lock that goes with a process however that ends."""
    if holder.owner.host != socket.gethostname():
        return False
    try:
        os.kill(holder.owner.pid, 0)
    except ProcessLookupError:
        return not _is_locked(journal)
    except OSError:
        return False
    return False


def _is_locked(journal: Path) -> bool:
    try:
        with journal.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
