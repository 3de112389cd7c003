"""Who takes part in a deployment, in which order: instances, replacement instances, an ECS service, a function."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.sandbox.deployments import Deployment, Group, instance_ids
from orchestrator.sandbox.inventory import Instance, Inventory
from orchestrator.sandbox.lifecycle import (
    ALLOW,
    BLOCK,
    ECS_EVENTS,
    EVENTS,
    EVENTS_WITH_LOAD_BALANCER,
    GREEN_EVENTS,
    LAMBDA_EVENTS,
    Track,
    new_track,
)
from orchestrator.sandbox.revisions import revision_key

MOST_INSTANCES = 1000

_NO_INSTANCES = (
    "The deployment failed because no instances were found for your deployment group. "
    "Check your deployment group settings to make sure the tags for your instances are correct."
)


class Refusal(Exception):  # noqa: N818 - an answer, not a mistake
    """A deployment that can't begin: code and message of its errorInformation."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Casting:
    """Of one account and region."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory

    def instances(self, group: Group) -> list[Instance]:
        """Of a group as its tags choose them now, where there are instances with tags; else those it was given."""
        settings = group.settings
        is_on_premises = settings.get("onPremisesInstanceTagFilters") or settings.get("onPremisesTagSet")
        if group.is_tagged and (self._inventory.has_fleet or is_on_premises):
            return self._inventory.chosen_by(settings)
        return [self._inventory.get(name) for name in group.instances]

    def cast(self, deployment: Deployment) -> list[Track]:
        """Its tracks, in the order in which they are tried. Raises `Refusal`."""
        match deployment.kind:
            case "in_place":
                return self._in_place(deployment)
            case "blue_green":
                return self._blue_green(deployment)
            case "blue_green_back":
                return deployment.tracks
            case "ecs" | "ecs_back" | "lambda":
                return self._service(deployment)

    def _in_place(self, deployment: Deployment) -> list[Track]:
        group = deployment.group
        instances = self.instances(group)
        _check(instances)
        healthy = {one.id for one in instances if one.id in group.installed and one.id not in group.unhealthy}
        if not healthy:  # nothing runs there that could be harmed: all of them count
            healthy = {one.id for one in instances}
        healthy -= {one.id for one in instances if not one.is_running}
        wanted = revision_key(deployment.revision)
        chosen = list(enumerate(instances))
        if deployment.settings.get("updateOutdatedInstancesOnly"):
            chosen = [(index, one) for index, one in chosen if group.installed.get(one.id) != wanted]
        deployment.fleet = len(instances)
        deployment.healthy_elsewhere = len(healthy - {one.id for _, one in chosen})
        chosen.sort(key=lambda pair: _turn(group, pair[1], wanted))
        is_balanced = group.settings["deploymentStyle"].get("deploymentOption") == "WITH_TRAFFIC_CONTROL"
        events = EVENTS_WITH_LOAD_BALANCER if is_balanced else EVENTS
        return [
            new_track(one.id, events, index=index, zone=one.zone, is_healthy=one.id in healthy) for index, one in chosen
        ]

    def _blue_green(self, deployment: Deployment) -> list[Track]:
        originals = self.instances(deployment.group)
        replacements = self._replacements(deployment, originals)
        _check(replacements)
        deployment.fleet = len(replacements)
        green = [
            new_track(one.id, GREEN_EVENTS, index=index, zone=one.zone, label="Green", is_healthy=one.is_running)
            for index, one in enumerate(replacements)
        ]
        blue = [
            new_track(one.id, BLOCK, index=index, zone=one.zone, label="Blue") for index, one in enumerate(originals)
        ]
        return green + blue

    def _replacements(self, deployment: Deployment, originals: Sequence[Instance]) -> list[Instance]:
        configuration = deployment.settings.get("blueGreenDeploymentConfiguration") or {}
        action = (configuration.get("greenFleetProvisioningOption") or {}).get("action", "DISCOVER_EXISTING")
        if action == "DISCOVER_EXISTING":
            taken = {one.id for one in originals}
            found = self._inventory.replacements(deployment.settings.get("targetInstances") or {})
            return [one for one in found if one.id not in taken]
        group = deployment.group
        names = instance_ids(group.account, group.region, f"{group.target}/{deployment.number}", len(originals))
        return [
            self._inventory.add(Instance(id=name, tags=dict(old.tags), zone=old.zone, platform=old.platform))
            for name, old in zip(names, originals, strict=True)
        ]

    def _service(self, deployment: Deployment) -> list[Track]:
        if deployment.problem is not None:
            raise Refusal("INVALID_REVISION", deployment.problem)
        if deployment.kind == "lambda":
            return [new_track(deployment.function["functionName"], LAMBDA_EVENTS)]
        services = deployment.group.settings.get("ecsServices") or []
        if not services:
            raise Refusal("INVALID_ECS_SERVICE", "The deployment group names no ECS service.")
        name = f"{services[0].get('clusterName', 'default')}:{services[0].get('serviceName', '')}"
        # On the way back the old task set is there still: only traffic moves.
        return [new_track(name, ALLOW if deployment.kind == "ecs_back" else ECS_EVENTS)]


def way_back(deployment: Deployment) -> list[Track]:
    """A blue/green deployment's rollback: traffic to the originals again, none to replacements that had some."""
    blue = [
        new_track(one.id, ALLOW, index=one.index, zone=one.zone, label="Blue")
        for one in deployment.tracks
        if one.label == "Blue"
    ]
    green = [
        new_track(one.id, BLOCK, index=one.index, zone=one.zone, label="Green")
        for one in deployment.tracks
        if one.label == "Green" and one.steps[len(EVENTS)].start is not None
    ]
    return blue + green


def _check(instances: Sequence[Instance]) -> None:
    if not instances:
        raise Refusal("NO_INSTANCES", _NO_INSTANCES)
    if len(instances) > MOST_INSTANCES:
        raise Refusal("OVER_MAX_INSTANCES", f"{len(instances)} instances; a deployment takes {MOST_INSTANCES} at most.")


def _turn(group: Group, instance: Instance, wanted: str) -> int:
    """Unhealthy ones first, then those nothing is known of, then old revisions, then the one that is deployed."""
    if instance.id in group.unhealthy or not instance.is_running:
        return 0
    installed = group.installed.get(instance.id)
    if installed is None:
        return 1
    return 3 if installed == wanted else 2
