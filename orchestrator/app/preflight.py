"""What a run needs at AWS, looked at before the first change: all that is missing, at once, and with few calls.

One call for each deployment configuration that targets name, one for each bucket, and up to four for each location to
see whether the run may watch what it starts. Nothing is created, and nothing is asked with made-up names: IAM may
refuse those where it allows the real ones.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from orchestrator.app.fitting import SERVER, PositionOf, finding
from orchestrator.app.services import Services
from orchestrator.app.standing import Groups, group_key
from orchestrator.app.uploads import Opened
from orchestrator.core.codedeploy import CodeDeploy
from orchestrator.core.concurrent import map_limited
from orchestrator.core.errors import CallError, CredentialsError, Finding, RefusedError
from orchestrator.core.model import (
    NO_OBJECT_SETTINGS,
    BundleSource,
    Group,
    Location,
    ObjectSettings,
    S3Revision,
    Target,
)

AT_ONCE = 8

OBJECT_LIMIT = 5 * 1024**4
"""Bytes that an object in S3 may have."""

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "NotAuthorized", "UnauthorizedOperation", "403"})

MISSING = frozenset({"404", "NoSuchBucket", "NotFound"})

Probe = Callable[[], Awaitable[object]]
Check = Callable[[], Awaitable[list[Finding]]]


@dataclass(eq=False, slots=True)
class Preflight:
    """For one plan; `warnings` fills while it is asked."""

    targets: Sequence[Target]
    services: Services
    at: PositionOf
    opened: Mapping[BundleSource, Opened] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    async def __call__(self, groups: Groups) -> list[Finding]:
        """The errors. Raises `CallError` when AWS can't be asked."""
        self.warnings.clear()
        there = [target for target in self.targets if group_key(target) in groups]
        found = [problem for target in there for problem in self._of_group(target, groups[group_key(target)])]
        found += self._too_large()
        checks: list[Check] = [
            *self._configs(there, groups),
            *self._buckets(),
            *self._rights(there, groups),
        ]
        answers = await map_limited(lambda check: check(), checks, limit=AT_ONCE)
        return found + [problem for answer in answers for problem in answer]

    def _problem(self, target: Target, setting: str, message: str, hint: str | None) -> Finding:
        return finding(self.at, target, setting, message, hint)

    # --- groups ------------------------------------------------------------------------------------------------------

    def _of_group(self, target: Target, group: Group) -> Iterable[Finding]:
        if group.service_role is None:
            hint = "give the group a service role: CodeDeploy can do nothing without"
            yield self._problem(target, "", "its deployment group has no service role", hint)
        in_place = group.compute_platform == SERVER and not group.is_blue_green
        if in_place and not group.names_instances:
            self.warnings.append(
                f"{target.id}: its deployment group names no tags and no Auto Scaling groups, so it has no instances"
            )

    def _too_large(self) -> Iterable[Finding]:
        for target in self.targets:
            opened = self.opened.get(target.source) if isinstance(target.source, BundleSource) else None
            if opened is not None and opened.bundle.total_size > OBJECT_LIMIT:
                yield self._problem(target, "revision.source", "is larger than 5 TiB, and S3 takes no more", None)

    # --- deployment configurations -----------------------------------------------------------------------------------

    def _configs(self, targets: Sequence[Target], groups: Groups) -> Iterable[Check]:
        users: dict[tuple[Location, str], list[Target]] = {}
        for target in targets:
            if target.settings.deployment_config is not None:
                users.setdefault((target.location, target.settings.deployment_config), []).append(target)

        def check_of(location: Location, name: str, using: Sequence[Target]) -> Check:
            async def check() -> list[Finding]:
                try:
                    platform = await self._codedeploy(location).config_platform(name)
                except RefusedError as error:
                    message = f"{name!r} can't be used in {location}: {error.message}"
                    return [self._problem(using[0], "deployment_config", message, "create it, or name another")]
                except CredentialsError as error:
                    return self._denied(error, using[0])
                return [
                    self._problem(each, "deployment_config", f"{name!r} is for {platform}", f"this group is of {kind}")
                    for each in using
                    if (kind := groups[group_key(each)].compute_platform) != platform
                ]

            return check

        return [check_of(location, name, using) for (location, name), using in users.items()]

    # --- buckets -----------------------------------------------------------------------------------------------------

    def _buckets(self) -> Iterable[Check]:
        users: dict[tuple[Location, str], tuple[Target, ObjectSettings]] = {}
        for target in self.targets:
            source = target.source
            if isinstance(source, BundleSource):
                users.setdefault((target.location, source.bucket), (target, source.stored))
            elif isinstance(source, S3Revision):
                users.setdefault((target.location, source.bucket), (target, NO_OBJECT_SETTINGS))

        return [
            partial(self._bucket, location, bucket, target, settings)
            for (location, bucket), (target, settings) in users.items()
        ]

    async def _bucket(self, location: Location, bucket: str, user: Target, settings: ObjectSettings) -> list[Finding]:
        setting = "bucket" if isinstance(user.source, BundleSource) else "revision.s3"
        try:
            region = await self.services.stores[location].look_at_bucket(bucket, settings)
        except RefusedError as error:
            if error.code in MISSING and isinstance(user.source, BundleSource):
                return []  # `check_buckets` has said so
            message = f"there is no bucket {bucket!r}" if error.code in MISSING else f"{bucket!r}: {error.message}"
            return [self._problem(user, setting, message, error.hint or "correct its name, or create it")]
        except CredentialsError as error:
            if error.code not in DENIED:
                raise
            # HeadBucket needs s3:ListBucket, which neither uploads nor agents do.
            unseen = f"{user.id}: whether the bucket {bucket!r} is there can't be seen"
            self.warnings.append(f"{unseen}: {error.hint}" if error.hint else unseen)
            return []
        if region is None or region == location.region:
            return []
        message = f"the bucket {bucket!r} is in {region}, and the group in {location.region}"
        return [self._problem(user, setting, message, "agents download from a bucket of their own region")]

    # --- rights ------------------------------------------------------------------------------------------------------

    def _rights(self, targets: Sequence[Target], groups: Groups) -> Iterable[Check]:
        """Of the calls by which a run is watched, with a group and a deployment that there are."""
        first: dict[Location, Target] = {}
        for target in targets:
            chosen = first.setdefault(target.location, target)
            if groups[group_key(chosen)].last_attempted_id is None:
                first[target.location] = target
        return [
            self._right(target, probe)
            for target in first.values()
            for probe in _probes(self._codedeploy(target.location), target, groups[group_key(target)])
        ]

    def _right(self, target: Target, probe: Probe) -> Check:
        async def check() -> list[Finding]:
            try:
                await probe()
            except CredentialsError as error:
                return self._denied(error, target)
            except RefusedError:
                pass  # whatever else is wrong with a look at an old deployment, it was allowed
            return []

        return check

    def _denied(self, error: CallError, target: Target) -> list[Finding]:
        if error.code not in DENIED:
            raise error
        return [self._problem(target, "", f"{error.operation} isn't allowed in {target.location}", error.hint)]

    def _codedeploy(self, location: Location) -> CodeDeploy:
        return self.services.impatient()[location]


def _probes(codedeploy: CodeDeploy, target: Target, group: Group) -> list[Probe]:
    known = group.last_attempted_id
    probes: list[Probe] = [lambda: codedeploy.active(target)]
    if known is not None:
        probes += [
            lambda: codedeploy.deployments([known]),
            lambda: codedeploy.deployment(known),
            lambda: codedeploy.failures(known),
        ]
    return probes
