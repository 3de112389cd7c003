"""A plan in a file: what it holds, and reading it back with every mistake named."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.core.controls import controls_from_dict, controls_to_dict
from orchestrator.core.errors import BlockedError, Finding, InvalidInputError
from orchestrator.core.freezing import FreezeWindow
from orchestrator.core.model import (
    BundleSource,
    Concurrency,
    Group,
    Location,
    Policy,
    Revision,
    S3Revision,
    describe_revision,
    revision_from_api,
    revision_to_api,
)
from orchestrator.core.notification_specs import specs_from_list, specs_to_list
from orchestrator.core.plan import Plan, Step, step_from_dict, step_to_dict
from orchestrator.core.shapes import status_of
from orchestrator.core.times import format_time, parse_time

VERSION = 1
KEY = "orchestrator_plan"
"""The first key of a plan file; its value is the version of the format."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A group as a plan saw it."""

    attempted_id: str | None
    attempted_status: str | None
    revision: Revision | None

    @classmethod
    def of(cls, group: Group) -> Seen:
        status = group.last_attempted_status
        return cls(
            attempted_id=group.last_attempted_id,
            attempted_status=None if status is None else str(status),
            revision=group.revision,
        )

    def __str__(self) -> str:
        if self.attempted_id is None:
            return "never deployed"
        return f"{self.attempted_id} ({self.attempted_status}, {describe_revision(self.revision)})"


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedPlan:
    plan: Plan
    """The paths of its sources are relative to the manifest's folder."""
    seen: Mapping[str, Seen]
    """By target."""
    accounts: Mapping[Location, str]
    policy: Policy
    concurrency: Concurrency
    state: str | None
    """Where the manifest keeps its runs."""
    created_at: float
    """Epoch seconds."""
    ttl: float
    """Seconds."""

    def check_age(self, now: float) -> None:
        """Raises `BlockedError` when its time is over."""
        if now > self.created_at + self.ttl:
            raise BlockedError(
                f"the plan of {format_time(self.created_at)} has expired: it was good for {_hours(self.ttl)}",
                hint="make a new one with `plan -o`; --ttl says how long it is good",
            )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:g} h" if seconds >= 3600 else f"{seconds:g} s"


# --- writing ---------------------------------------------------------------------------------------------------------


def to_text(saved: SavedPlan) -> str:
    """JSON. Neither variables nor credentials are in it."""
    body = _body(saved)
    return json.dumps({**body, "digest": _digest(body)}, indent=1) + "\n"


def _body(saved: SavedPlan) -> dict[str, Any]:
    plan = saved.plan
    return {
        KEY: VERSION,
        "created_at": format_time(saved.created_at),
        "ttl": saved.ttl,
        "release": plan.release,
        "environment": plan.environment,
        "manifest": plan.manifest,
        "manifest_digest": plan.manifest_digest,
        "committed_at": None if plan.committed_at is None else format_time(plan.committed_at),
        "state": saved.state,
        "accounts": [{"location": asdict(where), "account": account} for where, account in saved.accounts.items()],
        "policy": asdict(saved.policy),
        "concurrency": asdict(saved.concurrency),
        "freeze": [asdict(window) for window in plan.freeze],
        "controls": controls_to_dict(plan.controls),
        "notifications": specs_to_list(plan.notifications),
        "targets": [_step(step, Path(plan.manifest).absolute().parent) for step in plan.steps],
    }


def _step(step: Step, folder: Path) -> dict[str, Any]:
    source = step.target.source
    if isinstance(source, BundleSource):
        source = replace(source, path=Path(os.path.relpath(source.path, folder)))
    elif isinstance(source, S3Revision) and isinstance(step.revision, S3Revision):
        source = step.revision  # pinned: what somebody uploads under the key until then is not what was planned
    data = step_to_dict(replace(step, target=replace(step.target, source=source)))
    seen = None if step.seen is None else Seen.of(step.seen)
    return {
        **data,
        "seen": None
        if seen is None
        else {
            "attempted_id": seen.attempted_id,
            "attempted_status": seen.attempted_status,
            "revision": None if seen.revision is None else revision_to_api(seen.revision),
        },
    }


def _digest(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


# --- reading ---------------------------------------------------------------------------------------------------------


def is_plan(text: str) -> bool:
    """Whether the file is meant to be a saved plan and not a manifest, by how it begins."""
    begin = text.lstrip()[:100]
    return begin.startswith("{") and f'"{KEY}"' in begin


def from_text(text: str, file: str) -> SavedPlan:
    """Raises `InvalidInputError` that says where it is broken."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise _broken(file, f"is no JSON: {error.msg}", line=error.lineno, column=error.colno) from None
    if not isinstance(data, dict):
        raise _broken(file, "is no saved plan")
    version = data.get(KEY)
    if version != VERSION:
        hint = "use the orchestrator that has written it, or make the plan anew"
        message = f"is a plan of version {version!r}, and this orchestrator reads version {VERSION}"
        raise _broken(file, message, place=KEY, hint=hint)
    saved = _saved(data, file)
    digest = data.pop("digest", None)
    if digest != _digest(data):
        raise _broken(file, "isn't as it was written: its digest is another one", place="digest")
    return saved


def _saved(data: Mapping[str, Any], file: str) -> SavedPlan:
    def read(place: str, how: Callable[[], T]) -> T:
        try:
            return how()
        except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
            raise _broken(file, what, place=place) from None

    targets: Sequence[Any] = read("targets", lambda: list(data["targets"]))
    steps = tuple(
        read(f"targets[{n}]", lambda each=each: step_from_dict(each))  # type: ignore[misc]
        for n, each in enumerate(targets)
    )
    plan = Plan(
        release=read("release", lambda: str(data["release"])),
        environment=read("environment", lambda: str(data["environment"])),
        manifest=read("manifest", lambda: str(data["manifest"])),
        manifest_digest=read("manifest_digest", lambda: str(data["manifest_digest"])),
        steps=steps,
        freeze=read("freeze", lambda: tuple(FreezeWindow(**window) for window in data["freeze"])),
        controls=read("controls", lambda: controls_from_dict(data.get("controls"))),
        committed_at=read("committed_at", lambda: parse_time(at) if (at := data.get("committed_at")) else None),
        notifications=read("notifications", lambda: specs_from_list(data.get("notifications"))),
    )
    return SavedPlan(
        plan=plan,
        seen={
            step.target.id: read(f"targets[{n}].seen", lambda each=each: _seen(each["seen"]))  # type: ignore[misc]
            for n, (step, each) in enumerate(zip(steps, targets, strict=True))
        },
        accounts=read("accounts", lambda: {Location(**each["location"]): each["account"] for each in data["accounts"]}),
        policy=read("policy", lambda: Policy(**data["policy"])),
        concurrency=read("concurrency", lambda: Concurrency(**data["concurrency"])),
        state=read("state", lambda: data["state"]),
        created_at=read("created_at", lambda: parse_time(data["created_at"])),
        ttl=read("ttl", lambda: float(data["ttl"])),
    )


def _seen(data: Mapping[str, Any]) -> Seen:
    status = data["attempted_status"]
    return Seen(
        attempted_id=data["attempted_id"],
        attempted_status=None if status is None else str(status_of(status)),
        revision=revision_from_api(data["revision"]),
    )


def _broken(
    file: str, message: str, *, place: str = "", line: int = 1, column: int = 1, hint: str | None = None
) -> InvalidInputError:
    hint = hint or "make the plan anew with `orchestrator plan … -o`"
    return InvalidInputError([Finding(file=file, line=line, column=column, place=place, message=message, hint=hint)])
