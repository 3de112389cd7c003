"""A plan for a pull request: GitHub's Markdown."""

from __future__ import annotations

from orchestrator.app.undertakings import Planned
from orchestrator.cli.show_plan import NOTHING_TO_DO, gates_of_run, title_of, waits_of
from orchestrator.core.model import describe_revision
from orchestrator.core.plan import Step
from orchestrator.wording.text import one_line, plural, short_digests

FOLDED_ABOVE = 20
"""What stays as it is is folded away when it is more than that."""


def plan_as_markdown(planned: Planned) -> str:
    """A table of what is deployed, in the order of the run; below it what isn't, and why."""
    plan = planned.plan
    numbers = {step.target.id: number for number, step in enumerate(plan.steps, start=1)}
    lines = [f"### {_cell(title_of(plan))}", ""]
    if plan.changes:
        lines += ["| # | target | region | current → new | why | waits for |", "|--:|---|---|---|---|---|"]
        lines += [_deployed(numbers[step.target.id], step) for step in plan.changes]
    else:
        lines += [f"**{NOTHING_TO_DO}**"]
    kept = [step for step in plan.steps if step.action != "deploy"]
    lines += _kept(kept)
    if planned.remarks or gates_of_run(plan):
        lines += [
            "",
            *(f"> {_cell(line)}" for line in gates_of_run(plan)),
            *(f"> {_cell(remark)}" for remark in planned.remarks),
        ]
    return "\n".join(lines)


def _deployed(number: int, step: Step) -> str:
    revisions = f"{_code(describe_revision(step.current))} → {_code(step.wanted)}"
    why = "; ".join(filter(None, (step.reason, step.verified)))
    cells = [f"`{step.target.id}`", step.target.location.region, revisions, _cell(why), _cell(waits_of(step.target))]
    return f"| {number} | " + " | ".join(cells) + " |"


def _kept(steps: list[Step]) -> list[str]:
    if not steps:
        return []
    lines = ["| target | region | stays at | why |", "|---|---|---|---|"]
    for step in steps:
        cells = [f"`{step.target.id}`", step.target.location.region, _code(step.wanted), _cell(step.reason)]
        lines.append("| " + " | ".join(cells) + " |")
    title = f"{plural(len(steps), 'target')} unchanged"
    if len(steps) <= FOLDED_ABOVE:
        return ["", f"{title}:", "", *lines]
    return ["", f"<details><summary>{title}</summary>", "", *lines, "", "</details>"]


def _code(revision: str) -> str:
    return f"`{_cell(short_digests(revision))}`"


def _cell(text: str) -> str:
    """On one line, and without what would end a cell or begin a tag."""
    return one_line(text).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
