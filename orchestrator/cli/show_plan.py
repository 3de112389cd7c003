"""A plan for people and for programs."""

from __future__ import annotations

import json

from orchestrator.core.model import describe_revision, revision_to_api
from orchestrator.core.plan import Plan, Step
from orchestrator.sinks.text import one_line, plural, short_digests


def plan_as_text(plan: Plan) -> str:
    """A line or two for each target, in the order of the run."""
    changes, total = len(plan.changes), len(plan.steps)
    title = f"release {one_line(plan.release)} to {plan.environment}"
    lines = [f"{title}: {changes} of {plural(total, 'target')} to deploy", ""]
    width = max((len(step.target.id) for step in plan.steps), default=0)
    for number, step in enumerate(plan.steps, start=1):
        lines += _step(number, step, width)
    if not changes:
        lines += [
            "",
            "nothing to do: this is what stands in every group already (--force deploys again)",
        ]
    return "\n".join(lines)


def _step(number: int, step: Step, width: int) -> list[str]:
    target = step.target
    mark = "+" if step.action == "deploy" else "="
    place = target.location.region
    lines = [f"{number:>4} {mark} {target.id:<{width}}  {place}  {step.reason}"]
    if step.action == "deploy":
        lines.append(f"         {_short(describe_revision(step.current))} -> {_short(step.wanted)}")
    waits = [
        f"{word} {', '.join(names)}" for word, names in (("needs", target.needs), ("after", target.after)) if names
    ]
    if waits:
        lines.append(f"         {'; '.join(waits)}")
    return lines


def _short(revision: str) -> str:
    return short_digests(one_line(revision))


def plan_as_json(plan: Plan) -> str:
    steps = [
        {
            "target": step.target.id,
            "action": step.action,
            "reason": step.reason,
            "region": step.target.location.region,
            "current": None if step.current is None else revision_to_api(step.current),
            "new": step.wanted,
            "digest": step.digest,
            "needs": list(step.target.needs),
            "after": list(step.target.after),
        }
        for step in plan.steps
    ]
    body = {"version": 1, "release": plan.release, "environment": plan.environment, "targets": steps}
    return json.dumps(body, indent=2)
