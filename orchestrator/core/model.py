"""The words of the product as types: targets, revisions, deployments and their states.

Everything here is a frozen value. Nothing here does input or output.
Names that are AWS's own (application, deployment group, revision, deployment) mean exactly what AWS means by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, assert_never

from orchestrator.core.controls import NO_CONTROLS, Controls

BundleFormat = Literal["tgz", "tar", "zip"]
Compression = Literal["fast", "small"]
"""Of a bundle: quick to pack, or as small as deflate usually makes it."""
Symlinks = Literal["preserve", "follow", "error"]
"""What becomes of a symbolic link in a source: it stays one, it becomes what it leads to, or it is a mistake."""
BundleType = Literal["tgz", "tar", "zip", "YAML", "JSON"]

DESCRIPTION_LIMIT = 256
"""Characters that CodeDeploy takes as the description of a deployment (API model)."""

TOKEN_LIMIT = 56
"""Characters of it that the run token may take; the rest is the user's (see `core.token`)."""


class TargetState(StrEnum):
    """Where a target is. The transitions between them are in `core.state`."""

    PENDING = "pending"
    """Waits for its needs, for its bundle or for a free slot."""
    BLOCKED = "blocked"
    """Waits for something outside the run: another deployment in its group, say."""
    UPLOADING = "uploading"
    STARTING = "starting"
    """The intent is in the journal; the deployment's id isn't known yet."""
    RUNNING = "running"
    BAKING = "baking"
    SUCCEEDED = "succeeded"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    STOPPED = "stopped"
    TIMED_OUT = "timed_out"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    ERRORED = "errored"
    """Our fault or AWS's, not the deployment's; what was started may still be running."""

    @property
    def is_final(self) -> bool:
        return self in FINAL_STATES

    @property
    def is_good(self) -> bool:
        """Whether dependents may start."""
        return self in {TargetState.SUCCEEDED, TargetState.UNCHANGED}


FINAL_STATES = frozenset(
    {
        TargetState.SUCCEEDED,
        TargetState.UNCHANGED,
        TargetState.FAILED,
        TargetState.STOPPED,
        TargetState.TIMED_OUT,
        TargetState.SKIPPED,
        TargetState.CANCELLED,
        TargetState.ROLLED_BACK,
        TargetState.ERRORED,
    }
)


class Outcome(StrEnum):
    """How a run ended, or that it hasn't."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    ROLLBACK_FAILED = "rollback_failed"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"
    RUNNING = "running"


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """An account and a region as the manifest names them: one budget, one poller, one set of clients each."""

    region: str
    role_arn: str | None = None
    """The role to take on there; None: the credentials of the SDK's own chain."""
    account: str | None = None
    """The id of the account that it must be, where the manifest says so."""

    def __str__(self) -> str:
        return self.region if self.role_arn is None else f"{self.region} as {self.role_arn}"


# --- revisions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Revision:
    bucket: str
    key: str
    bundle_type: BundleType
    version: str | None = None
    etag: str | None = None
    """Without quotes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GitHubRevision:
    repository: str
    commit_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AppSpecRevision:
    content: str
    sha256: str


Revision = S3Revision | GitHubRevision | AppSpecRevision


def revision_to_api(revision: Revision) -> dict[str, Any]:
    """The revision as CodeDeploy's `RevisionLocation`."""
    match revision:
        case S3Revision():
            location: dict[str, str] = {
                "bucket": revision.bucket,
                "key": revision.key,
                "bundleType": revision.bundle_type,
            }
            if revision.version is not None:
                location["version"] = revision.version
            if revision.etag is not None:
                location["eTag"] = revision.etag
            return {"revisionType": "S3", "s3Location": location}
        case GitHubRevision():
            return {
                "revisionType": "GitHub",
                "gitHubLocation": {"repository": revision.repository, "commitId": revision.commit_id},
            }
        case AppSpecRevision():
            return {
                "revisionType": "AppSpecContent",
                "appSpecContent": {"content": revision.content, "sha256": revision.sha256},
            }
        case _:
            assert_never(revision)


def revision_from_api(data: Mapping[str, Any] | None) -> Revision | None:
    """A `RevisionLocation` as CodeDeploy reports it; None when there is none, or of a type that we don't know."""
    if not data:
        return None
    if s3 := data.get("s3Location"):
        etag = s3.get("eTag")
        return S3Revision(
            bucket=s3.get("bucket", ""),
            key=s3.get("key", ""),
            bundle_type=s3.get("bundleType", "zip"),
            version=s3.get("version"),
            etag=etag.strip('"') if etag else None,  # some answers carry the quotes inside the value
        )
    if github := data.get("gitHubLocation"):
        return GitHubRevision(repository=github.get("repository", ""), commit_id=github.get("commitId", ""))
    if content := data.get("appSpecContent") or data.get("string"):
        return AppSpecRevision(content=content.get("content") or "", sha256=content.get("sha256", ""))
    return None


def describe_revision(revision: Revision | None) -> str:
    """One short phrase for people."""
    match revision:
        case None:
            return "nothing"
        case S3Revision():
            return f"s3://{revision.bucket}/{revision.key}"
        case GitHubRevision():
            return f"github:{revision.repository}@{revision.commit_id[:12]}"
        case AppSpecRevision():
            return f"appspec:{revision.sha256[:12]}"
        case _:
            assert_never(revision)


# --- where revisions come from ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectSettings:
    """How a bundle's object is stored, in S3's own words. None isn't sent: what the bucket says holds."""

    expected_bucket_owner: str | None = None
    """An account's id; S3 refuses every call when the bucket is another's."""
    server_side_encryption: str | None = None
    """AES256, aws:kms or aws:kms:dsse."""
    sse_kms_key_id: str | None = None
    bucket_key_enabled: bool | None = None
    acl: str | None = None
    """A canned ACL."""
    storage_class: str | None = None
    tagging: tuple[tuple[str, str], ...] = ()
    """Keys and values of tags."""


NO_OBJECT_SETTINGS = ObjectSettings()


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleSource:
    """A directory with an `appspec.yml`, or a ready archive, that goes to S3 before it is deployed."""

    path: Path
    """Absolute."""
    bucket: str
    prefix: str
    """Without slashes around it; may be empty."""
    format: BundleFormat | None = None
    """None: `zip` for a Windows AppSpec, else `tgz`. A ready archive keeps its own format."""
    ignore: tuple[str, ...] = ()
    """gitignore patterns."""
    include_vcs: bool = False
    """Whether `.git` and its kind go in."""
    ignore_hidden: bool = False
    """Whether names that start with a dot stay out."""
    symlinks: Symlinks = "preserve"
    compression: Compression = "fast"
    key: str | None = None
    """The object's key, expanded but for `${digest}` and `${format}`; None: the usual, named by the digest."""
    stored: ObjectSettings = NO_OBJECT_SETTINGS


@dataclass(frozen=True, kw_only=True, slots=True)
class PromotedBundle:
    """A bundle that another environment has in its bucket, and that is copied from there."""

    digest: str
    bundle_type: BundleType
    from_bucket: str
    from_key: str
    from_version: str | None
    from_etag: str | None
    from_region: str
    from_role_arn: str | None
    bucket: str
    """Where to."""
    key: str
    stored: ObjectSettings = NO_OBJECT_SETTINGS
    """How it is stored there."""

    @property
    def from_location(self) -> Location:
        return Location(region=self.from_region, role_arn=self.from_role_arn)


RevisionSource = BundleSource | S3Revision | GitHubRevision | AppSpecRevision | PromotedBundle


@dataclass(frozen=True, kw_only=True, slots=True)
class DeploymentSettings:
    """What a target sends with CreateDeployment beside the revision; None is not sent."""

    deployment_config: str | None = None
    description: str = ""
    auto_rollback: tuple[str, ...] | None = None
    """Names of `AutoRollbackEvent`; empty: off for this deployment; None: what the group says."""
    alarms: Mapping[str, Any] | None = None
    """`overrideAlarmConfiguration`, in the API's own shape."""
    file_exists_behavior: str | None = None
    ignore_application_stop_failures: bool | None = None
    update_outdated_instances_only: bool | None = None
    target_instances: Mapping[str, Any] | None = None
    """`targetInstances`, in the API's own shape."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """Further attempts at a deployment that has failed for a reason that another one may mend."""

    times: int = 0
    wait: float = 30.0
    """Seconds before each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One deployment group to deploy to, everything about it resolved."""

    id: str
    """`application/deployment_group`, the keys of the manifest."""
    application: str
    deployment_group: str
    application_name: str
    """The name at AWS."""
    deployment_group_name: str
    """The name at AWS."""
    location: Location
    source: RevisionSource
    settings: DeploymentSettings = field(default_factory=DeploymentSettings)
    needs: tuple[str, ...] = ()
    """Ids of targets that must have succeeded (or be unchanged) first."""
    after: tuple[str, ...] = ()
    """Ids of targets that must have ended first, however."""
    labels: Mapping[str, str] = field(default_factory=dict)
    pool: str | None = None
    timeout: float | None = None
    """Seconds from the start of the deployment; None: derived from the group's own wait times."""
    skip_if_current: bool = True
    priority: int = 0
    """Who gets a free place first; higher goes first."""
    retry: Retry = Retry()
    controls: Controls = NO_CONTROLS
    """Gates, hooks, bake, and what is done before a blue/green deployment's end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Concurrency:
    """How much may happen at once; None: no limit."""

    deployments: int | None = None
    uploads: int = 8
    per_region: int | None = None
    """Deployments for each account and region."""
    pools: Mapping[str, int] = field(default_factory=dict)


Rollback = Literal["none", "target", "release"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    on_failure: Literal["stop", "continue"] = "stop"
    max_failures: int | None = None
    """The run stops once so many targets have failed (a share is of all targets, rounded up). None: no limit."""
    if_active: Literal["wait", "fail", "stop"] = "wait"
    rollback: Rollback = "none"
    """What goes back to what stood before when the run fails: nothing, the targets that failed, or all it changed."""


# --- what CodeDeploy says --------------------------------------------------------------------------------------------


class DeploymentStatus(StrEnum):
    """`DeploymentStatus` of the API model. A word that isn't here is read as UNKNOWN and means "still running"."""

    CREATED = "Created"
    QUEUED = "Queued"
    IN_PROGRESS = "InProgress"
    BAKING = "Baking"
    READY = "Ready"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        return self in {DeploymentStatus.SUCCEEDED, DeploymentStatus.FAILED, DeploymentStatus.STOPPED}


ACTIVE_STATUSES = ("Created", "Queued", "InProgress", "Baking", "Ready")
"""What ListDeployments is asked for to find what keeps a group busy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """A deployment as GetDeployment and BatchGetDeployments report it. Times are epoch seconds."""

    id: str
    status: DeploymentStatus
    raw_status: str
    """The word itself, also where we don't know it."""
    application_name: str = ""
    deployment_group_name: str = ""
    description: str = ""
    creator: str = ""
    revision: Revision | None = None
    overview: Mapping[str, int] = field(default_factory=dict)
    """Instances by status: Pending, InProgress, Succeeded, Failed, Skipped, Ready. Empty while unknown."""
    error_code: str | None = None
    error_message: str | None = None
    rollback_id: str | None = None
    """The deployment that rolls this one back, as far as CodeDeploy has said."""
    rollback_message: str | None = None
    auto_rollback: tuple[str, ...] = ()
    """The events on which CodeDeploy will roll this deployment back by itself."""
    has_shifted: bool = False
    """Blue/green: the traffic goes to what is new, and what it came from is about to be terminated."""
    created_at: float | None = None
    completed_at: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """A deployment group as BatchGetDeploymentGroups reports it."""

    application_name: str
    name: str
    compute_platform: str = "Server"
    revision: Revision | None = None
    """What the last attempted deployment was about."""
    last_attempted_id: str | None = None
    last_attempted_status: DeploymentStatus | None = None
    last_successful_id: str | None = None
    deployment_config: str | None = None
    """What its deployments are made by, where they don't say."""
    service_role: str | None = None
    """The ARN of the role by which CodeDeploy acts for the group."""
    is_blue_green: bool = False
    names_instances: bool = False
    """Whether it says by tags, Auto Scaling groups or services what it deploys to."""
    alarms: tuple[str, ...] = ()
    """The CloudWatch alarms that stop its deployments, where they are switched on."""
    wait_seconds: float = 0.0
    """What the group itself may wait in a blue/green deployment, for rerouting and for termination together."""
