"""The stages of each kind of deployment, and what is to be read from a deployment about them."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify
from typing import Literal

from orchestrator.sandbox.deployments import Deployment, Kind
from orchestrator.sandbox.lifecycle import EVENTS, NEVER, Diagnostics, Label, Track

Stage = Literal["provision", "deploy", "install", "ready", "reroute", "block", "terminate"]

STAGES: Mapping[Kind, tuple[Stage, ...]] = {
    "in_place": ("deploy",),
    "blue_green": ("provision", "install", "ready", "reroute", "block", "terminate"),
    "blue_green_back": ("reroute", "block"),
    "ecs": ("install", "ready", "deploy", "terminate"),
    "ecs_back": ("deploy",),
    "lambda": ("deploy",),
}

ECS_INSTALLED = 5
"""Events of ECS before traffic moves."""

DEPLOYMENT, DEADLINE, ALARM = -1, -2, -3
"""In place of a track's number in a queue."""

TOO_FEW_HEALTHY = (
    "The overall deployment failed because too many individual instances failed deployment, too few healthy "
    "instances are available for deployment, or some instances in your deployment group are experiencing problems."
)
IMPOSSIBLE = "The minimum of healthy instances leaves none to deploy to."


def queue_of(deployment: Deployment) -> list[tuple[float, int]]:
    """The heap of all that is due, from the moments that the deployment and its tracks hold."""
    queue = [(track.due, number) for number, track in enumerate(deployment.tracks)]
    queue += [
        (deployment.due, DEPLOYMENT),
        (deployment.deadline, DEADLINE),
        (deployment.alarm_due, ALARM),
    ]
    queue = [entry for entry in queue if entry[0] < NEVER]
    heapify(queue)
    return queue


def label_of(deployment: Deployment, stage: Stage) -> Label:
    """Whose events a stage runs. On the way back the originals get the traffic, and the replacements lose it."""
    if deployment.kind == "blue_green":
        return "Blue" if stage == "block" else "Green"
    if deployment.kind == "blue_green_back":
        return "Green" if stage == "block" else "Blue"
    return ""


def until_of(deployment: Deployment, stage: Stage, count: int) -> int:
    if stage != "install":
        return count
    return ECS_INSTALLED if deployment.kind == "ecs" else len(EVENTS)


def failure_of(deployment: Deployment) -> tuple[str, str]:
    if deployment.is_server:
        return "HEALTH_CONSTRAINTS", TOO_FEW_HEALTHY
    event = next(step.name for step in deployment.tracks[0].steps if step.status == "Failed")
    if event in deployment.hooks:
        return "HOOK_EXECUTION_FAILURE", f"The hook of {event} ({deployment.hooks[event]}) failed."
    return "INTERNAL_ERROR" if deployment.kind == "lambda" else "ECS_UPDATE_ERROR", f"{event} failed."


def close(track: Track, at: float, cut_off: Diagnostics) -> None:
    """What has become of an instance when the deployment ends."""
    track.due, track.is_external, track.hook = NEVER, False, ""
    if track.status == "InProgress":
        step = track.steps[track.at]
        step.status, step.end, step.diagnostics = "Failed", at, cut_off
        track.status, track.updated = "Failed", at
    elif track.status in ("Pending", "Ready"):
        track.status, track.updated = "Skipped", at
    track.skip_rest()
