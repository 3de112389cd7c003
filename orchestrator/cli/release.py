"""From the options of `plan` and `apply` to what the application takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.app.releases import ReleaseOptions
from orchestrator.core.errors import UsageError

CHOICES = {
    "environment": "-e",
    "variables": "--var",
    "select": "--select",
    "exclude": "--exclude",
    "include_needs": "--include-needs",
    "include_dependents": "--include-dependents",
    "force": "--force",
    "sandbox": "--sandbox",
}


def refuse_choices(given: Mapping[str, Any]) -> None:
    """Raises `UsageError` where options say what a saved plan has decided already."""
    chosen = [option for name, option in CHOICES.items() if given[name]]
    if chosen:
        raise UsageError(
            f"{given['manifest']} is a saved plan, which leaves nothing to choose: {', '.join(chosen)}",
            hint="leave that out, or make another plan with it",
        )


def release_options(given: Mapping[str, Any]) -> ReleaseOptions:
    """`given`: the options by their names, as click has parsed them."""
    return ReleaseOptions(
        manifest=given["manifest"],
        environment=given["environment"],
        variables=dict(given["variables"]),
        select=given["select"],
        exclude=given["exclude"],
        include_needs=given["include_needs"],
        include_dependents=given["include_dependents"],
        force=given["force"],
        sandbox=given["sandbox"],
        time_scale=given.get("time_scale"),
        fleet=given.get("fleet"),
        hooks=given.get("hooks", "none"),
        instances_dir=given.get("instances_dir"),
        instance_image=given.get("instance_image"),
    )
