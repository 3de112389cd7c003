"""CodeDeploy's answers (API shapes, times as epoch seconds) as values of `core.model`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.core.instances import InstanceFailure, InstanceProgress
from orchestrator.core.model import (
    Deployment,
    DeploymentStatus,
    Group,
    revision_from_api,
)
from orchestrator.core.scrub import without_secrets

_STATUSES = {str(status): status for status in DeploymentStatus}


def status_of(word: object) -> DeploymentStatus:
    """A status that we don't know is no end: it reads as UNKNOWN."""
    return _STATUSES.get(str(word), DeploymentStatus.UNKNOWN)


def deployment(data: Mapping[str, Any]) -> Deployment:
    """From `DeploymentInfo`."""
    error = data.get("errorInformation") or {}
    rollback = data.get("rollbackInfo") or {}
    word = data.get("status", "")
    return Deployment(
        id=data.get("deploymentId", ""),
        status=status_of(word),
        raw_status=str(word),
        application_name=data.get("applicationName", ""),
        deployment_group_name=data.get("deploymentGroupName", ""),
        description=data.get("description") or "",
        creator=data.get("creator") or "",
        revision=revision_from_api(data.get("revision")),
        overview={name: count for name, count in (data.get("deploymentOverview") or {}).items() if count},
        error_code=error.get("code"),
        error_message=error.get("message"),
        rollback_id=rollback.get("rollbackDeploymentId") or None,
        rollback_message=rollback.get("rollbackMessage") or None,
        auto_rollback=_auto_rollback(data),
        has_shifted=bool(data.get("instanceTerminationWaitTimeStarted")),
        created_at=data.get("createTime"),
        completed_at=data.get("completeTime"),
    )


def _auto_rollback(data: Mapping[str, Any]) -> tuple[str, ...]:
    settings = data.get("autoRollbackConfiguration") or {}
    return tuple(settings.get("events") or ()) if settings.get("enabled") else ()


def group(data: Mapping[str, Any]) -> Group:
    """From `DeploymentGroupInfo`."""
    attempted = data.get("lastAttemptedDeployment") or {}
    successful = data.get("lastSuccessfulDeployment") or {}
    return Group(
        application_name=data.get("applicationName", ""),
        name=data.get("deploymentGroupName", ""),
        compute_platform=data.get("computePlatform") or "Server",
        revision=revision_from_api(data.get("targetRevision")),
        last_attempted_id=attempted.get("deploymentId"),
        last_attempted_status=status_of(attempted["status"]) if attempted.get("status") else None,
        last_successful_id=successful.get("deploymentId"),
        alarms=alarms(data.get("alarmConfiguration")),
        wait_seconds=_wait_minutes(data) * 60.0,
        deployment_config=data.get("deploymentConfigName"),
        service_role=data.get("serviceRoleArn"),
        is_blue_green=(data.get("deploymentStyle") or {}).get("deploymentType") == "BLUE_GREEN",
        names_instances=_names_instances(data),
    )


_SELECTORS = ("ec2TagFilters", "onPremisesInstanceTagFilters", "autoScalingGroups", "ecsServices")
_TAG_SETS = (("ec2TagSet", "ec2TagSetList"), ("onPremisesTagSet", "onPremisesTagSetList"))


def _names_instances(data: Mapping[str, Any]) -> bool:
    return any(data.get(name) for name in _SELECTORS) or any(
        (data.get(outer) or {}).get(inner) for outer, inner in _TAG_SETS
    )


def alarms(configuration: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The names in an `AlarmConfiguration`; none where it is switched off."""
    if not configuration or not configuration.get("enabled"):
        return ()
    return tuple(alarm["name"] for alarm in configuration.get("alarms") or () if alarm.get("name"))


def _wait_minutes(data: Mapping[str, Any]) -> float:
    settings = data.get("blueGreenDeploymentConfiguration") or {}
    ready = (settings.get("deploymentReadyOption") or {}).get("waitTimeInMinutes") or 0
    end = (settings.get("terminateBlueInstancesOnDeploymentSuccess") or {}).get("terminationWaitTimeInMinutes") or 0
    return float(ready) + float(end)


_TARGET_KINDS = ("instanceTarget", "ecsTarget", "lambdaTarget", "cloudFormationTarget")
_NOT_BEGUN = (None, "Pending", "Skipped")


def _target(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((data[kind] for kind in _TARGET_KINDS if data.get(kind)), {})


def instance_progress(data: Mapping[str, Any]) -> InstanceProgress:
    """From `DeploymentTarget`: the lifecycle event that runs, or the last that has ended."""
    target = _target(data)
    begun = [event for event in target.get("lifecycleEvents") or () if event.get("status") not in _NOT_BEGUN]
    current: Mapping[str, Any] = next((event for event in begun if event.get("status") == "InProgress"), {})
    current = current or (begun[-1] if begun else {})
    return InstanceProgress(
        instance=target.get("targetId", "") or target.get("targetArn", ""),
        status=target.get("status", ""),
        lifecycle_event=current.get("lifecycleEventName"),
        since=current.get("startTime"),
    )


def instance_failure(data: Mapping[str, Any]) -> InstanceFailure:
    """From `DeploymentTarget`: the first lifecycle event that failed, with its diagnostics.

    What a script has printed goes to journals, pages and people from here: without what looks like a secret.
    """
    target = _target(data)
    events = target.get("lifecycleEvents") or ()
    failed: Mapping[str, Any] = next((event for event in events if event.get("status") == "Failed"), {})
    diagnostics = failed.get("diagnostics") or {}
    return InstanceFailure(
        instance=target.get("targetId", "") or target.get("targetArn", ""),
        status=target.get("status", ""),
        lifecycle_event=failed.get("lifecycleEventName"),
        script=diagnostics.get("scriptName") or None,
        error_code=diagnostics.get("errorCode") or None,
        message=without_secrets(diagnostics.get("message") or "") or None,
        log_tail=without_secrets(diagnostics.get("logTail") or "") or None,
    )
