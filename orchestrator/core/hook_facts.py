"""What a hook or a command gate is told: `ORCHESTRATOR_*` variables.

None of them has the name of an option's variable with another meaning (`ORCHESTRATOR_STATE` is that of `--state`): a
hook may well call the orchestrator itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.core.model import describe_revision, revision_from_api
from orchestrator.core.plan import Step
from orchestrator.core.state import RunState


def facts_of_run(state: RunState, /, **more: str | None) -> dict[str, str]:
    """What isn't known is left out; `more` by the names without their prefix, in small letters."""
    return _variables({"run": state.run, "release": state.release, "environment": state.environment, **more})


def facts_of_target(state: RunState, step: Step, /, **more: str | None) -> dict[str, str]:
    target, known = step.target, state.targets[step.target.id]
    values: dict[str, Any] = {
        "run": state.run,
        "release": state.release,
        "environment": state.environment,
        "target": target.id,
        "application": target.application_name,
        "deployment_group": target.deployment_group_name,
        "region": target.location.region,
        "deployment_id": known.deployment_id,
        "revision": _revision(known.revision) or step.wanted,
        "digest": known.digest or step.digest,
        "target_state": str(known.state),
        "target_reason": known.reason,
    }
    return _variables({**values, **more})


def _revision(revision: Mapping[str, Any] | None) -> str:
    return "" if revision is None else describe_revision(revision_from_api(revision))


def _variables(values: Mapping[str, str | None]) -> dict[str, str]:
    return {f"ORCHESTRATOR_{name.upper()}": value.replace("\0", "") for name, value in values.items() if value}
