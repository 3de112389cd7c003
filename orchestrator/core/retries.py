"""Which failures another attempt can mend: those of machines and of AWS, never those of what was deployed."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.model import Retry, TargetState, revision_from_api
from orchestrator.core.ports import Artifact
from orchestrator.core.state import TargetRun

MENDABLE = frozenset({"AGENT_ISSUE", "INTERNAL_ERROR", "RESOURCE_LIMIT_EXCEEDED", "THROTTLED", "TIMEOUT"})
"""Of CodeDeploy's `ErrorCode`."""

UNHEALTHY = "HEALTH_CONSTRAINTS"
"""Too many instances failed: what was wrong with them decides."""

LOST = "was not able to receive the lifecycle event"
"""What CodeDeploy says of an instance whose agent it has lost."""


def can_be_mended(target: TargetRun) -> bool:
    """Whether the failure of its deployment is one that may not come again."""
    if target.state is not TargetState.RUNNING or not target.deployment_ended or target.status != "Failed":
        return False
    if target.error_code in MENDABLE:
        return True
    return target.error_code == UNHEALTHY and bool(target.failures) and all(map(_is_lost, target.failures))


def _is_lost(failure: object) -> bool:
    """Nothing ran on it: its agent was gone."""
    if not isinstance(failure, Mapping):
        return False
    return not failure.get("script") and LOST in (failure.get("message") or "")


def wants_another(target: TargetRun, retry: Retry, verdict: TargetState) -> bool:
    """Whether the target gets another attempt, after this verdict on the one that has ended."""
    return verdict is TargetState.FAILED and len(target.attempts) < retry.times and can_be_mended(target)


def made_before(target: TargetRun) -> Artifact | None:
    """What has been pinned before: by an earlier process of the run, or for the attempts before; None: nothing yet."""
    revision = revision_from_api(target.revision)
    return None if revision is None else Artifact(revision=revision, digest=target.digest)
