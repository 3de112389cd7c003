"""What will happen in a deployment: its instances in order, how long each event takes, and what fails."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.sandbox.deployments import Group
from orchestrator.sandbox.errors import Json
from orchestrator.sandbox.health import Health
from orchestrator.sandbox.options import Failure, SandboxOptions, Slow
from orchestrator.sandbox.revisions import revision_key, revision_name
from orchestrator.sandbox.schedule import (
    EVENTS,
    EVENTS_WITH_LOAD_BALANCER,
    NEVER,
    Course,
    Diagnostics,
    Schedule,
    build,
    refused,
    succeeded,
)

LEAD = 0.5
"""Seconds in Created and in Queued, each, at time scale 1."""
SHORTEST, LONGEST = 1.0, 3.0
"""Seconds of one lifecycle event at time scale 1."""

_NO_INSTANCES = (
    "The deployment failed because no instances were found for your deployment group. "
    "Check your deployment group settings to make sure the tags for your instances are correct."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A deployment that is about to be."""

    group: Group
    settings: Json
    number: int
    created: float
    health: Callable[[int], Health]
    """By number of instances, as its deployment configuration says."""
    failures: Sequence[Failure]
    slow: Sequence[Slow]
    problem: str | None
    """Why no agent could download the bundle, if so."""


def scaled(seconds: float, options: SandboxOptions) -> float:
    return seconds / options.time_scale if options.time_scale else 0.0


def schedule(request: Request, options: SandboxOptions) -> Schedule:
    group = request.group
    if not group.instances:
        return refused(request.created, "NO_INSTANCES", _NO_INSTANCES)
    instances = _instances(request)
    if not instances:
        return succeeded(request.created)
    is_balanced = group.settings["deploymentStyle"]["deploymentOption"] == "WITH_TRAFFIC_CONTROL"
    return build(
        Course(
            created=request.created,
            lead=scaled(LEAD, options),
            instances=instances,
            events=EVENTS_WITH_LOAD_BALANCER if is_balanced else EVENTS,
            health=request.health(len(instances)),
            seconds=_seconds(request, options),
            failure=_failure(request),
        )
    )


def _instances(request: Request) -> tuple[str, ...]:
    """Unhealthy ones first; only the outdated ones if that was asked for."""
    group = request.group
    instances = group.instances
    if request.settings.get("updateOutdatedInstancesOnly"):
        wanted = revision_key(request.settings["revision"])
        instances = tuple(instance for instance in instances if group.installed.get(instance) != wanted)
    return tuple(sorted(instances, key=lambda instance: instance not in group.unhealthy))


def _seconds(request: Request, options: SandboxOptions) -> Callable[[str, int], float]:
    factor = 1.0
    for slow in request.slow:
        factor *= slow.factor
    if factor == NEVER:
        return lambda _instance, _index: NEVER
    scale = scaled(factor, options)
    place = f"{options.seed}/{request.group.account}/{request.group.region}/{request.group.target}/{request.number}"
    dice: dict[str, bytes] = {}

    def seconds(instance: str, index: int) -> float:
        digest = dice.get(instance)
        if digest is None:
            digest = dice[instance] = hashlib.blake2b(f"{place}/{instance}".encode(), digest_size=16).digest()
        return (SHORTEST + (LONGEST - SHORTEST) * digest[index] / 255) * scale

    return seconds


def _failure(request: Request) -> Callable[[str, str], Diagnostics | None]:
    numbers = {instance: number for number, instance in enumerate(request.group.instances)}
    revision = revision_name(request.settings["revision"])
    target, ignores_stop = request.group.target, bool(request.settings.get("ignoreApplicationStopFailures"))

    def failure(instance: str, event: str) -> Diagnostics | None:
        if event == "DownloadBundle" and request.problem is not None:
            return Diagnostics(error_code="UnknownError", script="", message=request.problem, log_tail="")
        if event == "ApplicationStop" and ignores_stop:
            return None
        for fault in request.failures:
            if fault.event == event and fault.matches(
                target, number=request.number, instance=numbers[instance], revision=revision
            ):
                return Diagnostics(
                    error_code=fault.error_code,
                    script=fault.script,
                    message=fault.message,
                    log_tail=fault.log_tail,
                )
        return None

    return failure
