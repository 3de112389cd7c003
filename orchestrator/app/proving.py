"""What another environment has proved, read from the state; and whether a plan keeps to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.core.errors import BlockedError
from orchestrator.core.events import RunStarted
from orchestrator.core.freezing import moment
from orchestrator.core.model import AppSpecRevision, GitHubRevision, describe_revision
from orchestrator.core.plan import Plan, Step
from orchestrator.core.promotion import Content, Proof, Proofs, is_in, proof_for
from orchestrator.core.runs import RunStore
from orchestrator.core.state import fold

MOST_RUNS = 50
"""So many runs of an environment are looked at, from the newest on."""


async def read_proofs(
    runs: RunStore, environment: str, manifest: Path, targets: Sequence[str], *, soak: float, now: float
) -> Proofs:
    """What the runs of this environment say, of manifests of this file's name. `soak`: seconds."""
    proofs = Proofs()
    looked = 0
    for summary in await runs.list_runs():
        if summary.environment != environment or summary.rollback_of is not None or summary.problem is not None:
            continue
        if Path(summary.manifest).name != manifest.name:
            continue
        records = (await runs.read_run(summary.run)).records
        first = records[0].event if records else None
        if not isinstance(first, RunStarted) or first.options.get("sandbox"):
            continue
        proofs.feed(summary.run, fold(records), first.targets)
        looked += 1
        if looked >= MOST_RUNS or (proofs.found and proofs.is_settled(targets, soak, now)):
            break
    return proofs


def verify(plan: Plan, proofs: Proofs, environment: str, *, soak: float, now: float) -> tuple[Plan, list[str]]:
    """The plan with how each of its deployments was verified there, and why others weren't."""
    steps: list[Step] = []
    problems: list[str] = []
    for step in plan.steps:
        found = proof_for(step.target.id, step.target.application, proofs.found)
        problem = _problem(step, found, soak, now)
        if step.action == "deploy" and problem is not None:
            problems.append(f"{step.target.id} in {environment}: {problem}")
        elif step.action == "deploy" and isinstance(found, Proof):
            steps.append(replace(step, verified=verified_by(found, environment)))
            continue
        steps.append(step)
    return replace(plan, steps=tuple(steps)), problems


def verified_by(proof: Proof, environment: str) -> str:
    return f"verified in {environment} by run {proof.run}, since {moment(proof.since)}"


def not_verified(problems: Sequence[str]) -> BlockedError:
    return BlockedError(
        "not verified:\n  " + "\n  ".join(problems),
        hint="deploy it there first; nothing goes on until all of it is verified",
    )


def _problem(step: Step, found: Proof | str, soak: float, now: float) -> str | None:
    if isinstance(found, str):
        return found
    wanted = content_of(step)
    if wanted is None or not found.content.is_same(wanted):
        return f"{shown(found.content)} was verified there (run {found.run}), and this is {shown(wanted)}"
    return found.problem(soak, now)


def content_of(step: Step) -> Content | None:
    return None if step.revision is None else Content(revision=step.revision, digest=step.digest)


def shown(content: Content | None) -> str:
    if content is None:
        return "unknown"
    return f"{content.digest[:19]}…" if content.digest else describe_revision(content.revision)


def ahead(plan: Plan, proofs: Proofs, environment: str) -> list[str]:
    """What that environment has proved, and this one doesn't have."""
    lines = []
    for step in plan.steps:
        found = proof_for(step.target.id, step.target.application, proofs.found)
        if isinstance(found, Proof) and not is_in(found.content, step.current):
            here = describe_revision(step.current)
            lines.append(f"{step.target.id}: {environment} has {shown(found.content)}, {plan.environment} has {here}")
    return lines


def is_given(content: Content) -> bool:
    """Whether it needs no bundle of ours: a commit, an AppSpec, or an object that was there already."""
    return content.digest is None or isinstance(content.revision, GitHubRevision | AppSpecRevision)
