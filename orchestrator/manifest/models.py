"""The manifest as a whole. Its JSON Schema comes from these models, so each description is documentation."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from orchestrator.manifest.fields import (
    TEMPLATED,
    AccountId,
    Count,
    Duration,
    Failures,
    Line,
    Name,
    NameKey,
    Region,
    Role,
    Schema,
    Text,
    check_bucket,
    mistake,
)
from orchestrator.manifest.freezes import parse_rule
from orchestrator.manifest.gate_models import Gate, GateUse, HookUse, Strict
from orchestrator.manifest.notification_models import Notification
from orchestrator.manifest.target_models import Revision, Settings

CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?\Z", re.ASCII)
RULE = re.compile(r"(?:[A-Z-]+=[^;=]+;)*FREQ=(?:DAILY|WEEKLY|MONTHLY|YEARLY)(?:;[A-Z-]+=[^;=]+)*;?\Z")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}\Z")


# --- environments ----------------------------------------------------------------------------------------------------


def check_clock(value: str) -> str:
    if not CLOCK.match(value):
        raise mistake(f"{value!r} is not a time of day", "write HH:MM, from 00:00 to 23:59")
    return value


def check_rule(value: str) -> str:
    if not RULE.match(value):
        raise mistake(f"{value!r} is not a recurrence rule", 'such as "FREQ=WEEKLY;BYDAY=FR" (RFC 5545)')
    try:
        parse_rule(value)
    except ValueError as error:
        raise mistake(f"{value!r} is not a recurrence rule: {error}", "see RFC 5545, section 3.3.10") from None
    return value


def check_zone(value: str) -> str:
    import zoneinfo  # noqa: PLC0415 -- only manifests with freeze windows pay for it

    try:
        zoneinfo.ZoneInfo("Etc/UTC")
    except zoneinfo.ZoneInfoNotFoundError:
        return value  # this machine has no time zone database to check against
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise mistake(f"{value!r} is not a time zone", "use a name such as Europe/Berlin or UTC") from None
    return value


def check_variables(value: Any) -> Any:
    if isinstance(value, dict):
        for name, content in value.items():
            if isinstance(name, str) and not VARIABLE.match(name):
                raise mistake(f"{name!r} is not a variable's name", "letters, digits, _ and -", at=name)
            if isinstance(content, dict | list):
                raise mistake("a variable is one value, not a list or a mapping", at=name)
    return value


Variables = Annotated[
    dict[str, Any],
    BeforeValidator(check_variables),
    Schema({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}),
]


class Freeze(Strict):
    """A recurring time in which nothing is deployed."""

    rrule: Annotated[Text, AfterValidator(check_rule)] = Field(description="The days, as an RFC 5545 rule.")
    start: Annotated[str, AfterValidator(check_clock)] = Field(description="The beginning on such a day, HH:MM.")
    end: Annotated[str, AfterValidator(check_clock)] = Field(
        description="The end, HH:MM; 23:59 is midnight, and what isn't after the start is on the next day."
    )
    tz: Annotated[str, AfterValidator(check_zone)] = Field(
        default="UTC", description="The time zone, such as Europe/Berlin."
    )


class Environment(Strict):
    """An account and a region with their role and variables."""

    region: Region | None = Field(default=None, description="The region; the SDK's own when left out.")
    role_arn: Role | None = Field(default=None, description="The role to take on; none when left out.")
    account: AccountId | None = Field(
        default=None, description="The id of the account that this must be: nothing is done in another one."
    )
    vars: Variables = Field(default_factory=dict, description="Variables, in place of the manifest's of the same name.")
    promote_from: Name | None = Field(
        default=None, description="Only digests that succeeded in that environment are deployed to this one."
    )
    soak: Duration | None = Field(default=None, description="How long they must have run there.")
    freeze: list[Freeze] = Field(default_factory=list, description="Times in which nothing is deployed.")


# --- the run ---------------------------------------------------------------------------------------------------------


class ConcurrencySettings(Strict):
    """How much may happen at once."""

    deployments: Count | None = Field(default=None, description="Deployments in the whole run; no limit when left out.")
    uploads: Count = Field(default=8, description="Archives that are packed and uploaded.")
    per_region: Count | None = Field(
        default=None, description="Deployments in one account and region; no limit when left out."
    )
    pools: dict[NameKey, Count] = Field(
        default_factory=dict, description="Named pools: deployments of the targets in it."
    )


class PolicySettings(Strict):
    """What failures and busy groups do to the run."""

    on_failure: Annotated[Literal["stop", "continue"], TEMPLATED] = Field(
        default="stop",
        description="stop: nothing new is started; continue: what doesn't need the failed target goes on.",
    )
    max_failures: Failures | None = Field(
        default=None, description="The run stops after so many failed targets: a count, or a share such as 25%."
    )
    rollback: Annotated[Literal["none", "target", "release"], TEMPLATED] = Field(
        default="none",
        description="After a failure: nothing, the failed target, or all that the run changed, goes back.",
    )
    if_active: Annotated[Literal["wait", "fail", "stop"], TEMPLATED] = Field(
        default="wait", description="A group has a deployment in progress: wait for it, fail the target, or stop it."
    )
    gates: GateUse | None = Field(default=None, description="Gates before and after the whole run.")
    hooks: HookUse | None = Field(default=None, description="Commands before and after the whole run.")


# --- applications ----------------------------------------------------------------------------------------------------


def shape_of_groups(value: Any) -> str:
    """The tags can't be taken for keys: no name holds a `<`."""
    return "<list>" if isinstance(value, list) else "<mapping>"


def check_groups(value: Any) -> Any:
    if not isinstance(value, dict | list):
        hint = f"write [{value}]" if isinstance(value, str) else None
        raise mistake("must be a list of names, or a mapping from names to settings", hint)
    return value


Groups = Annotated[
    Annotated[list[Name], Tag("<list>"), Field(min_length=1)]
    | Annotated[dict[NameKey, Settings | None], Tag("<mapping>"), Field(min_length=1)],
    Discriminator(shape_of_groups),
    BeforeValidator(check_groups),
]


class Application(Settings):
    """An application, its revision and its deployment groups. Its settings hold for all its groups."""

    application_name: Name | None = Field(
        default=None, description="The application's name at AWS; its key when left out."
    )
    revision: Revision = Field(description="What is deployed.")
    deployment_groups: Groups = Field(
        description="Its deployment groups: a list of names, or a mapping from names to settings."
    )


def check_state(value: str) -> str:
    scheme, separator, rest = value.partition("://")
    if not separator:
        return value
    if scheme != "s3":
        raise mistake(f"{scheme}:// can't hold the state", "s3://bucket/prefix, or the path of a folder")
    check_bucket(rest.partition("/")[0])
    return value


class Manifest(Strict):
    """A release: which revisions go to which CodeDeploy deployment groups, in which order."""

    version: Annotated[Literal[1], Schema({"const": 1})] = Field(default=1, description="The version of this format.")
    release: Line | None = Field(default=None, description="The release's name; the file's name when left out.")
    vars: Variables = Field(
        default_factory=dict, description="Variables for ${vars.name}; --var sets them from outside."
    )
    state: Annotated[Text, AfterValidator(check_state)] | None = Field(
        default=None,
        description="Where runs are recorded: s3://bucket/prefix or a folder; .orchestrator/ when left out.",
    )
    environments: dict[NameKey, Environment | None] = Field(
        default_factory=dict, description="Accounts and regions that the release can go to; chosen with -e."
    )
    concurrency: ConcurrencySettings = Field(
        default_factory=ConcurrencySettings, description="How much may happen at once."
    )
    policy: PolicySettings = Field(
        default_factory=PolicySettings, description="What failures and busy groups do to the run."
    )
    gates: dict[NameKey, Gate] = Field(default_factory=dict, description="Gates, by their names.")
    notifications: dict[NameKey, Notification] = Field(
        default_factory=dict, description="Who is told how a run goes, by their names."
    )
    defaults: Settings = Field(default_factory=Settings, description="Settings of all targets.")
    include: list[Text] = Field(
        default_factory=list, description="More files with applications and gates, relative to this one."
    )
    applications: dict[NameKey, Application] = Field(min_length=1, description="Applications, by their keys.")
