"""From a document to a release, for one environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from orchestrator.core.controls import Controls
from orchestrator.core.freezing import FreezeWindow
from orchestrator.core.model import Concurrency, Location, Policy, Target
from orchestrator.manifest import targets as build
from orchestrator.manifest.controls import Gates, controls_of_run, controls_of_target
from orchestrator.manifest.documents import Document
from orchestrator.manifest.fields import Share
from orchestrator.manifest.gate_models import GateUse
from orchestrator.manifest.levels import Environments, Level, deferred, group_node, level
from orchestrator.manifest.models import Application, Environment, Manifest
from orchestrator.manifest.needs import Names, report_cycles
from orchestrator.manifest.nodes import Map, Node, Place, Scalar, child, descend
from orchestrator.manifest.nodes import Sequence as NodeList
from orchestrator.manifest.notifications import check_environments, specs_of
from orchestrator.manifest.origins import Origin, WrittenOrigins
from orchestrator.manifest.problems import did_you_mean
from orchestrator.manifest.release import EnvironmentSettings, Release, share_of
from orchestrator.manifest.templates import Context


def resolve(document: Document, context: Context, default_region: str | None) -> Release | None:
    """The release; None when too little of the manifest is valid. Findings are in the context's problems."""
    environments = Environments(document, context)
    manifest = environments.validate(document.path.stem)
    if manifest is None:
        return None
    return Resolver(document, context, environments, manifest).release(default_region)


class Resolver:
    """Builds the targets of a validated manifest."""

    def __init__(self, document: Document, context: Context, environments: Environments, manifest: Manifest) -> None:
        self._document = document
        self._root = document.root
        self._context = context
        self._problems = context.problems
        self._environments = environments
        self._manifest = manifest
        self._environment = manifest.environments.get(context.environment) or Environment()
        self._names = Names(group_names(self._root, manifest), self._problems)
        self._origins: dict[str, Origin] = {}
        self._gates = Gates(self._root.items.get("gates"), manifest.gates, context)
        self._defaults = self._default_level()

    def release(self, default_region: str | None) -> Release:
        manifest = self._manifest
        targets = tuple(self._targets(default_region))
        levels = {target_id: origin.levels for target_id, origin in self._origins.items()}
        report_cycles(targets, levels, self._names, self._problems)
        self._check_regions(targets)
        self._check_accounts(targets)
        self._check_duplicates(targets)
        self._check_environments()
        check_environments(self._root, self._context)
        failures = manifest.policy.max_failures
        return Release(
            manifest=self._document.path,
            release=self._environments.release,
            environment=environment_settings(self._context.environment, self._environment),
            environments=tuple(manifest.environments),
            state=self._state(),
            concurrency=Concurrency(**manifest.concurrency.model_dump()),
            policy=Policy(
                on_failure=manifest.policy.on_failure,
                max_failures=share_of(failures.value, len(targets)) if isinstance(failures, Share) else failures,
                if_active=manifest.policy.if_active,
                rollback=manifest.policy.rollback,
            ),
            max_failures_share=failures.value if isinstance(failures, Share) else None,
            targets=targets,
            controls=self._controls_of_run(),
            notifications=specs_of(manifest.notifications, self._root, self._context),
            origins=WrittenOrigins(self._root, self._context.environment, manifest, self._origins),
        )

    # --- targets -----------------------------------------------------------------------------------------------------

    def _default_level(self) -> Level:
        node = self._root.items.get("defaults")
        defaults = level(node, ("defaults",), self._manifest.defaults)
        defaults.deferred = deferred(node, self._context, {"application", "deployment_group"})
        defaults.inherits = True
        self._check_level(defaults)
        return defaults

    def _targets(self, default_region: str | None) -> Iterable[Target]:
        nodes = self._root.items["applications"]
        for name, application in self._manifest.applications.items():
            node = child(nodes, name) or nodes
            own = level(node, ("applications", name), application)
            own.deferred = deferred(node, self._context, {"deployment_group"})
            self._check_level(own)
            revisions = build.Revisions(application, node, name, self._context, self._environments.names(name))
            for group, key, group_level in self._groups(application, node, own.place):
                levels = self._levels(own, group_level, name, group)
                yield self._target(name, application, group, levels, revisions, default_region)
                self._origins[f"{name}/{group}"] = Origin(key, (*own.place, "deployment_groups", group), levels)

    def _groups(self, application: Application, node: Node, place: Place) -> Iterable[tuple[str, Scalar, Level]]:
        written = child(node, "deployment_groups")
        groups = application.deployment_groups
        if isinstance(groups, dict):
            for group, settings in groups.items():
                key = (
                    written.keys[group]
                    if isinstance(written, Map)
                    else Scalar(node.file, node.line, node.column, group, group)
                )
                group_level = level(group_node(node, group), (*place, "deployment_groups", group), settings)
                self._check_level(group_level)
                yield group, key, group_level
            return
        seen: set[str] = set()
        for index, group in enumerate(groups):
            item = child(written, index)
            key = item if isinstance(item, Scalar) else Scalar(node.file, node.line, node.column, group, group)
            where = (*place, "deployment_groups", index)
            if group in seen:
                self._problems.add(key, where, f"{group!r} stands here twice")
            else:
                seen.add(group)
                yield group, key, Level(None, where)

    def _levels(self, own: Level, group_level: Level, application: str, group: str) -> tuple[Level, Level, Level]:
        if not (self._defaults.deferred or own.deferred):
            return self._defaults, own, group_level
        names = self._environments.names(application, group)
        found = []
        for one in (self._defaults, own):
            late = one.for_target(self._context, names)
            if late is not one:
                self._check_level(late)
            found.append(late)
        return found[0], found[1], group_level

    def _target(
        self,
        name: str,
        application: Application,
        group: str,
        levels: tuple[Level, Level, Level],
        revisions: build.Revisions,
        default_region: str | None,
    ) -> Target:
        target_id = f"{name}/{group}"
        needs = self._names.resolve(levels, "needs", target_id, name)
        after = self._names.resolve(levels, "after", target_id, name)
        skip = build.setting(levels, "skip_if_current", bool)
        written = self._environment
        environment = Location(region=written.region or "", role_arn=written.role_arn, account=written.account)
        return Target(
            id=target_id,
            application=name,
            deployment_group=group,
            application_name=application.application_name or name,
            deployment_group_name=build.setting(levels, "deployment_group_name", str) or group,
            location=build.location(levels, environment, default_region),
            source=revisions.of(levels),
            settings=build.deployment_settings(levels),
            needs=needs,
            after=tuple(one for one in after if one not in needs) if after else (),
            labels=build.labels(levels),
            pool=build.setting(levels, "pool", str),
            timeout=build.setting(levels, "timeout", float),
            skip_if_current=True if skip is None else skip,
            priority=build.setting(levels, "priority", int) or 0,
            retry=build.retry(levels),
            controls=controls_of_target(levels, self._gates, self._environments.names(name, group)),
        )

    def _controls_of_run(self) -> Controls:
        policy, node = self._manifest.policy, self._root.items.get("policy")
        self._check_level(Level(node, ("policy",), {"gates": policy.gates}))
        names = {"environment": self._context.environment, "release": self._environments.release}
        return controls_of_run(policy.gates, policy.hooks, self._gates, names)

    # --- checks ------------------------------------------------------------------------------------------------------

    def _check_level(self, found: Level) -> None:
        if not found.values:
            return
        pool, gates = found.values.get("pool"), found.values.get("gates")
        pools = descend(self._root, ("concurrency", "pools"))
        if isinstance(pool, str) and not (isinstance(pools, Map) and pool in pools.items):
            known = pools.items if isinstance(pools, Map) else ()
            hint = did_you_mean(pool, known) or "declare it in concurrency.pools"
            self._report(found, ("pool",), f"there is no pool {pool!r}", hint)
        if isinstance(gates, GateUse):
            self._check_gates(found, {"before": gates.before, "after": gates.after})

    def _check_gates(self, found: Level, used: Mapping[str, Sequence[str]]) -> None:
        known = self._root.items.get("gates")
        names = known.items if isinstance(known, Map) else {}
        for when, gates in used.items():
            for index, gate in enumerate(gates):
                if gate not in names:
                    hint = did_you_mean(gate, names) or "declare it in gates"
                    self._report(found, ("gates", when, index), f"there is no gate {gate!r}", hint)

    def _report(self, found: Level, path: Place, message: str, hint: str) -> None:
        node = descend(found.node, path)
        if node is not None:
            self._problems.add(node, (*found.place, *path), message, hint)

    def _check_regions(self, targets: Sequence[Target]) -> None:
        own = descend(self._root, ("environments", self._context.environment, "region"))
        for target in targets:
            levels = self._origins[target.id].levels
            if not target.location.region and own is None and not build.is_written(levels, "region"):
                place: Place = ("environments", self._context.environment)
                node = descend(self._root, place) or self._root.items["applications"]
                hint = "set region: in the environment or the defaults, or AWS_REGION"
                if node is self._root.items["applications"]:
                    node, place = self._root.keys["applications"], ()
                self._problems.add(node, place, "no region is set", hint)
                return

    def _check_accounts(self, targets: Sequence[Target]) -> None:
        """A role says in its name which account it is of."""
        told: set[Location] = set()
        for target in targets:
            here = target.location
            if here.account is None or here.role_arn is None or here in told:
                continue
            if (found := here.role_arn.split(":")[4]) != here.account:
                told.add(here)
                origin = self._origins[target.id]
                message = f"is to be in the account {here.account}, and its role {here.role_arn} is of {found}"
                self._problems.add(origin.key, origin.place, message, "correct account: or role_arn:")

    def _check_duplicates(self, targets: Sequence[Target]) -> None:
        seen: dict[tuple[str, str, Location], Target] = {}
        for target in targets:
            if self._is_guessed(target):
                continue
            first = seen.setdefault((target.application_name, target.deployment_group_name, target.location), target)
            if first is not target:
                origin, other = self._origins[target.id], self._origins[first.id].key
                self._problems.add(
                    origin.key,
                    origin.place,
                    f"{target.id} and {first.id} ({other.file}:{other.line}:{other.column}) are one deployment group "
                    f"at AWS: {target.application_name}/{target.deployment_group_name} in {target.location}",
                    "take one away, or give it another name, region or role",
                )

    def _is_guessed(self, target: Target) -> bool:
        """Whether a part of its address is written but wrong, so that the target's isn't what was meant."""
        levels = self._origins[target.id].levels
        parts = ("deployment_group_name", "region", "role_arn")
        wrong = any(build.setting(levels, part, str) is None and build.is_written(levels, part) for part in parts)
        name = child(levels[1].node, "application_name")
        named = self._manifest.applications[target.application].application_name
        return wrong or (name is not None and named is None)

    def _check_environments(self) -> None:
        for name, environment in self._manifest.environments.items():
            before = None if environment is None else environment.promote_from
            place = ("environments", name, "promote_from")
            node = descend(self._root, place)
            if before is None or node is None:
                continue
            if before == name:
                self._problems.add(node, place, "an environment can't be promoted from itself")
            elif before not in self._manifest.environments:
                known = self._manifest.environments
                hint = did_you_mean(before, known) or f"there are {', '.join(known)}"
                self._problems.add(node, place, f"there is no environment {before!r}", hint)

    def _state(self) -> str | None:
        state = self._manifest.state
        if state is None or "://" in state:
            return state
        node = self._root.items["state"]
        return str(build.absolute(state, node.file))


def group_names(root: Map, manifest: Manifest) -> Mapping[str, Sequence[str]]:
    """The groups of all applications, also of those that are not valid, so that their names are not unknown."""
    names: dict[str, list[str]] = {}
    nodes = root.items.get("applications")
    for name, node in nodes.items.items() if isinstance(nodes, Map) else ():
        application = manifest.applications.get(name)
        if application is not None:
            names[name] = list(application.deployment_groups)
            continue
        groups = child(node, "deployment_groups")
        match groups:
            case Map():
                names[name] = list(groups.items)
            case NodeList():
                names[name] = [item.text for item in groups.items if isinstance(item, Scalar)]
            case _:
                names[name] = ["?"]
    return names


def environment_settings(name: str, environment: Environment) -> EnvironmentSettings:
    return EnvironmentSettings(
        name=name,
        region=environment.region,
        role_arn=environment.role_arn,
        account=environment.account,
        promote_from=environment.promote_from,
        soak=environment.soak,
        freeze=tuple(
            FreezeWindow(rrule=one.rrule, start=one.start, end=one.end, tz=one.tz) for one in environment.freeze
        ),
    )
