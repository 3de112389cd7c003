"""The table of locks: which run holds which targets. Values and decisions; `core.lease` performs them.

One object (`locks.json`) holds the whole table and changes by compare-and-swap, so that a run gets all of its targets
or none. Whether a holder is alive doesn't stand here, but shows in its sign of life (`leases/<holder>.json`).
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from orchestrator.core.blobs import Blob
from orchestrator.core.errors import ExitCode, OrchestratorError, StateError
from orchestrator.core.times import format_time, parse_time

LOCKS = "locks.json"
LAYOUT_VERSION = 1
_SHOWN = 5


def target_key(who: str, region: str, application_name: str, deployment_group_name: str) -> str:
    """What is locked. `who`: the account's id where it is known, or the role."""
    return f"{who}/{region}/{application_name}/{deployment_group_name}"


def describe_key(key: str) -> str:
    """For people: `shop-api/fleet in eu-west-1 (111111111111)`."""
    parts = key.rsplit("/", 3)  # a role's ARN may hold slashes, the other parts can't
    if len(parts) < 4:
        return key
    who, region, application, group = parts
    return f"{application}/{group} in {region}" + (f" ({who})" if who else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """The process behind a holder; for people only."""

    host: str
    pid: int
    user: str

    @classmethod
    def of_this_process(cls) -> Self:
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # a container's user without a name
            user = str(os.getuid())
        return cls(host=socket.gethostname(), pid=os.getpid(), user=user)

    def __str__(self) -> str:
        return f"process {self.pid} of {self.user} on {self.host}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """A process of a run, and what it holds."""

    id: str
    """Unique, also among the processes of one run."""
    run: str
    owner: Owner
    since: float
    """Epoch seconds of its own clock; for people only."""
    keys: tuple[str, ...]

    def __str__(self) -> str:
        return f"run {self.run}, since {format_time(self.since)[:19]}Z, {self.owner}"


@dataclass(frozen=True, kw_only=True, slots=True)
class LockTable:
    """The table as it was read."""

    holders: Mapping[str, Holder] = field(default_factory=dict)
    """By id."""
    tag: str | None = None
    """Of the object; None: there is none yet."""

    @classmethod
    def parse(cls, blob: Blob | None, where: str) -> Self:
        """Raises `StateError` when it can't be read."""
        if blob is None:
            return cls()
        try:
            data = json.loads(blob.content)
            if data["version"] != LAYOUT_VERSION:
                raise StateError(
                    f"{where}/{LOCKS} has version {data['version']!r}; this orchestrator reads version 1",
                    hint="use the version of orchestrator that wrote it",
                )
            holders = {name: _holder(name, fields) for name, fields in data["holders"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateError(
                f"{where}/{LOCKS} can't be read: {type(error).__name__}: {error}",
                hint="once no run goes on that uses this state, delete it: it is written anew",
            ) from None
        return cls(holders=holders, tag=blob.tag)

    def content(self, nonce: str) -> bytes:
        """`nonce` makes every write its own."""
        holders = {each.id: _fields(each) for each in self.holders.values()}
        data = {"version": LAYOUT_VERSION, "nonce": nonce, "holders": holders}
        return json.dumps(data, separators=(",", ":")).encode("ascii") + b"\n"

    def with_holder(self, holder: Holder) -> LockTable:
        return LockTable(holders={**self.holders, holder.id: holder}, tag=self.tag)

    def without(self, ids: Collection[str]) -> LockTable:
        kept = {name: holder for name, holder in self.holders.items() if name not in ids}
        return LockTable(holders=kept, tag=self.tag)

    def in_the_way(self, wanted: Holder) -> list[Holder]:
        """Other processes of the same run, and other runs that hold any of the same targets."""
        keys = frozenset(wanted.keys)
        return [
            holder
            for holder in self.holders.values()
            if holder.id != wanted.id and (holder.run == wanted.run or not keys.isdisjoint(holder.keys))
        ]


def _fields(holder: Holder) -> dict[str, Any]:
    owner = holder.owner
    return {
        "run": holder.run,
        "host": owner.host,
        "pid": owner.pid,
        "user": owner.user,
        "since": format_time(holder.since),
        "keys": holder.keys,
    }


def _holder(name: str, fields: Mapping[str, Any]) -> Holder:
    owner = Owner(host=str(fields["host"]), pid=int(fields["pid"]), user=str(fields["user"]))
    keys = tuple(str(key) for key in fields["keys"])
    return Holder(id=name, run=str(fields["run"]), owner=owner, since=parse_time(fields["since"]), keys=keys)


class LockedError(OrchestratorError):
    """Others hold what the run needs; nothing was touched."""

    exit_code = ExitCode.BLOCKED

    def __init__(self, wanted: Holder, holders: Sequence[Holder]) -> None:
        same = next((holder for holder in holders if holder.run == wanted.run), None)
        if same is not None:
            message = f"run {same.run} is being carried on by {same.owner}, since {format_time(same.since)[:19]}Z"
        else:
            message = "\n".join(_lines(wanted, holders))
        runs = sorted({holder.run for holder in holders})
        hint = f"wait for it with --lock-wait 10m; if that process is gone for good: orchestrator unlock {runs[0]}"
        super().__init__(message, hint=hint)
        self.holders = tuple(holders)


def _lines(wanted: Holder, holders: Iterable[Holder]) -> Iterable[str]:
    for holder in holders:
        keys = sorted(set(wanted.keys) & set(holder.keys))
        for key in keys[:_SHOWN]:
            yield f"{describe_key(key)} is held by {holder}"
        if len(keys) > _SHOWN:
            yield f"and {len(keys) - _SHOWN} more are held by run {holder.run}"
