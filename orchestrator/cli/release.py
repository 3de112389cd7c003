"""From the options of `plan` and `apply` to what the application takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.app.releases import ReleaseOptions


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
        time_scale=given.get("time_scale", 1.0),
    )
