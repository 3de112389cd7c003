"""A plan for people and for programs."""

from __future__ import annotations

import json

from orchestrator.app.undertakings import Planned
from orchestrator.core.measuring import span
from orchestrator.core.model import Target, describe_revision, revision_to_api
from orchestrator.core.plan import Plan, Step
from orchestrator.wording.text import one_line, plural, short_digests

NOTHING_TO_DO = "nothing to do: this is what stands in every group already (--force deploys again)"


def plan_as_text(planned: Planned) -> str:
    """A line or two for each target, in the order of the run."""
    plan = planned.plan
    lines = [title_of(plan), *gates_of_run(plan), ""]
    width = max((len(step.target.id) for step in plan.steps), default=0)
    for number, step in enumerate(plan.steps, start=1):
        lines += _step(number, step, width)
    if not plan.changes:
        lines += ["", NOTHING_TO_DO]
    if planned.remarks:
        lines += ["", *map(one_line, planned.remarks)]
    return "\n".join(lines)


def title_of(plan: Plan) -> str:
    title = f"release {one_line(plan.release)} to {plan.environment}"
    return f"{title}: {len(plan.changes)} of {plural(len(plan.steps), 'target')} to deploy"


def gates_of_run(plan: Plan) -> list[str]:
    """What the run itself waits for, before its targets and after them."""
    named = (("before it starts", plan.controls.gates_before), ("after all targets", plan.controls.gates_after))
    return [f"gates {when}: {', '.join(gate.name for gate in gates)}" for when, gates in named if gates]


def _step(number: int, step: Step, width: int) -> list[str]:
    target = step.target
    mark = "+" if step.action == "deploy" else "="
    place = target.location.region
    lines = [f"{number:>4} {mark} {target.id:<{width}}  {place}  {step.reason}"]
    if step.action == "deploy":
        lines.append(f"         {_short(describe_revision(step.current))} -> {_short(step.wanted)}")
    if waits := waits_of(target):
        lines.append(f"         {waits}")
    if step.action == "deploy" and (holds := holds_of(target)):
        lines.append(f"         then {holds}")
    if step.verified:
        lines.append(f"         {one_line(step.verified)}")
    return lines


def waits_of(target: Target) -> str:
    """What the target waits for before it may start; empty for nothing."""
    edges = [
        f"{word} {', '.join(names)}" for word, names in (("needs", target.needs), ("after", target.after)) if names
    ]
    pool = [f"a place in the pool {target.pool}"] if target.pool is not None else []
    controls = target.controls
    gates = [f"gates {', '.join(gate.name for gate in controls.gates_before)}"] if controls.gates_before else []
    return "; ".join([*edges, *pool, *gates])


def holds_of(target: Target) -> str:
    """What holds those that need it once it has been deployed; empty for nothing."""
    controls = target.controls
    at = "" if controls.wait_for == "succeeded" else f" at {controls.wait_for}"
    gates = [f"gates {', '.join(gate.name for gate in controls.gates_after)}{at}"] if controls.gates_after else []
    bake = [f"a bake of {span(controls.bake)}"] if controls.bake else []
    return ", ".join([*bake, *gates])


def _short(revision: str) -> str:
    return short_digests(one_line(revision))


def plan_as_json(planned: Planned) -> str:
    plan = planned.plan
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
            "pool": step.target.pool,
            "gates": {
                "before": [gate.name for gate in step.target.controls.gates_before],
                "after": [gate.name for gate in step.target.controls.gates_after],
            },
            "bake": step.target.controls.bake,
            "verified": step.verified,
        }
        for step in plan.steps
    ]
    body = {"version": 1, "release": plan.release, "environment": plan.environment, "targets": steps}
    return json.dumps(body, indent=2)
