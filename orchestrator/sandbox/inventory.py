"""The instances of one account and region, and which of them a deployment group's tags choose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.sandbox.errors import Json
from orchestrator.sandbox.tags import matches


@dataclass(slots=True)
class Instance:
    """A machine with an agent: on EC2, or on-premises."""

    id: str
    """`i-…`; an on-premises instance's name."""
    name: str = ""
    """What the fleet file calls it."""
    tags: dict[str, str] = field(default_factory=dict)
    zone: str = ""
    platform: Literal["linux", "windows"] = "linux"
    is_on_premises: bool = False
    is_running: bool = True
    speed: float = 1.0
    """How much faster than others its events are."""
    is_terminated: bool = False
    is_of_fleet: bool = False
    """Whether a fleet file names it: only then tags choose from EC2 instances."""

    def is_called(self, name: str) -> bool:
        return name in (self.id, self.name)


class Inventory:
    """All instances, in the order in which they came."""

    def __init__(self) -> None:
        self._instances: dict[str, Instance] = {}
        self._fleet_size = 0
        self._terminated: set[str] = set()
        self._restored: set[str] = set()

    def __iter__(self) -> Iterator[Instance]:
        return iter(self._instances.values())

    def add(self, instance: Instance) -> Instance:
        """One that is there already stays as it is, and one that was terminated stays away."""
        if instance.is_terminated or instance.id in self._terminated:
            self._terminated.add(instance.id)
            return instance
        found = self._instances.setdefault(instance.id, instance)
        self._fleet_size += found is instance and instance.is_of_fleet
        return found

    def add_on_premises(self, name: str, tags: dict[str, str]) -> None:
        """Or takes note of new tags of one that is there."""
        self.add(Instance(id=name, name=name, is_on_premises=True)).tags = tags

    def remove(self, instance_id: str) -> None:
        self._instances.pop(instance_id, None)

    def terminate(self, instance: Instance) -> None:
        instance.is_terminated = True
        self._instances.pop(instance.id, None)
        self._terminated.add(instance.id)
        self._fleet_size -= instance.is_of_fleet

    def describe(self, instance: Instance) -> None:
        """What one is like that is there already; whether it runs is left as it was at the sandbox's last end."""
        if instance.id in self._restored:
            instance.is_running = self._instances[instance.id].is_running
        self._instances[instance.id] = instance

    def restore(self, instance: Instance) -> None:
        """One as it was when the sandbox last ended."""
        if self.add(instance) is instance and not instance.is_terminated:
            self._restored.add(instance.id)

    def get(self, instance_id: str) -> Instance:
        """One that nobody described is an ordinary Linux instance."""
        found = self._instances.get(instance_id)
        return found or self.add(Instance(id=instance_id))

    def called(self, name: str) -> list[Instance]:
        return [instance for instance in self if instance.is_called(name)]

    @property
    def has_fleet(self) -> bool:
        return self._fleet_size > 0

    def chosen_by(self, settings: Json) -> list[Instance]:
        """By the tag filters and tag sets of DeploymentGroupInfo."""
        return [instance for instance in self if _is_chosen(instance, settings)]

    def replacements(self, target_instances: Json) -> list[Instance]:
        """By TargetInstances: the EC2 instances that a blue/green deployment moves to."""
        return self.chosen_by(
            {"ec2TagFilters": target_instances.get("tagFilters"), "ec2TagSet": target_instances.get("ec2TagSet")}
        )


def _is_chosen(instance: Instance, settings: Json) -> bool:
    """Of a list any filter has to fit, of a tag set every list."""
    if instance.is_on_premises:
        filters, tag_set = settings.get("onPremisesInstanceTagFilters"), settings.get("onPremisesTagSet") or {}
        lists = tag_set.get("onPremisesTagSetList")
    else:
        filters, tag_set = settings.get("ec2TagFilters"), settings.get("ec2TagSet") or {}
        lists = tag_set.get("ec2TagSetList")
    if lists:
        return all(matches(instance.tags, one) for one in lists)
    return matches(instance.tags, filters or ())
