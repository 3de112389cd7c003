"""CodeDeploy's operations on deployments that wait: for traffic to be rerouted, for originals to go, for a hook."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.sandbox.context import Context, Handler
from orchestrator.sandbox.deployments import Deployment
from orchestrator.sandbox.engine import HookError
from orchestrator.sandbox.errors import Json, ServiceError

_HOOK_ERRORS: Mapping[HookError, tuple[str, str]] = {
    "unknown": (
        "InvalidLifecycleEventHookExecutionIdException",
        "no hook of this deployment has that lifecycleEventHookExecutionId",
    ),
    "over": ("LifecycleEventAlreadyCompletedException", "the lifecycle event has ended already"),
}


def continue_deployment(context: Context, parameters: Json) -> Json:
    """The originals aren't terminated while the traffic waits, nor the other way round."""
    kind = parameters.get("deploymentWaitType", "READY_WAIT")
    return _go_on(context, _waiting(context, parameters), kind)


def skip_wait_time(context: Context, parameters: Json) -> Json:
    """What ContinueDeployment with TERMINATION_WAIT has replaced."""
    return _go_on(context, _waiting(context, parameters), "TERMINATION_WAIT")


def put_hook_status(context: Context, parameters: Json) -> Json:
    """What a Lambda function reports that is a hook of a deployment to ECS or Lambda."""
    deployment = _named(context, parameters)
    if deployment.is_server:
        raise ServiceError(
            "UnsupportedActionForDeploymentTypeException", f"{deployment.id} has scripts, and no functions as hooks"
        )
    hook: str = parameters.get("lifecycleEventHookExecutionId", "")
    status: str = parameters.get("status", "")
    if status not in ("Succeeded", "Failed"):
        raise ServiceError(
            "InvalidLifecycleEventHookExecutionStatusException", f"status is {status!r}; Succeeded or Failed"
        )
    error = context.region.report_hook(deployment, hook, context.now, is_success=status == "Succeeded")
    if error is not None:
        raise ServiceError(*_HOOK_ERRORS[error])
    return {"lifecycleEventHookExecutionId": hook}


def _go_on(context: Context, deployment: Deployment, kind: str) -> Json:
    if not context.region.engine.is_waiting(deployment, "ready" if kind == "READY_WAIT" else "terminate"):
        raise ServiceError(
            "DeploymentIsNotInReadyStateException", f"The deployment {deployment.id} doesn't wait for {kind}"
        )
    context.region.go_on(deployment, context.now)
    return {}


def _waiting(context: Context, parameters: Json) -> Deployment:
    deployment = _named(context, parameters)
    if not deployment.can_wait:
        raise ServiceError(
            "UnsupportedActionForDeploymentTypeException",
            f"{deployment.id} isn't a blue/green deployment: it waits for nothing",
        )
    if deployment.ended is not None:
        raise ServiceError(
            "DeploymentAlreadyCompletedException",
            f"The deployment {deployment.id} has ended: it is {deployment.status}",
        )
    return deployment


def _named(context: Context, parameters: Json) -> Deployment:
    if "deploymentId" not in parameters:
        raise ServiceError("DeploymentIdRequiredException", "deploymentId is required")
    return context.region.deployment(parameters["deploymentId"], context.now)


HANDLERS: Mapping[str, Handler] = {
    "ContinueDeployment": continue_deployment,
    "SkipWaitTimeForInstanceTermination": skip_wait_time,
    "PutLifecycleEventHookExecutionStatus": put_hook_status,
}
