"""How the applications, groups, configurations and deployments of all regions get into the ledger, and out again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from orchestrator.sandbox.configs import Config
from orchestrator.sandbox.deployments import Deployment, Group
from orchestrator.sandbox.errors import Json
from orchestrator.sandbox.holdings import Application, OnPremisesInstance
from orchestrator.sandbox.home import Ledger
from orchestrator.sandbox.inventory import Instance
from orchestrator.sandbox.plain import from_plain, to_plain
from orchestrator.sandbox.revisions import RevisionRecord, revision_key

if TYPE_CHECKING:
    from orchestrator.sandbox.region import Region

RegionOf = Callable[[str, str], "Region"]

_SEPARATOR = "\n"
"""In no name, key or account."""


class Shelf:
    """The records of one account and region. Each method notes a change of what it is given."""

    def __init__(self, ledger: Ledger, account: str, region: str) -> None:
        self._ledger = ledger
        self._place = (account, region)

    def keep_application(self, application: Application) -> None:
        self._note("application", (application.name,), lambda: to_plain(application))

    def drop_application(self, application: Application) -> None:
        """With its revisions; its groups are dropped one by one."""
        self._forget("application", (application.name,))
        for record in application.revisions.values():
            self._forget("revision", (application.name, revision_key(record.location)))

    def keep_revision(self, application: str, record: RevisionRecord) -> None:
        self._note("revision", (application, revision_key(record.location)), lambda: to_plain(record))

    def keep_config(self, config: Config) -> None:
        self._note("config", (config.name,), lambda: to_plain(config))

    def drop_config(self, name: str) -> None:
        self._forget("config", (name,))

    def keep_onpremises(self, instance: OnPremisesInstance) -> None:
        self._note("onpremises", (instance.name,), lambda: to_plain(instance))

    def drop_onpremises(self, name: str) -> None:
        self._forget("onpremises", (name,))

    def keep_group(self, group: Group) -> None:
        self._note("group", (group.id,), group.to_data)

    def drop_group(self, group: Group) -> None:
        """It has gone; its deployments can still be looked at."""
        if group.deployments:
            self._note("group", (group.id,), lambda: {**group.to_data(), "is_gone": True})
        else:
            self._forget("group", (group.id,))

    def keep_instance(self, instance: Instance) -> None:
        """One that isn't as every start of the sandbox makes it."""
        self._note("instance", (instance.id,), lambda: to_plain(instance))

    def keep_deployment(self, deployment: Deployment) -> None:
        """Also notes what its group knows of it."""
        self._note("deployment", (deployment.id,), deployment.to_data)
        self.keep_group(deployment.group)

    def _note(self, kind: str, key: tuple[str, ...], record: Callable[[], Json]) -> None:
        self._ledger.note(kind, _SEPARATOR.join((*self._place, *key)), record)

    def _forget(self, kind: str, key: tuple[str, ...]) -> None:
        self._ledger.forget(kind, _SEPARATOR.join((*self._place, *key)))


def restore(ledger: Ledger, region_of: RegionOf, now: float) -> None:
    """Fills the regions with what the ledger has. `region_of`: by account and name."""
    for region, _, data in _each(ledger, "instance", region_of):
        region.inventory.restore(from_plain(Instance, data))
    for region, (name,), data in _each(ledger, "application", region_of):
        region.applications[name] = from_plain(Application, data)
    for region, (application, key), data in _each(ledger, "revision", region_of):
        region.applications[application].revisions[key] = from_plain(RevisionRecord, data)
    for region, (name,), data in _each(ledger, "config", region_of):
        region.configs[name] = from_plain(Config, data)
    for region, (name,), data in _each(ledger, "onpremises", region_of):
        instance = region.onpremises[name] = from_plain(OnPremisesInstance, data)
        if instance.deregistered is None:
            region.inventory.add_on_premises(name, instance.tags)
    _restore_groups(ledger, region_of, now)


def _restore_groups(ledger: Ledger, region_of: RegionOf, now: float) -> None:
    """And their deployments."""
    groups: dict[str, tuple[Group, Json]] = {}
    for region, (group_id,), data in _each(ledger, "group", region_of):
        group = Group.from_data(data)
        groups[group_id] = (group, data)
        if not data.get("is_gone"):
            region.applications[group.application].groups[group.name] = group
            region.adopt(group)
    for region, (deployment_id,), data in _each(ledger, "deployment", region_of):
        group, _ = groups[data["group"]]
        deployment = Deployment.from_data(data, group)
        group.deployments.append(deployment)
        region.deployments[deployment_id] = deployment
    for group, data in groups.values():
        region = region_of(group.account, group.region)
        if data["active"] is not None:
            region.take_up(region.deployments[data["active"]], now)
        if data["last_successful"] is not None:
            group.last_successful = region.deployments[data["last_successful"]]


def _each(ledger: Ledger, kind: str, region_of: RegionOf) -> Iterator[tuple[Region, list[str], Json]]:
    for key, data in ledger.records(kind):
        account, region, *rest = key.split(_SEPARATOR)
        yield region_of(account, region), rest, data
