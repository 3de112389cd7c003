"""What an instance has been through: the lifecycle events of its deployments, and what its scripts wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.sandbox.errors import Json
from orchestrator.sandbox.inventory import Instance

if TYPE_CHECKING:
    from orchestrator.sandbox.region import Region


def instance_log(region: Region, instance: Instance, scripts: str) -> Json:
    """In the order of the deployments. `scripts`: what the agent has logged of scripts, where there is an agent."""
    return {
        "instance": instance.id,
        "name": instance.name,
        "account": region.account,
        "region": region.name,
        "deployments": [
            {
                "deployment_id": deployment.id,
                "application": deployment.group.application,
                "deployment_group": deployment.group.name,
                "status": track.status,
                "label": track.label,
                "events": [
                    {
                        "event": step.name,
                        "status": step.status,
                        "start": step.start,
                        "end": step.end,
                        "error_code": step.diagnostics.error_code if step.diagnostics else None,
                        "script": step.diagnostics.script if step.diagnostics else None,
                        "message": step.diagnostics.message if step.diagnostics else None,
                        "log_tail": step.diagnostics.log_tail if step.diagnostics else None,
                    }
                    for step in track.steps
                ],
            }
            for deployment in region.deployments.values()
            for track in deployment.tracks
            if track.id == instance.id
        ],
        "scripts": scripts,
    }
