"""CodeDeploy's older operations on the instances of a deployment, which those on its targets have replaced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.sandbox.context import Context, Handler, check_batch, page
from orchestrator.sandbox.deployments import Deployment
from orchestrator.sandbox.errors import Json, ServiceError
from orchestrator.sandbox.targets import deployment_target

_BATCH = 25


def list_deployment_instances(context: Context, parameters: Json) -> Json:
    deployment = _deployment(context, parameters)
    if deployment.started is None:
        raise ServiceError("DeploymentNotStartedException", f"The deployment {deployment.id} has not started yet")
    found = [(one["instanceId"], one) for one in _summaries(context, deployment)]
    if kinds := parameters.get("instanceTypeFilter"):
        if not any("instanceType" in one for _, one in found):
            raise ServiceError(
                "InvalidDeploymentInstanceTypeException",
                f"{deployment.id} is an in-place deployment: it has no Blue or Green",
            )
        found = [(name, one) for name, one in found if one.get("instanceType") in kinds]
    if statuses := parameters.get("instanceStatusFilter"):
        found = [(name, one) for name, one in found if one["status"] in statuses]
    names, token = page([name for name, _ in found], parameters.get("nextToken"), context.options.page_size)
    return {"instancesList": names, "nextToken": token}


def get_deployment_instance(context: Context, parameters: Json) -> Json:
    deployment, wanted = _deployment(context, parameters), parameters["instanceId"]
    for summary in _summaries(context, deployment):
        if wanted in (summary["instanceId"], _bare(summary["instanceId"])):
            return {"instanceSummary": summary}
    raise ServiceError("InstanceDoesNotExistException", f"{deployment.id} has no instance {wanted}")


def batch_get_deployment_instances(context: Context, parameters: Json) -> Json:
    """Those that aren't there are left out, and named in `errorMessage`."""
    wanted = parameters["instanceIds"]
    check_batch(wanted, _BATCH, "instances")
    known: dict[str, Json] = {}
    for summary in _summaries(context, _deployment(context, parameters)):
        known[summary["instanceId"]] = known[_bare(summary["instanceId"])] = summary
    missing = [name for name in wanted if name not in known]
    return {
        "instancesSummary": [known[name] for name in wanted if name in known],
        "errorMessage": f"No instances found for: {', '.join(missing)}" if missing else None,
    }


def _deployment(context: Context, parameters: Json) -> Deployment:
    deployment = context.region.deployment(parameters["deploymentId"], context.now)
    if (platform := deployment.settings.get("computePlatform", "Server")) != "Server":
        raise ServiceError("InvalidComputePlatformException", f"{deployment.id} is of {platform}: it has no instances")
    return deployment


def _summaries(context: Context, deployment: Deployment) -> Iterable[Json]:
    """InstanceSummary of each: its id is an ARN, and an event has no end of its own."""
    for track in deployment.tracks:
        target = deployment_target(deployment, track, context.now, context.options.time_scale)["instanceTarget"]
        summary = {
            "deploymentId": deployment.id,
            "instanceId": target["targetArn"],
            "status": target["status"],
            "lastUpdatedAt": target["lastUpdatedAt"],
            "lifecycleEvents": target["lifecycleEvents"],
        }
        if label := target["instanceLabel"]:
            summary["instanceType"] = label
        yield summary


def _bare(arn: str) -> str:
    return arn.rpartition("/")[2]


HANDLERS: Mapping[str, Handler] = {
    "ListDeploymentInstances": list_deployment_instances,
    "GetDeploymentInstance": get_deployment_instance,
    "BatchGetDeploymentInstances": batch_get_deployment_instances,
}
