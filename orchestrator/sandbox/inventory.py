"""The instances of one account and region, and which of them a deployment group's tags choose."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestrator.sandbox.errors import Json


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
    is_of_fleet: bool = False
    """Whether a fleet file names it: only then tags choose from EC2 instances."""

    def is_called(self, name: str) -> bool:
        return name in (self.id, self.name)


class Inventory:
    """All instances, in the order in which they came."""

    def __init__(self) -> None:
        self._instances: dict[str, Instance] = {}
        self._fleet_size = 0

    def __iter__(self) -> Iterator[Instance]:
        return iter(self._instances.values())

    def add(self, instance: Instance) -> Instance:
        """One that is there already stays as it is."""
        found = self._instances.setdefault(instance.id, instance)
        self._fleet_size += found is instance and instance.is_of_fleet
        return found

    def remove(self, instance_id: str) -> None:
        gone = self._instances.pop(instance_id, None)
        self._fleet_size -= gone is not None and gone.is_of_fleet

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
    if instance.is_on_premises:
        filters, tag_set = settings.get("onPremisesInstanceTagFilters"), settings.get("onPremisesTagSet") or {}
        groups = tag_set.get("onPremisesTagSetList")
    else:
        filters, tag_set = settings.get("ec2TagFilters"), settings.get("ec2TagSet") or {}
        groups = tag_set.get("ec2TagSetList")
    if groups:
        return all(_fits_any(instance.tags, group) for group in groups)
    return bool(filters) and _fits_any(instance.tags, filters or ())


def _fits_any(tags: Mapping[str, str], filters: Iterable[Mapping[str, Any]]) -> bool:
    return any(_fits(tags, one) for one in filters)


def _fits(tags: Mapping[str, str], one: Mapping[str, Any]) -> bool:
    """One tag filter. Without a type: what it names has to fit."""
    key, value = one.get("Key") or "", one.get("Value") or ""
    kind = one.get("Type") or ("KEY_AND_VALUE" if key and value else "VALUE_ONLY" if value else "KEY_ONLY")
    match kind:
        case "KEY_ONLY":
            return key in tags
        case "VALUE_ONLY":
            return value in tags.values()
        case _:
            return tags.get(key) == value
