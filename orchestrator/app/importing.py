"""`import`: from what stands at CodeDeploy, in one or many accounts and regions, to a manifest. Only reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from orchestrator.app.accounts import check_accounts
from orchestrator.app.services import is_near, open_services
from orchestrator.app.standing import READS_AT_ONCE, CodeDeploys, Groups, Key, read_current
from orchestrator.aws import AwsSession, caller_identity
from orchestrator.core.chunks import chunks
from orchestrator.core.codedeploy import GROUP_BATCH
from orchestrator.core.concurrent import map_limited
from orchestrator.core.errors import UsageError
from orchestrator.core.model import AppSpecRevision, DeploymentStatus, Group, Location, Revision, S3Revision
from orchestrator.manifest.drafting import Draft, HeldGroup, LeftOut, draft, draft_environments, unfit
from orchestrator.manifest.fields import BUCKET

Tags = Mapping[tuple[Location, str, str], Mapping[str, str]]
"""By location, application and group; without a group, the application's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportOptions:
    regions: Sequence[str] = ()
    """At least one, where there are no `environments`."""
    role_arns: Sequence[str] = ()
    """Roles to take on, one account each; none: the credentials as they are."""
    environments: Mapping[str, Location] = field(default_factory=dict)
    """In place of regions and roles: the manifest gets these environments, each for its own place."""
    applications: Sequence[str] = ()
    """Names and globs; none: all."""
    tags: bool = False
    """Also reads tags, as labels: a call for each application and group."""
    appspecs: bool = True
    """Whether AppSpecs have a file to go to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    draft: Draft
    calls: int
    """To CodeDeploy."""


@dataclass(slots=True)
class _Calls:
    """A `CallObserver`."""

    count: int = 0

    def called(self, *, service: str, operation: str, outcome: str, seconds: float) -> None:  # noqa: ARG002 - the port's
        self.count += service == "codedeploy"


@dataclass(slots=True)
class _Found:
    groups: Groups = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)


async def import_all(options: ImportOptions, env: Mapping[str, str]) -> Imported:
    """Raises `UsageError` where there is nothing to import, and `CallError`."""
    locations = places(options)
    calls = _Calls()
    async with open_services(locations, near=is_near(env), observer=calls) as services:
        accounts = await check_accounts(services.session, locations)
        prefixes = await _arn_prefixes(locations, services.session) if options.tags else {}
        held, left_out = await read_all(options, services.impatient(), accounts, prefixes)
    made = _drafted(options, held, left_out)
    if not isinstance(made, Draft):
        raise _nothing(options, made)
    return Imported(draft=made, calls=calls.count)


async def read_all(
    options: ImportOptions, codedeploys: CodeDeploys, accounts: Mapping[Location, str], prefixes: Mapping[Location, str]
) -> tuple[list[HeldGroup], list[LeftOut]]:
    """`prefixes`: of ARNs, up to the account, where tags are to be read."""
    found = _Found()
    for location in places(options):
        await _read_place(location, codedeploys, options.applications, found)
    current = await read_current(found.groups, found.groups, codedeploys)
    tags = await _read_tags(found.groups, codedeploys, prefixes) if options.tags else {}
    held = []
    for key, group in found.groups.items():
        why = _why_not(current[key], appspecs=options.appspecs)
        if why is None:
            held.append(_held(key, group, current[key], accounts[key[0]], tags))
        else:
            found.left_out.append(LeftOut(location=key[0], name=f"{key[1]}/{key[2]}", why=why))
    return held, found.left_out


def _drafted(
    options: ImportOptions, held: Sequence[HeldGroup], left_out: Sequence[LeftOut]
) -> Draft | Sequence[LeftOut]:
    """What can't be carried over, where nothing can."""
    if not held:
        return left_out
    if not options.environments:
        return draft(held, left_out)
    by_environment = {
        name: [group for group in held if group.location == location] for name, location in options.environments.items()
    }
    return draft_environments(by_environment, left_out)


def places(options: ImportOptions) -> list[Location]:
    if options.environments:
        return list(options.environments.values())
    roles: Sequence[str | None] = options.role_arns or (None,)
    found = (Location(region=region, role_arn=role) for role in roles for region in options.regions)
    return list(dict.fromkeys(found))


# --- reading ---------------------------------------------------------------------------------------------------------


async def _read_place(location: Location, codedeploys: CodeDeploys, wanted: Sequence[str], found: _Found) -> None:
    codedeploy = codedeploys[location]
    names = [name for name in sorted(await codedeploy.application_names()) if _is_wanted(name, wanted)]
    listed = await map_limited(codedeploy.group_names, names, limit=READS_AT_ONCE)
    batches = []
    for application, groups in zip(names, listed, strict=True):
        why = unfit(application) or ("it has no deployment groups" if not groups else None)
        if why is not None:
            found.left_out.append(LeftOut(location=location, name=application, why=why))
            continue
        for group in groups:
            if (misfit := unfit(group)) is not None:
                found.left_out.append(LeftOut(location=location, name=f"{application}/{group}", why=misfit))
        fitting = sorted(group for group in groups if unfit(group) is None)
        batches += [(application, batch) for batch in chunks(fitting, GROUP_BATCH)]

    async def ask(item: tuple[str, Sequence[str]]) -> Mapping[str, Group]:
        return await codedeploy.groups(*item)

    answers = await map_limited(ask, batches, limit=READS_AT_ONCE)
    for (application, batch), answer in zip(batches, answers, strict=True):
        found.groups |= {(location, application, name): answer[name] for name in batch if name in answer}
        gone = (name for name in batch if name not in answer)
        found.left_out += [
            LeftOut(location=location, name=f"{application}/{name}", why="it was listed, and then it wasn't there")
            for name in gone
        ]


def _is_wanted(name: str, wanted: Sequence[str]) -> bool:
    return not wanted or any(fnmatchcase(name, pattern) for pattern in wanted)


async def _arn_prefixes(locations: Sequence[Location], session: AwsSession) -> dict[Location, str]:
    async def ask(location: Location) -> str:
        identity = await caller_identity(session, location)
        return f"arn:{identity.arn.split(':')[1]}:codedeploy:{location.region}:{identity.account}"

    return dict(zip(locations, await map_limited(ask, locations, limit=READS_AT_ONCE), strict=True))


async def _read_tags(keys: Iterable[Key], codedeploys: CodeDeploys, prefixes: Mapping[Location, str]) -> Tags:
    wanted = list(dict.fromkeys(each for key in keys for each in ((*key[:2], ""), key)))

    async def ask(item: tuple[Location, str, str]) -> Mapping[str, str]:
        location, application, group = item
        kind = f"deploymentgroup:{application}/{group}" if group else f"application:{application}"
        return await codedeploys[location].tags(f"{prefixes[location]}:{kind}")

    return dict(zip(wanted, await map_limited(ask, wanted, limit=READS_AT_ONCE), strict=True))


# --- what becomes of it ----------------------------------------------------------------------------------------------


def _why_not(revision: Revision | None, *, appspecs: bool) -> str | None:
    """None: it can be carried over."""
    if revision is None:
        return "no deployment to it has ever succeeded, as far as CodeDeploy still knows"
    if isinstance(revision, S3Revision) and not BUCKET.match(revision.bucket):
        return f"the name of its bucket, {revision.bucket!r}, can't stand in a manifest"
    if isinstance(revision, AppSpecRevision) and not revision.content:
        return "CodeDeploy no longer tells the content of its AppSpec"
    if isinstance(revision, AppSpecRevision) and not appspecs:
        return "its AppSpec needs a file: give -o"
    return None


def _held(key: Key, group: Group, revision: Revision | None, account: str, tags: Tags) -> HeldGroup:
    location, application, name = key
    assert revision is not None  # noqa: S101 - `_why_not` has left those out
    failed = group.last_attempted_status is not DeploymentStatus.SUCCEEDED
    remark = f"its last deployment, {group.last_attempted_id}: {group.last_attempted_status}; this is the one before"
    return HeldGroup(
        location=location,
        account=account,
        application_name=application,
        name=name,
        revision=revision,
        deployment_config=group.deployment_config,
        labels={**tags.get((location, application, ""), {}), **tags.get(key, {})},
        remark=remark if failed else "",
    )


def _nothing(options: ImportOptions, left_out: Sequence[LeftOut]) -> UsageError:
    where = "; ".join(str(place) for place in places(options))
    if left_out:
        reasons = "\n  ".join(f"{each.name} ({each.location.region}): {each.why}" for each in left_out)
        return UsageError(f"nothing can be imported from {where}:\n  {reasons}")
    named = f" that match {', '.join(options.applications)}" if options.applications else ""
    return UsageError(
        f"there are no applications{named} in {where}", hint="check the region (--region), the role and the credentials"
    )
