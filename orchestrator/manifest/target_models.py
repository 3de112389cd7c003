"""What a target can be told, and where its revision comes from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from orchestrator.manifest.fields import (
    TEMPLATED,
    AccountId,
    Boolean,
    Bucket,
    Description,
    Duration,
    Name,
    PositiveDuration,
    Region,
    Role,
    Text,
    mistake,
)
from orchestrator.manifest.gate_models import GateUse, HookUse, Strict
from orchestrator.manifest.object_models import StoredObject

RollbackEvent = Annotated[
    Literal["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"], TEMPLATED
]
BUNDLE_TYPES: dict[str, Literal["tgz", "tar", "zip", "YAML", "JSON"]] = {
    ".tgz": "tgz",
    ".tar.gz": "tgz",
    ".tar": "tar",
    ".zip": "zip",
    ".yaml": "YAML",
    ".yml": "YAML",
    ".json": "JSON",
}


# --- revisions -------------------------------------------------------------------------------------------------------


def check_repository(value: str) -> str:
    owner, slash, name = value.partition("/")
    if not (owner and slash and name) or "/" in name or ":" in value or any(part.isspace() for part in value):
        raise mistake(f"{value!r} is not a repository", "write owner/name, without https:// and github.com")
    return value


def check_commit(value: str) -> str:
    if not value or len(value) > 255 or any(letter.isspace() for letter in value):
        raise mistake(f"{value!r} is not a commit")
    return value


class GitHub(Strict):
    """A commit on GitHub; the group must be connected to GitHub at AWS."""

    repository: Annotated[str, AfterValidator(check_repository)] = Field(description="owner/name.")
    commit: Annotated[str, AfterValidator(check_commit)] = Field(description="The commit's SHA.")


class S3Object(Strict):
    """An object that is in S3 already."""

    bucket: Bucket = Field(description="The bucket's name.")
    key: Text = Field(description="The object's key.")
    version: Text | None = Field(default=None, description="The object's version; the newest when left out.")
    etag: Text | None = Field(
        default=None, description="The object's ETag; CodeDeploy refuses an object with another one."
    )
    bundle_type: Annotated[Literal["tgz", "tar", "zip", "YAML", "JSON"], TEMPLATED] | None = Field(
        default=None, description="What the object is; found by the key's ending when left out."
    )

    @model_validator(mode="after")
    def type_is_known(self) -> S3Object:
        if self.bundle_type is None and self.found_type() is None:
            raise mistake(
                f"the key {self.key!r} doesn't tell what the object is",
                "add bundle_type: tgz, tar, zip, YAML or JSON",
                at="key",
            )
        return self

    def found_type(self) -> Literal["tgz", "tar", "zip", "YAML", "JSON"] | None:
        key = self.key.lower()
        return self.bundle_type or next((kind for end, kind in BUNDLE_TYPES.items() if key.endswith(end)), None)


KINDS = ("source", "github", "s3", "appspec")
OF_SOURCES = ("format", "ignore", "include_vcs", "ignore_hidden", "symlinks", "compression", "key")


class Revision(Strict):
    """What is deployed: exactly one of source, github, s3 and appspec."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [kind]} for kind in KINDS]})

    source: Text | None = Field(
        default=None, description="A folder with an appspec.yml, or a ready .zip, .tar or .tgz; relative to this file."
    )
    github: GitHub | None = Field(default=None, description="A commit on GitHub.")
    s3: S3Object | None = Field(default=None, description="An object that is in S3 already.")
    appspec: Text | None = Field(
        default=None, description="ECS and Lambda: the AppSpec file itself; relative to this file."
    )
    format: Annotated[Literal["tgz", "tar", "zip"], TEMPLATED] | None = Field(
        default=None,
        description="The archive made of a source folder: tgz unless its AppSpec says os: windows, then zip.",
    )
    ignore: list[Text] = Field(
        default_factory=list, description="Patterns, as in .gitignore, of what stays out of a source folder's archive."
    )
    include_vcs: Boolean = Field(
        default=False, description="Whether .git, .hg, .svn and .bzr of a source folder go into its archive."
    )
    ignore_hidden: Boolean = Field(
        default=False, description="Whether names that start with a dot stay out of a source folder's archive."
    )
    symlinks: Annotated[Literal["preserve", "follow", "error"], TEMPLATED] = Field(
        default="preserve",
        description="Of a source folder: links stay links, become what they lead to, or are mistakes.",
    )
    compression: Annotated[Literal["fast", "small"], TEMPLATED] = Field(
        default="fast", description="Of a source folder's archive: quick to pack, or a few per cent smaller."
    )
    key: Text | None = Field(
        default=None,
        description="The key of a source's archive in the bucket; may also use ${digest} and ${format}. "
        "<prefix>/<application>/<digest>.<format> when left out.",
    )

    @model_validator(mode="after")
    def exactly_one(self) -> Revision:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if not given:
            raise mistake("says nothing to deploy", "give one of source, github, s3 and appspec")
        if len(given) > 1:
            raise mistake(f"has {' and '.join(given)}, but only one can be deployed", at=given[1])
        if self.source is None:
            for setting in OF_SOURCES:
                if setting in self.model_fields_set:
                    raise mistake(f"means nothing beside {given[0]}", "it is about the archive of a source", at=setting)
        return self


# --- settings --------------------------------------------------------------------------------------------------------


def no_events(value: Any) -> Any:
    if value is False:
        return []
    if value is True:
        raise mistake("on which events?", "a list, such as [DEPLOYMENT_FAILURE], or false")
    return value


def as_alarms(value: Any) -> Any:
    if value is False:
        return {"enabled": False}
    return {"names": value} if isinstance(value, list) else value


class Alarms(Strict):
    """CloudWatch alarms that stop a deployment, in place of the group's own."""

    enabled: Boolean = Field(default=True, description="false: no alarm stops the deployment.")
    ignore_poll_alarm_failure: Boolean = Field(
        default=False, description="true: the deployment goes on when CodeDeploy can't read the alarms' states."
    )
    names: list[Text] = Field(default_factory=list, description="The alarms' names.")

    @model_validator(mode="after")
    def names_something(self) -> Alarms:
        if self.enabled and "enabled" in self.model_fields_set and not self.names:
            raise mistake("no alarms are named", "add names: […], or write alarms: false", at="enabled")
        return self

    def to_api(self) -> dict[str, Any]:
        return {
            "enabled": self.enabled and bool(self.names),
            "ignorePollAlarmFailure": self.ignore_poll_alarm_failure,
            "alarms": [{"name": name} for name in self.names],
        }


class TagFilter(Strict):
    """Instances with a tag: with this key, this value, or both."""

    key: Text | None = Field(default=None, description="The tag's key.")
    value: str | None = Field(default=None, description="The tag's value.")
    type: Annotated[Literal["KEY_ONLY", "VALUE_ONLY", "KEY_AND_VALUE"], TEMPLATED] | None = Field(
        default=None, description="What must match; found by which of key and value are given when left out."
    )

    @model_validator(mode="after")
    def matches_something(self) -> TagFilter:
        if self.key is None and self.value is None:
            raise mistake("a tag filter needs a key, a value or both")
        needed = {"KEY_ONLY": ("key",), "VALUE_ONLY": ("value",), "KEY_AND_VALUE": ("key", "value")}
        for name in needed.get(self.type or "", ()):
            if getattr(self, name) is None:
                raise mistake(f"{self.type} needs a {name}", at="type")
        return self

    def to_api(self) -> dict[str, str]:
        found = "KEY_ONLY" if self.value is None else "VALUE_ONLY" if self.key is None else "KEY_AND_VALUE"
        given = {"Key": self.key, "Value": self.value, "Type": self.type or found}
        return {name: value for name, value in given.items() if value is not None}


class TargetInstances(Strict):
    """Blue/green on EC2: the instances of the replacement environment."""

    tag_filters: list[TagFilter] = Field(default_factory=list, description="Instances that match any of these filters.")
    auto_scaling_groups: list[Text] = Field(default_factory=list, description="Instances of these Auto Scaling groups.")
    ec2_tag_set: list[list[TagFilter]] = Field(
        default_factory=list, description="Groups of filters: instances that match a filter of every group."
    )

    @model_validator(mode="after")
    def one_kind_of_tags(self) -> TargetInstances:
        if self.tag_filters and self.ec2_tag_set:
            raise mistake("tag_filters and ec2_tag_set can't be used together", at="ec2_tag_set")
        if not (self.tag_filters or self.ec2_tag_set or self.auto_scaling_groups):
            raise mistake("names no instances", "give tag_filters, ec2_tag_set or auto_scaling_groups")
        return self

    def to_api(self) -> dict[str, Any]:
        api: dict[str, Any] = {}
        if self.tag_filters:
            api["tagFilters"] = [one.to_api() for one in self.tag_filters]
        if self.auto_scaling_groups:
            api["autoScalingGroups"] = list(self.auto_scaling_groups)
        if self.ec2_tag_set:
            api["ec2TagSet"] = {"ec2TagSetList": [[one.to_api() for one in group] for group in self.ec2_tag_set]}
        return api


def as_retry(value: Any) -> Any:
    return {"times": value} if isinstance(value, int) and not isinstance(value, bool) else value


class RetrySettings(Strict):
    """Further attempts at a deployment that has failed for a reason of the machines or of AWS."""

    times: Annotated[int, TEMPLATED] = Field(ge=0, le=10, description="How many, at most.")
    wait: Duration = Field(default=30.0, description="How long before each.", json_schema_extra={"default": "30s"})


Priority = Annotated[int, Field(ge=-1000, le=1000), TEMPLATED]
RetrySetting = Annotated[
    RetrySettings, BeforeValidator(as_retry, json_schema_input_type=Annotated[int, Field(ge=0, le=10)] | RetrySettings)
]
FileBehavior = Annotated[Literal["DISALLOW", "OVERWRITE", "RETAIN"], TEMPLATED]
WaitFor = Annotated[Literal["succeeded", "ready", "traffic_shifted"], TEMPLATED]
OnReady = Annotated[Literal["wait", "continue"], TEMPLATED]
RollbackEvents = Annotated[
    list[RollbackEvent],
    BeforeValidator(no_events, json_schema_input_type=list[RollbackEvent] | Literal[False]),
]
AlarmSetting = Annotated[
    Alarms, BeforeValidator(as_alarms, json_schema_input_type=list[Text] | Alarms | Literal[False])
]


class Settings(StoredObject):
    """Settings of targets: a group's replace those of its application, and these the defaults.

    `needs`, `after`, `labels`, `gates` and `hooks` add up instead.
    """

    bucket: Bucket | None = Field(default=None, description="The bucket for the archives of sources.")
    prefix: str | None = Field(default=None, description="The folder in the bucket.")
    region: Region | None = Field(default=None, description="The region, in place of the environment's.")
    role_arn: Role | None = Field(default=None, description="The role to take on, in place of the environment's.")
    account: AccountId | None = Field(
        default=None, description="The id of the account that it must be in, in place of the environment's."
    )
    deployment_group_name: Name | None = Field(
        default=None, description="The group's name at AWS; its key when left out."
    )
    deployment_config: Name | None = Field(
        default=None,
        description="The deployment configuration, such as CodeDeployDefault.OneAtATime; the group's when left out.",
    )
    description: Description | None = Field(
        default=None,
        description="A comment on the deployment, at most 200 characters (we need the rest of CodeDeploy's 256).",
    )
    timeout: PositiveDuration | None = Field(
        default=None,
        description="The target fails when its deployment takes longer; found by the group's wait times when left out.",
    )
    auto_rollback: RollbackEvents | None = Field(
        default=None,
        description="When CodeDeploy rolls the deployment back; [] or false: never; the group's when left out.",
    )
    alarms: AlarmSetting | None = Field(
        default=None,
        description="CloudWatch alarms that stop the deployment, or false for none; the group's when left out.",
    )
    file_exists_behavior: FileBehavior | None = Field(
        default=None, description="What happens to files on an instance that the last deployment didn't put there."
    )
    ignore_application_stop_failures: Boolean | None = Field(
        default=None, description="true: an instance goes on when ApplicationStop or a BlockTraffic hook fails on it."
    )
    update_outdated_instances_only: Boolean | None = Field(
        default=None, description="true: only instances that don't run the new revision yet."
    )
    target_instances: TargetInstances | None = Field(
        default=None, description="Blue/green: the instances of the replacement environment."
    )
    needs: list[Text] = Field(
        default_factory=list,
        description="Applications (all their groups) or application/group that must succeed first.",
    )
    after: list[Text] = Field(
        default_factory=list, description="Applications or application/group that must have ended first, however."
    )
    labels: dict[Text, str] = Field(default_factory=dict, description="Labels for --select and --exclude.")
    pool: Name | None = Field(
        default=None, description="The pool of concurrency.pools in which the target takes a place."
    )
    gates: GateUse | None = Field(default=None, description="Gates before and after the deployment.")
    hooks: HookUse | None = Field(default=None, description="Commands around the deployment.")
    bake: Duration | None = Field(default=None, description="How long the target is watched after it has succeeded.")
    wait_for: WaitFor | None = Field(
        default=None,
        description="What dependents wait for: the deployment's end (default), or a blue/green state before it.",
    )
    on_ready: OnReady | None = Field(
        default=None,
        description="Blue/green that is ready to shift its traffic: wait (default) for somebody, or go on.",
    )
    priority: Priority | None = Field(
        default=None, description="Who gets a free place first; higher goes first. 0 when left out."
    )
    retry: RetrySetting | None = Field(
        default=None, description="Further attempts when a deployment fails for a reason that another one may mend."
    )
    skip_if_current: Boolean | None = Field(
        default=None, description="false: deploy even when the group runs the same revision already."
    )
