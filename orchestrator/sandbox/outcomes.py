"""What a deployment that has ended means for the instances of its group."""

from __future__ import annotations

from orchestrator.sandbox.deployments import Deployment
from orchestrator.sandbox.inventory import Instance, Inventory
from orchestrator.sandbox.revisions import revision_key


def settle_instances(deployment: Deployment, inventory: Inventory) -> list[Instance]:
    """What is installed, who is healthy, and which instances the group has now. Gives those that are terminated."""
    group = deployment.group
    if not deployment.is_server:
        return []
    if deployment.kind == "in_place":
        _remember(deployment, "")
        return []
    if deployment.kind == "blue_green" and deployment.status == "Succeeded":
        return _move(deployment, inventory)
    if deployment.kind == "blue_green_back" and deployment.status == "Succeeded":
        group.unhealthy.clear()
    return []


def _remember(deployment: Deployment, label: str) -> None:
    group, installed = deployment.group, revision_key(deployment.revision)
    for track in deployment.tracks:
        if track.label != label:
            continue
        if track.status == "Succeeded":
            group.installed[track.id] = installed
            group.unhealthy.discard(track.id)
        elif track.status == "Failed":
            group.unhealthy.add(track.id)


def _move(deployment: Deployment, inventory: Inventory) -> list[Instance]:
    """The group is the replacements from now on, whether its tags or its list said which it had."""
    group = deployment.group
    group.installed.clear()
    group.unhealthy.clear()
    _remember(deployment, "Green")
    group.instances = tuple(track.id for track in deployment.tracks if track.label == "Green")
    chosen = deployment.settings.get("targetInstances") or {}
    if chosen.get("tagFilters") or chosen.get("ec2TagSet"):
        group.settings = {
            **group.settings,
            "ec2TagFilters": chosen.get("tagFilters") or [],
            "ec2TagSet": chosen.get("ec2TagSet"),
        }
    else:
        group.is_tagged = False
    if not deployment.has_termination_started:
        return []
    gone = [inventory.get(track.id) for track in deployment.tracks if track.label == "Blue"]
    for instance in gone:
        inventory.terminate(instance)
    return gone
