"""A sandbox made from a manifest: its groups with their instances, its buckets, its accounts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from orchestrator.core.model import AppSpecRevision, BundleSource, Location, S3Revision, Target
from orchestrator.manifest import Release
from orchestrator.sandbox.fleet import (
    BUILT_IN_CONFIGS,
    DEFAULT_ACCOUNT,
    BucketSpec,
    ConfigSpec,
    FleetSpec,
    GroupSpec,
)

SANDBOX_CLUSTER = "rehearsal"
"""The cluster of all ECS services of a rehearsal."""


def fleet_of(releases: Sequence[Release], *, instances: int) -> FleetSpec:
    """What all targets of these releases need to be deployed."""
    targets = [target for release in releases for target in release.targets]
    return FleetSpec(
        groups=tuple(dict.fromkeys(_group(target, instances) for target in targets)),
        buckets=tuple(_buckets(targets)),
        configs=tuple(dict.fromkeys(c for target in targets if (c := _config(target, instances)) is not None)),
    )


def account_of(role_arn: str | None) -> str:
    """`arn:aws:iam::111111111111:role/deploy` -> `111111111111`; without a role, the sandbox's own."""
    return DEFAULT_ACCOUNT if role_arn is None else role_arn.split(":")[4]


def _group(target: Target, instances: int) -> GroupSpec:
    return GroupSpec(
        application=target.application_name,
        deployment_group=target.deployment_group_name,
        region=target.location.region,
        account=account_of(target.location.role_arn),
        instances=instances,
        platform=(platform := platform_of(target)),
        ecs_service=f"{SANDBOX_CLUSTER}/{target.deployment_group_name}" if platform == "ECS" else "",
    )


def platform_of(target: Target) -> Literal["Server", "ECS", "Lambda"]:
    """What the target's revision is for; of an AppSpec in S3 that can't be looked at it is ECS."""
    source = target.source
    if isinstance(source, AppSpecRevision):
        return "Lambda" if "AWS::Lambda::Function" in source.content else "ECS"
    return "ECS" if isinstance(source, S3Revision) and source.bundle_type in {"YAML", "JSON"} else "Server"


def _config(target: Target, instances: int) -> ConfigSpec | None:
    """A configuration of the user's own; what it says is not in the manifest, so one instance at a time."""
    name = target.settings.deployment_config
    if name is None or name in BUILT_IN_CONFIGS or name.startswith("CodeDeployDefault."):
        return None
    location = target.location
    return ConfigSpec(
        name=name, region=location.region, account=account_of(location.role_arn), value=max(0, instances - 1)
    )


def _buckets(targets: Iterable[Target]) -> Iterable[BucketSpec]:
    """A bucket's name is one for all regions; the first target that names it says where it is."""
    places: dict[str, Location] = {}
    for target in targets:
        if isinstance(target.source, (BundleSource, S3Revision)):
            places.setdefault(target.source.bucket, target.location)
    return (
        BucketSpec(name=name, region=place.region, account=account_of(place.role_arn)) for name, place in places.items()
    )
