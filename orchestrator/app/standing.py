"""What stands at CodeDeploy now: the platforms of applications, the groups, and what was deployed to them. Only reads.

Calls go in batches where the API has them: 100 applications, 100 groups of one application, 25 deployments,
25 revisions of one application.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from orchestrator.core.chunks import chunks
from orchestrator.core.codedeploy import BATCH, CodeDeploy
from orchestrator.core.concurrent import map_limited
from orchestrator.core.errors import RefusedError
from orchestrator.core.limiter import Priority
from orchestrator.core.model import AppSpecRevision, Deployment, Group, Location, Revision, Target

READS_AT_ONCE = 16
"""Applications that are asked about side by side; the budget paces the calls."""

APPLICATION_BATCH = 100
"""Names that BatchGetApplications takes (API model)."""

Key = tuple[Location, str, str]
"""Location, application name, deployment group name."""
Groups = dict[Key, Group]
Platforms = dict[tuple[Location, str], str]
"""Server, ECS or Lambda, by location and application name."""
CodeDeploys = Mapping[Location, CodeDeploy]


def group_key(target: Target) -> Key:
    return (target.location, target.application_name, target.deployment_group_name)


async def read_platforms(targets: Sequence[Target], codedeploys: CodeDeploys) -> Platforms:
    """Of the targets' applications; a batch that holds one that doesn't exist is left out whole."""
    names: dict[Location, dict[str, None]] = {}
    for target in targets:
        names.setdefault(target.location, {})[target.application_name] = None
    batches = [(where, batch) for where, found in names.items() for batch in chunks(list(found), APPLICATION_BATCH)]

    async def ask(item: tuple[Location, Sequence[str]]) -> Mapping[str, str]:
        where, batch = item
        try:
            return await codedeploys[where].platforms(batch)
        except RefusedError as error:
            if error.code.startswith("ApplicationDoesNotExist"):
                return {}  # which one, the groups tell
            raise

    answers = await map_limited(ask, batches, limit=READS_AT_ONCE)
    return {
        (where, name): platform
        for (where, _), found in zip(batches, answers, strict=True)
        for name, platform in found.items()
    }


async def read_groups(targets: Sequence[Target], codedeploys: CodeDeploys) -> Groups:
    """The targets' groups, those that exist: one batched call for each application in each location."""
    names: dict[tuple[Location, str], list[Target]] = {}
    for target in targets:
        names.setdefault((target.location, target.application_name), []).append(target)

    async def ask(item: tuple[tuple[Location, str], list[Target]]) -> dict[str, Group]:
        (location, application), asked = item
        return await _groups_of(codedeploys[location], application, [each.deployment_group_name for each in asked])

    answers = await map_limited(ask, names.items(), limit=READS_AT_ONCE)
    return {
        (location, application, name): group
        for (location, application), groups in zip(names, answers, strict=True)
        for name, group in groups.items()
    }


async def _groups_of(codedeploy: CodeDeploy, application: str, names: Sequence[str]) -> dict[str, Group]:
    try:
        return await codedeploy.groups(application, names)
    except RefusedError as error:
        if error.code.startswith("ApplicationDoesNotExist"):
            return {}
        raise


Current = Mapping[Key, Revision | None]


async def read_current(keys: Iterable[Key], groups: Groups, codedeploys: CodeDeploys) -> Current:
    """The revision of each group's last successful deployment; None where it isn't known, or there was none."""
    keys = list(keys)
    deployments = await _standing_deployments(keys, groups, codedeploys)
    current = {key: _current_revision(groups[key], deployments) for key in keys}
    contents = await _contents(current, codedeploys)
    return {key: contents.get((key[0], key[1], revision), revision) for key, revision in current.items()}


async def _standing_deployments(keys: Sequence[Key], groups: Groups, codedeploys: CodeDeploys) -> dict[str, Deployment]:
    """The last successful deployments of those groups whose last attempt was another one: batched, by location."""
    wanted: dict[Location, list[str]] = {}
    for key in keys:
        group = groups[key]
        if group.last_successful_id is not None and group.last_successful_id != group.last_attempted_id:
            wanted.setdefault(key[0], []).append(group.last_successful_id)
    found: dict[str, Deployment] = {}
    for location, ids in wanted.items():
        for batch in chunks(ids, BATCH):
            found |= await codedeploys[location].deployments(batch, priority=Priority.LIST)
    return found


def _current_revision(group: Group, standing: Mapping[str, Deployment]) -> Revision | None:
    if group.last_successful_id is None:
        return None
    if group.last_successful_id == group.last_attempted_id:
        return group.revision
    deployment = standing.get(group.last_successful_id)
    return None if deployment is None else deployment.revision


Contents = dict[tuple[Location, str, Revision | None], AppSpecRevision]


async def _contents(current: Current, codedeploys: CodeDeploys) -> Contents:
    """AppSpecs whole. Groups and deployments tell only their hashes; what is to go back to one has to send it again."""
    wanted: dict[tuple[Location, str], dict[AppSpecRevision, None]] = {}
    for (location, application, _), revision in current.items():
        if isinstance(revision, AppSpecRevision) and not revision.content:
            wanted.setdefault((location, application), {})[revision] = None

    async def ask(item: tuple[tuple[Location, str], Iterable[AppSpecRevision]]) -> Sequence[AppSpecRevision]:
        (location, application), hashes = item
        return await codedeploys[location].appspecs(application, list(hashes))

    answers = await map_limited(ask, wanted.items(), limit=READS_AT_ONCE)
    return {
        (location, application, AppSpecRevision(content="", sha256=found.sha256)): found
        for (location, application), whole in zip(wanted, answers, strict=True)
        for found in whole
    }
