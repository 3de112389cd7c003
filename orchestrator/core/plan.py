"""The plan: which targets, in which order, with what; and how a target stands in a journal."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from math import inf, isfinite
from pathlib import Path
from typing import Any, Literal

from orchestrator.core.controls import NO_CONTROLS, Controls, controls_from_dict, controls_to_dict
from orchestrator.core.errors import UsageError
from orchestrator.core.freezing import FreezeWindow
from orchestrator.core.model import (
    AppSpecRevision,
    BundleSource,
    DeploymentSettings,
    GitHubRevision,
    Group,
    Location,
    ObjectSettings,
    PromotedBundle,
    Retry,
    Revision,
    RevisionSource,
    S3Revision,
    Target,
    revision_from_api,
    revision_to_api,
)
from orchestrator.core.notification_specs import NotificationSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What the run will do with one target."""

    target: Target
    action: Literal["deploy", "unchanged"] = "deploy"
    current: Revision | None = None
    """What stands there now: the revision of the group's last successful deployment, where it is known."""
    current_deployment_id: str | None = None
    wanted: str = ""
    """The new revision in one short phrase."""
    digest: str | None = None
    timeout: float = 3600.0
    """Seconds from the start of the deployment."""
    reason: str = ""
    """Why it is deployed, or why not."""
    revision: Revision | None = None
    """What is deployed; of a bundle without what is only known once it is in its bucket (version, eTag)."""
    seen: Group | None = None
    """The group as the plan saw it; None: not of a plan that was just made."""
    verified: str | None = None
    """How the same content fared where it must have gone out first; None: nobody asks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    release: str
    environment: str
    manifest: str
    manifest_digest: str
    steps: tuple[Step, ...]
    """In an order that respects needs and after."""
    freeze: tuple[FreezeWindow, ...] = ()
    """Of its environment."""
    controls: Controls = NO_CONTROLS
    """The run's own gates and hooks."""
    committed_at: float | None = None
    """Epoch seconds: of the commit that is checked out around the manifest, or that was promoted; None: not known."""
    notifications: tuple[NotificationSpec, ...] = ()
    """Who is told of the run."""

    @property
    def changes(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.action == "deploy")


def order(targets: Sequence[Target]) -> tuple[Target, ...]:
    """The targets so that each stands behind what it needs or comes after; otherwise as they were.

    Edges to targets that aren't among them are left out. A cycle is an error that names it edge by edge.
    """
    place = {target.id: index for index, target in enumerate(targets)}
    waits = {target.id: {name for name in (*target.needs, *target.after) if name in place} for target in targets}
    dependents: dict[str, list[str]] = {target.id: [] for target in targets}
    for target in targets:
        for name in waits[target.id]:
            dependents[name].append(target.id)
    open_edges = {name: len(before) for name, before in waits.items()}
    ready = [place[name] for name, count in open_edges.items() if count == 0]
    heapq.heapify(ready)
    ordered: list[Target] = []
    while ready:
        target = targets[heapq.heappop(ready)]
        ordered.append(target)
        for name in dependents[target.id]:
            open_edges[name] -= 1
            if open_edges[name] == 0:
                heapq.heappush(ready, place[name])
    if len(ordered) < len(targets):
        stuck = [target for target in targets if open_edges[target.id] > 0]
        raise UsageError("these wait for each other: " + _name_cycle(stuck), hint="take one of these edges out")
    return tuple(ordered)


def _name_cycle(stuck: Sequence[Target]) -> str:
    """Every stuck target waits for a stuck one, so following the edges must come back to one that was seen."""
    by_id = {target.id: target for target in stuck}
    path: list[str] = []
    here = stuck[0].id
    while here not in path:
        path.append(here)
        target = by_id[here]
        here = next(name for name in (*target.needs, *target.after) if name in by_id)
    cycle = [*path[path.index(here) :], here]
    return ", ".join(
        f"{one} {'needs' if other in by_id[one].needs else 'comes after'} {other}" for one, other in pairwise(cycle)
    )


# --- a target as JSON ------------------------------------------------------------------------------------------------

_SOURCES: Mapping[str, type[RevisionSource]] = {
    "source": BundleSource,
    "s3": S3Revision,
    "github": GitHubRevision,
    "appspec": AppSpecRevision,
    "promoted": PromotedBundle,
}


def step_to_dict(step: Step) -> dict[str, Any]:
    """The step for the journal: all that a resume needs; `step_from_dict` reads it back."""
    return {
        **target_to_dict(step.target),
        "digest": step.digest,
        "action": step.action,
        "deadline": step.timeout if isfinite(step.timeout) else None,  # JSON has no infinity
        "wanted": step.wanted,
        "why": step.reason,
        "current": None if step.current is None else revision_to_api(step.current),
        "current_deployment_id": step.current_deployment_id,
        "revision": None if step.revision is None else revision_to_api(step.revision),
        "verified": step.verified,
    }


def step_from_dict(data: Mapping[str, Any]) -> Step:
    return Step(
        target=target_from_dict(data),
        action=data["action"],
        current=revision_from_api(data.get("current")),
        current_deployment_id=data.get("current_deployment_id"),
        wanted=data.get("wanted", ""),
        digest=data.get("digest"),
        timeout=inf if data["deadline"] is None else data["deadline"],
        reason=data.get("why", ""),
        revision=revision_from_api(data.get("revision")),
        verified=data.get("verified"),
    )


def target_to_dict(target: Target) -> dict[str, Any]:
    """JSON-ready; `target_from_dict` reads it back."""
    data = _plain(target)
    kind = next(name for name, cls in _SOURCES.items() if type(target.source) is cls)
    return {**data, "source": {"kind": kind, **data["source"]}, "controls": controls_to_dict(target.controls)}


def target_from_dict(data: Mapping[str, Any]) -> Target:
    source = dict(data["source"])
    cls = _SOURCES[source.pop("kind")]
    if cls in {BundleSource, PromotedBundle}:
        stored = dict(source.get("stored") or {})  # journals of earlier versions have none
        stored["tagging"] = tuple((key, value) for key, value in stored.get("tagging") or ())
        source["stored"] = ObjectSettings(**stored)
    if cls is BundleSource:
        source |= {"path": Path(source["path"]), "ignore": tuple(source["ignore"])}
    settings = dict(data["settings"])
    if settings["auto_rollback"] is not None:
        settings["auto_rollback"] = tuple(settings["auto_rollback"])
    known = {field.name: data[field.name] for field in fields(Target) if field.name in data}
    return Target(
        **known
        | {
            "source": cls(**source),
            "settings": DeploymentSettings(**settings),
            "location": Location(**data["location"]),
            "needs": tuple(data["needs"]),
            "after": tuple(data["after"]),
            "retry": Retry(**data.get("retry") or {}),
            "controls": controls_from_dict(data.get("controls")),
        }
    )


def _plain(value: Any) -> Any:
    """Dataclasses as mappings, tuples as lists, paths as text."""
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
