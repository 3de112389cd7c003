"""A manifest written from what stands in accounts: the other way round than everything else here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import cast

from orchestrator.core.model import AppSpecRevision, GitHubRevision, Location, Revision, S3Revision
from orchestrator.manifest.fields import NAME
from orchestrator.manifest.target_models import BUNDLE_TYPES
from orchestrator.manifest.yaml_text import block, comment, escaped, filled, flow, quoted, scalar

APPSPECS = "appspecs"
"""The folder beside the manifest for the AppSpecs of ECS and Lambda."""

LONGEST_NAME = 100
CONFIG = "deployment_config"


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldGroup:
    """A deployment group as it stands, with the revision that it runs."""

    location: Location
    account: str
    """Empty: nobody could say."""
    application_name: str
    name: str
    revision: Revision
    deployment_config: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    remark: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """What can't be carried over."""

    location: Location
    name: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    text: str
    files: Mapping[str, str]
    """AppSpecs by their paths, relative to the manifest."""
    applications: int
    groups: int
    left_out: Sequence[LeftOut]


Row = tuple[HeldGroup, ...]
"""A group: as it stands in each environment; where there are no environments, as it stands."""


def unfit(name: str) -> str | None:
    """Why a name of AWS's can't stand in a manifest; None: it can."""
    return None if NAME.match(name) else "its name can't stand in a manifest"


def draft(held: Sequence[HeldGroup], left_out: Sequence[LeftOut]) -> Draft:
    """Without environments: all accounts and regions beside each other. `held`: at least one, in its order."""
    return _Writer(()).draft([(group,) for group in held], left_out)


def draft_environments(
    held: Mapping[str, Sequence[HeldGroup]], left_out: Sequence[LeftOut]
) -> Draft | Sequence[LeftOut]:
    """`held`: by environment. What isn't in all of them is left out; only that, where nothing is left."""
    rows, odd = _in_all(held)
    missing = [*left_out, *odd]
    return _Writer(tuple(held)).draft(rows, missing) if rows else missing


def _in_all(held: Mapping[str, Sequence[HeldGroup]]) -> tuple[list[Row], list[LeftOut]]:
    by_name = {env: {(each.application_name, each.name): each for each in groups} for env, groups in held.items()}
    rows: list[Row] = []
    odd = []
    for name in sorted({name for groups in by_name.values() for name in groups}):
        found = [groups[name] for groups in by_name.values() if name in groups]
        lacking = [env for env, groups in by_name.items() if name not in groups]
        kinds = {type(each.revision) for each in found}
        why = f"it isn't in every environment: not in {', '.join(lacking)}" if lacking else None
        if why is None and len(kinds) > 1:
            why = "its revisions are of different kinds from environment to environment"
        if why is None:
            rows.append(tuple(found))
        else:
            odd.append(LeftOut(location=found[0].location, name="/".join(name), why=why))
    return rows, odd


@dataclass(kw_only=True, slots=True)
class _Entry:
    """An application of the manifest: groups of one application at AWS that run one revision."""

    key: str
    rows: list[Row]

    @property
    def first(self) -> HeldGroup:
        return self.rows[0][0]

    @property
    def revisions(self) -> tuple[Revision, ...]:
        return tuple(group.revision for group in self.rows[0])


class _Writer:
    """Writes one manifest. What differs between environments becomes variables of theirs."""

    def __init__(self, environments: tuple[str, ...]) -> None:
        """Empty: there are none."""
        self._environments = environments
        self._variables: dict[str, tuple[str, ...]] = {}
        self._files: dict[str, str] = {}

    def draft(self, rows: Sequence[Row], left_out: Sequence[LeftOut]) -> Draft:
        entries = _entries(rows)
        shared = self._shared(rows)
        applications = [line for entry in entries for line in self._application(entry, shared)]
        places = self._places(rows[0])  # last, when all variables are known
        defaults = block("defaults", {name: scalar(value) for name, value in shared.items()}, 0)
        lines = [*_head(rows), "version: 1", *places, *defaults, "applications:", *applications]
        return Draft(
            text="\n".join([*lines, *_foot(left_out)]) + "\n",
            files=self._files,
            applications=len(entries),
            groups=sum(len(row) for row in rows),
            left_out=left_out,
        )

    def _shared(self, rows: Sequence[Row]) -> dict[str, str]:
        """The defaults: the place, where all are there; and the configuration of most, where each has one."""
        places = [_place(row[0]) for row in rows]
        shared = {name: value for name, value in places[0].items() if all(each.get(name) == value for each in places)}
        configs = Counter(group.deployment_config for row in rows for group in row)
        shared = {} if self._environments else shared
        if None not in configs:
            most = max(configs.values())
            shared[CONFIG] = min(str(name) for name, count in configs.items() if count == most)
        return shared

    def _places(self, row: Row) -> list[str]:
        lines = ["environments:"] if self._environments else []
        for number, environment in enumerate(self._environments):
            lines += block(quoted(environment), {name: scalar(value) for name, value in _place(row[number]).items()}, 2)
            values = {name: scalar(values[number]) for name, values in self._variables.items()}
            lines += block("vars", values, 4)
        return lines

    def _application(self, entry: _Entry, shared: Mapping[str, str]) -> list[str]:
        first = entry.first
        place = {} if self._environments else _place(first)
        settings = {name: value for name, value in place.items() if shared.get(name) != value}
        if first.application_name != entry.key:
            settings = {"application_name": first.application_name, **settings}
        lines = [f"  {quoted(entry.key)}:", *(f"    {name}: {scalar(value)}" for name, value in settings.items())]
        configs = {_configs(row) for row in entry.rows}
        of_all = configs.pop() if len(configs) == 1 else None
        lines += self._config(of_all, f"{entry.key}-config", shared, 4)
        common = _common(group.labels for row in entry.rows for group in row)
        lines += block("labels", {name: scalar(value) for name, value in common.items()}, 4)
        lines += ["    revision:", *self._revision(entry)]
        own = {}
        for row in entry.rows:
            name = row[0].name
            alone = self._config(_configs(row), f"{entry.key}-{name}-config", shared, 8) if of_all is None else []
            labels = {key: value for key, value in _common(group.labels for group in row).items() if key not in common}
            own[name] = [*alone, *block("labels", {key: scalar(value) for key, value in labels.items()}, 8)]
        return [*lines, *_groups(own, {row[0].name: self._remark(row) for row in entry.rows})]

    def _config(
        self, configs: Sequence[str | None] | None, hint: str, shared: Mapping[str, str], indent: int
    ) -> list[str]:
        """Nothing where the defaults say it, or nobody does."""
        if configs is None or set(configs) == {shared.get(CONFIG)}:
            return []
        said = self._said(configs, hint)
        return [] if said is None else [f"{' ' * indent}{CONFIG}: {said}"]

    def _remark(self, row: Row) -> str:
        if not self._environments:
            return row[0].remark
        told = zip(self._environments, row, strict=True)
        return "; ".join(f"in {environment} {group.remark}" for environment, group in told if group.remark)

    # --- revisions ---------------------------------------------------------------------------------------------------

    def _revision(self, entry: _Entry) -> list[str]:
        """All of one kind."""
        revisions = entry.revisions
        match revisions[0]:
            case GitHubRevision():
                commits = cast("tuple[GitHubRevision, ...]", revisions)
                values = {"repository": [each.repository for each in commits]}
                return self._of_values("github", entry.key, {**values, "commit": [each.commit_id for each in commits]})
            case S3Revision():
                objects = cast("tuple[S3Revision, ...]", revisions)
                return self._of_values("s3", entry.key, _of_objects(objects))
            case AppSpecRevision():
                path = self._appspec(entry.key, cast("tuple[AppSpecRevision, ...]", revisions))
                return [f"      appspec: {quoted(path)}"]

    def _of_values(self, kind: str, key: str, values: Mapping[str, Sequence[str | None]]) -> list[str]:
        said = {name: self._said(each, f"{key}-{name}") for name, each in values.items()}
        return flow(kind, {name: value for name, value in said.items() if value is not None}, 6)

    def _appspec(self, key: str, appspecs: Sequence[AppSpecRevision]) -> str:
        """The path, which may hold `${environment}`."""
        ending = "json" if all(each.content.lstrip().startswith("{") for each in appspecs) else "yaml"
        if len({each.sha256 for each in appspecs}) == 1:
            path = str(PurePosixPath(APPSPECS, f"{key}.{ending}"))
            self._files[path] = escaped(appspecs[0].content)
            return path
        for environment, each in zip(self._environments, appspecs, strict=True):
            self._files[str(PurePosixPath(APPSPECS, environment, f"{key}.{ending}"))] = escaped(each.content)
        return str(PurePosixPath(APPSPECS, "${environment}", f"{key}.{ending}"))

    def _said(self, values: Sequence[str | None], hint: str) -> str | None:
        """A value as it is to stand: the value, or a variable for those of the environments. None: some have none."""
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return None
        if len(set(known)) == 1:
            return scalar(known[0])
        name = _unused(_variable(hint), f"{_variable(hint)}-2", self._variables)
        self._variables[name] = tuple(known)
        return f'"${{vars.{name}}}"'


def _variable(hint: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_-]", "-", hint)[:LONGEST_NAME]
    return name if re.match(r"[A-Za-z_]", name) else f"_{name}"[:LONGEST_NAME]


def _of_objects(objects: Sequence[S3Revision]) -> dict[str, Sequence[str | None]]:
    by_name = [
        next((kind for end, kind in BUNDLE_TYPES.items() if each.key.lower().endswith(end)), None) for each in objects
    ]
    types = [each.bundle_type for each in objects]
    values: dict[str, Sequence[str | None]] = {
        "bucket": [each.bucket for each in objects],
        "key": [each.key for each in objects],
        "version": [each.version for each in objects],
        "etag": [each.etag for each in objects],
    }
    return values if by_name == types else {**values, "bundle_type": types}


# --- which applications there are ------------------------------------------------------------------------------------


def _entries(rows: Sequence[Row]) -> list[_Entry]:
    """One for each application and revision: a manifest's application has one. The revision of most has the name."""
    together: dict[tuple[Location, str], dict[tuple[Revision, ...], list[Row]]] = {}
    for row in rows:
        first = row[0]
        by_revision = together.setdefault((first.location, first.application_name), {})
        by_revision.setdefault(tuple(group.revision for group in row), []).append(row)
    taken: set[str] = set()
    entries = []
    for (location, name), found in together.items():
        base = _unused(name, f"{name}@{location.region}", taken)
        for number, own in enumerate(sorted(found.values(), key=lambda rows: -len(rows))):
            key = base if number == 0 else _unused(f"{base}@{own[0][0].name}", f"{base}@{number + 1}", taken)
            taken.add(key)
            entries.append(_Entry(key=key, rows=own))
    return entries


def _unused(wanted: str, otherwise: str, taken: Iterable[str]) -> str:
    for name in (wanted, otherwise):
        if name not in taken and len(name) <= LONGEST_NAME:
            return name
    number = 2
    while (name := f"{otherwise[: LONGEST_NAME - 6]}-{number}") in taken:
        number += 1
    return name


def _configs(row: Row) -> tuple[str | None, ...]:
    return tuple(group.deployment_config for group in row)


def _place(group: HeldGroup) -> dict[str, str]:
    found = {"region": group.location.region, "role_arn": group.location.role_arn, "account": group.account}
    return {name: value for name, value in found.items() if value}


def _common(labels: Iterable[Mapping[str, str]]) -> dict[str, str]:
    first, *others = labels
    return {name: value for name, value in sorted(first.items()) if all(each.get(name) == value for each in others)}


def _groups(own: Mapping[str, Sequence[str]], remarks: Mapping[str, str]) -> list[str]:
    if not any(own.values()) and not any(remarks.values()):
        return filled("    deployment_groups: ", [quoted(name) for name in own])
    lines = ["    deployment_groups:"]
    for name, settings in own.items():
        remark = f"  # {comment(remarks[name])}" if remarks[name] else ""
        lines += [f"      {quoted(name)}:{remark}", *settings]
    return lines


# --- around it -------------------------------------------------------------------------------------------------------


def _head(rows: Sequence[Row]) -> list[str]:
    places = dict.fromkeys(_where(group) for row in rows for group in row)
    return [
        "# What `orchestrator import` found in " + "; ".join(comment(place) for place in places) + ".",
        "# It deploys what stands there already, so `orchestrator plan` says unchanged. Put in sources of your own,",
        "# and needs: CodeDeploy knows no order. Alarms, rollbacks, load balancers and instances are settings of the",
        "# groups themselves, and hold as they are.",
    ]


def _where(group: HeldGroup) -> str:
    return f"account {group.account}, {group.location.region}" if group.account else str(group.location)


def _foot(left_out: Sequence[LeftOut]) -> Iterable[str]:
    if left_out:
        yield ""
        yield "# Left out:"
    for each in left_out:
        yield f"#   {comment(each.name)} ({each.location.region}): {comment(each.why)}"
