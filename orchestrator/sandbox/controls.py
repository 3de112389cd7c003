"""What somebody does to a running sandbox from outside of AWS's API: alarms go off, instances stop and start."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from orchestrator.sandbox.errors import Json
from orchestrator.sandbox.instance_log import instance_log
from orchestrator.sandbox.inventory import Instance
from orchestrator.sandbox.options import AlarmState
from orchestrator.sandbox.ports import Logs

if TYPE_CHECKING:
    from orchestrator.sandbox.codedeploy import CodeDeploy
    from orchestrator.sandbox.ports import Agents
    from orchestrator.sandbox.region import Region


Groups = dict[tuple[str, str, str], list[str]]
"""Account, region and instance -> the targets of its groups."""


class UnknownInstanceError(LookupError):
    """No instance is called so; the message names those that are called similarly."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceView:
    """An instance as it stands."""

    id: str
    name: str
    account: str
    region: str
    zone: str
    platform: str
    tags: dict[str, str]
    is_running: bool
    groups: tuple[str, ...]
    """`application/deployment_group` of those that it is in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HookView:
    """A Lambda function that a deployment waits for: PutLifecycleEventHookExecutionStatus answers for it."""

    deployment_id: str
    event: str
    function: str
    execution_id: str


class Controls:
    """Over all accounts and regions."""

    def __init__(self, codedeploy: CodeDeploy, clock: Callable[[], float], agents: Agents | None = None) -> None:
        self._codedeploy = codedeploy
        self._clock = clock
        self._agents = agents

    def set_alarm(self, name: str, state: AlarmState) -> None:
        """`on` stops every deployment whose alarm configuration names it; `unreadable` those that don't ignore that."""
        now = self._clock()
        for region in self._codedeploy.regions.values():
            region.settle_all(now)
        self._codedeploy.alarms.set(name, state)
        for region in self._codedeploy.regions.values():
            region.look_at_alarms(now)
        self._codedeploy.changed()

    def alarms(self) -> dict[str, AlarmState]:
        """Those that aren't off."""
        return self._codedeploy.alarms.states()

    async def set_instance(self, name: str, *, is_running: bool) -> list[InstanceView]:
        """By id, or by its name in the fleet file, which several may have. Raises `UnknownInstanceError`."""
        found = [(region, one) for region, one in self._all() if one.is_called(name)]
        if not found:
            raise UnknownInstanceError(self._unknown(name))
        for region, instance in found:
            if instance.is_running != is_running:
                region.switch(instance, self._clock(), is_running=is_running)
                if self._agents is not None and not is_running:
                    await self._agents.stop(instance.id)
        self._codedeploy.changed()
        groups = self._groups()
        return [_view(region, instance, groups) for region, instance in found]

    def logs(self, name: str) -> list[Json]:
        """By id or by name, as for `set_instance`: what each has been through. Raises `UnknownInstanceError`."""
        found = [(region, one) for region, one in self._all() if one.is_called(name)]
        if not found:
            raise UnknownInstanceError(self._unknown(name))
        for region in {id(region): region for region, _ in found}.values():
            region.settle_all(self._clock())
        agents: object = self._agents
        log = agents.log if isinstance(agents, Logs) else lambda _: ""
        return [instance_log(region, one, log(one.id)) for region, one in found]

    def instances(self) -> list[InstanceView]:
        groups = self._groups()
        return [_view(region, instance, groups) for region, instance in self._all()]

    def hooks(self) -> list[HookView]:
        """The functions that have been called and haven't reported."""
        return [
            HookView(
                deployment_id=deployment.id,
                event=(event := track.steps[track.at].name),
                function=deployment.hooks[event],
                execution_id=track.hook,
            )
            for region in self._codedeploy.regions.values()
            for deployment in region.running(self._clock())
            for track in deployment.tracks
            if track.hook
        ]

    def _groups(self) -> Groups:
        found: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
        for region in self._codedeploy.regions.values():
            for application in region.applications.values():
                for group in application.groups.values():
                    for instance in region.casting.instances(group):
                        found[region.account, region.name, instance.id].append(group.target)
        return found

    def _all(self) -> Iterator[tuple[Region, Instance]]:
        for region in self._codedeploy.regions.values():
            for instance in region.inventory:
                yield region, instance

    def _unknown(self, name: str) -> str:
        names = {called for _, one in self._all() for called in (one.id, one.name) if called}
        close = get_close_matches(name, sorted(names), n=1)
        return f"there is no instance {name!r}" + (f" (did you mean {close[0]!r}?)" if close else "")


def _view(region: Region, instance: Instance, groups: Groups) -> InstanceView:
    return InstanceView(
        id=instance.id,
        name=instance.name,
        account=region.account,
        region=region.name,
        zone=instance.zone,
        platform=instance.platform,
        tags=dict(instance.tags),
        is_running=instance.is_running,
        groups=tuple(groups.get((region.account, region.name, instance.id), ())),
    )
