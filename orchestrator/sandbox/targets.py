"""DeploymentTarget: how an instance, an ECS service or a Lambda function stands in a deployment."""

from __future__ import annotations

from orchestrator.sandbox.configs import Routing
from orchestrator.sandbox.deployments import Deployment
from orchestrator.sandbox.errors import Json
from orchestrator.sandbox.lifecycle import Step, Track


def deployment_target(deployment: Deployment, track: Track, now: float, time_scale: float) -> Json:
    """Before it is cut to shape. `time_scale`: how much faster than life traffic moves."""
    shared = {
        "deploymentId": deployment.id,
        "targetId": track.id,
        "status": track.status,
        "lastUpdatedAt": deployment.created if track.updated is None else track.updated,
        "lifecycleEvents": [_event(step) for step in track.steps],
    }
    group = deployment.group
    place = f"{group.region}:{group.account}"
    match deployment.kind:
        case "ecs" | "ecs_back":
            cluster, _, service = track.id.partition(":")
            arn = f"arn:aws:ecs:{place}:service/{cluster}/{service}"
            weight = traffic(deployment, track, now, time_scale)
            shared |= {"targetArn": arn, "taskSetsInfo": _task_sets(deployment, track, weight)}
            return {"deploymentTargetType": "ECSTarget", "ecsTarget": shared}
        case "lambda":
            weight = traffic(deployment, track, now, time_scale)
            shared |= {
                "targetArn": f"arn:aws:lambda:{place}:function:{track.id}",
                "lambdaFunctionInfo": {**deployment.function, "targetVersionWeight": weight / 100},
            }
            return {"deploymentTargetType": "LambdaTarget", "lambdaTarget": shared}
        case "in_place" | "blue_green" | "blue_green_back":
            is_on_premises = not track.id.startswith("i-")
            arn = (
                f"arn:aws:codedeploy:{place}:instance/{track.id}"
                if is_on_premises
                else f"arn:aws:ec2:{place}:instance/{track.id}"
            )
            shared |= {"targetArn": arn, "instanceLabel": track.label or None}
            return {"deploymentTargetType": "InstanceTarget", "instanceTarget": shared}


def traffic(deployment: Deployment, track: Track, now: float, time_scale: float) -> float:
    """Percent of the traffic that the new version has."""
    step = next(step for step in track.steps if step.name == "AllowTraffic")
    if step.status == "Succeeded":
        return 100.0
    if step.start is None or step.status == "Failed":
        return 0.0
    routing = deployment.routing or Routing()
    # The last step falls into the end of the event: until then it is under way.
    return min(routing.weight((now - step.start) * time_scale), 100.0)


def _task_sets(deployment: Deployment, track: Track, weight: float) -> list[Json]:
    pairs = (deployment.group.settings.get("loadBalancerInfo") or {}).get("targetGroupPairInfoList") or [{}]
    groups = (pairs[0].get("targetGroups") or []) + [{}, {}]
    is_there = deployment.kind == "ecs_back" or track.steps[1].status == "Succeeded"
    blue = _task_set(deployment, "Blue", 100.0 - weight, groups[0], is_running=True)
    return [blue, _task_set(deployment, "Green", weight, groups[1], is_running=is_there)]


def _task_set(deployment: Deployment, label: str, weight: float, group: Json, *, is_running: bool) -> Json:
    is_primary = (label == "Green") == (weight >= 100.0)
    return {
        "identifer": f"ecs-svc/{deployment.number:019d}{1 if label == 'Green' else 0}",
        "desiredCount": 1,
        "pendingCount": 0 if is_running else 1,
        "runningCount": 1 if is_running else 0,
        "status": "PRIMARY" if is_primary else "ACTIVE",
        "trafficWeight": weight,
        "targetGroup": {"name": group["name"]} if group.get("name") else None,
        "taskSetLabel": label,
    }


def _event(step: Step) -> Json:
    found = step.diagnostics
    return {
        "lifecycleEventName": step.name,
        "status": step.status,
        "startTime": step.start,
        "endTime": step.end,
        "diagnostics": {
            "errorCode": found.error_code,
            "scriptName": found.script,
            "message": found.message,
            "logTail": found.log_tail,
        }
        if found
        else None,
    }
