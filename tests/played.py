"""A deployment in the sandbox's engine alone, played from moment to moment without HTTP, botocore or a clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator.sandbox.configs import Config
from orchestrator.sandbox.deployments import Deployment, Group, instance_ids
from orchestrator.sandbox.holdings import Application
from orchestrator.sandbox.inventory import Instance
from orchestrator.sandbox.lifecycle import Track
from orchestrator.sandbox.options import Failure, Fault, Faults, Lost, SandboxOptions, Slow, Speeds
from orchestrator.sandbox.region import Region
from orchestrator.sandbox.specs import Spec

GOOD = {"revisionType": "GitHub", "gitHubLocation": {"repository": "acme/shop", "commitId": "good"}}
BAD = {"revisionType": "GitHub", "gitHubLocation": {"repository": "acme/shop", "commitId": "bad"}}
START = 100.0
OPTIONS = SandboxOptions(speeds=Speeds(lead=0.5, drain=0.5, event=(1.0, 1.0)))
"""Every event takes a second, and so does the way from Created to InProgress."""
IN_PLACE = {"deploymentType": "IN_PLACE", "deploymentOption": "WITHOUT_TRAFFIC_CONTROL"}


@dataclass
class Play:
    """One group of one region, and a hand to turn the clock."""

    region: Region
    group: Group
    now: float = START

    def start(self, revision: Any = None, **settings: Any) -> Deployment:
        group = self.group
        made = {
            "deploymentConfigName": "config",
            "revision": revision or GOOD,
            "previousRevision": None,
            "creator": "user",
            "fileExistsBehavior": "DISALLOW",
            "blueGreenDeploymentConfiguration": group.settings.get("blueGreenDeploymentConfiguration"),
            **settings,
        }
        events = frozenset(made.pop("rollback_events", ()))
        spec = made.pop("spec", Spec())
        return self.region.start(group, made, self.now, spec=spec, rollback_events=events)

    def moments(self) -> Iterator[float]:
        """Every moment at which something happens by itself, once it has."""
        while (due := self.region.next_due) < float("inf"):
            self.now = due
            self.region.settle_all(self.now)
            yield self.now

    def finish(self, deployment: Deployment) -> Deployment:
        for _ in self.moments():
            if deployment.ended is not None:
                break
        return deployment

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.region.settle_all(self.now)

    def play(self, revision: Any = None, **settings: Any) -> Deployment:
        return self.finish(self.start(revision, **settings))


def play(
    count: int = 3,
    config: Config | None = None,
    *faults: Fault,
    options: SandboxOptions = OPTIONS,
    zones: tuple[str, ...] = ("",),
    has_agents: bool = False,
    **settings: Any,
) -> Play:
    """A group of so many instances, in these zones in turn; `settings`: members of DeploymentGroupInfo."""
    found = Faults(
        failures=tuple(fault for fault in faults if isinstance(fault, Failure)),
        slow=tuple(fault for fault in faults if isinstance(fault, Slow)),
        lost=tuple(fault for fault in faults if isinstance(fault, Lost)),
    )
    region = Region("000000000000", "eu-west-1", options, lambda: found, 0.0, has_agents=has_agents)
    region.configs["config"] = config or Config(name="config", kind="MOST_CONCURRENCY", value=1, created=0.0)
    application = region.applications["app"] = Application(name="app", created=0.0)
    names = instance_ids(region.account, region.name, "app/g", count)
    for number, name in enumerate(names):
        region.inventory.add(Instance(id=name, name=f"n{number}", zone=zones[number % len(zones)]))
    group = application.groups["g"] = Group(
        account=region.account,
        region=region.name,
        application="app",
        name="g",
        instances=names,
        settings={"deploymentStyle": IN_PLACE, **settings},
    )
    return Play(region, group)


def count(minimum: int) -> Config:
    return Config(name="config", kind="HOST_COUNT", value=minimum, created=0.0)


def percent(share: int) -> Config:
    return Config(name="config", kind="FLEET_PERCENT", value=share, created=0.0)


def failing(*instances: int, **fault: Any) -> Failure:
    return Failure(target="app/g", instances=instances, **{"event": "Install", **fault})


def flying(deployment: Deployment) -> list[Track]:
    return [track for track in deployment.tracks if track.status == "InProgress"]


def names(track: Track) -> list[str]:
    return [step.name for step in track.steps]


def statuses(deployment: Deployment) -> list[str]:
    """Of the tracks, in the order of the group's instances."""
    return [track.status for track in sorted(deployment.tracks, key=lambda track: track.index)]
