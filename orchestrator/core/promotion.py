"""What an environment has proved: the content that succeeded there, and since when it stands.

Read from the journals of its runs, newest first, and from nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.core.codedeploy import same_revision
from orchestrator.core.freezing import moment
from orchestrator.core.measuring import span
from orchestrator.core.model import Location, Revision, S3Revision, TargetState, revision_from_api
from orchestrator.core.state import RunState, TargetRun

GOOD = frozenset({TargetState.SUCCEEDED, TargetState.UNCHANGED})


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What stands in a group, or is to stand there."""

    revision: Revision
    digest: str | None = None
    """Of a bundle that we have made."""

    def is_same(self, other: Content) -> bool:
        """By the digest, where both have one: a bundle is the same in every bucket."""
        if self.digest is not None and other.digest is not None:
            return self.digest == other.digest
        return same_revision(self.revision, other.revision)


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """A target that has succeeded there."""

    content: Content
    location: Location
    """Where it did."""
    run: str
    """The newest run that found it good."""
    release: str
    """Of that run."""
    committed_at: float | None = None
    """When that was committed, as far as that run knew."""
    since: float
    """Epoch seconds: when this content had first succeeded, without another one since."""

    def problem(self, soak: float, now: float) -> str | None:
        """Why it can't be promoted yet. `soak`: seconds."""
        if now - self.since >= soak:
            return None
        return f"has to soak for {span(soak)}, until {moment(self.since + soak)} (run {self.run})"


Finding = Proof | str
"""The proof, or why there is none."""


@dataclass(eq=False, slots=True)
class Proofs:
    """Is fed with the runs of one environment, newest first."""

    found: dict[str, Finding] = field(default_factory=dict)
    """By target, for those that a run was about."""
    _over: set[str] = field(default_factory=set)
    """Older runs say nothing about these any more."""

    def feed(self, run: str, state: RunState, steps: Sequence[Mapping[str, Any]]) -> None:
        """`steps`: as in `RunStarted.targets`."""
        for data in steps:
            target = state.targets[data["id"]]
            if target.id not in self._over:
                self._look(run, state, target, data)

    def is_settled(self, targets: Sequence[str], soak: float, now: float) -> bool:
        """Whether no older run can change what is said about these targets."""
        return all(name in self._over or self._has_soaked(name, soak, now) for name in targets)

    def _has_soaked(self, name: str, soak: float, now: float) -> bool:
        known = self.found.get(name)
        return isinstance(known, Proof) and known.problem(soak, now) is None

    def _look(self, run: str, state: RunState, target: TargetRun, data: Mapping[str, Any]) -> None:
        if not target.was_changed and target.state not in GOOD:
            return  # the run has left it as it was
        known = self.found.get(target.id)
        content = _content(target, data)
        problem = _problem(run, state, target, content)
        if problem is not None or content is None:
            self._over.add(target.id)
            self.found.setdefault(target.id, problem or f"what run {run} deployed isn't known")
            return
        at = target.ended_at or state.started_at or 0.0
        if known is None:
            self.found[target.id] = Proof(
                content=content,
                location=Location(**data["location"]),
                run=run,
                release=state.release,
                committed_at=state.committed_at,
                since=at,
            )
        elif isinstance(known, Proof) and known.content.is_same(content):
            self.found[target.id] = replace(known, since=min(known.since, at))
        else:
            self._over.add(target.id)
        if target.state is TargetState.SUCCEEDED:
            self._over.add(target.id)  # before that something else stood there, or the same was deployed again


def _problem(run: str, state: RunState, target: TargetRun, content: Content | None) -> str | None:
    if not state.is_finished:
        return f"run {run} has not finished"
    if target.state not in GOOD:
        return f"{target.state} in run {run}"
    return None if content is not None else f"what run {run} deployed isn't known"


def _content(target: TargetRun, data: Mapping[str, Any]) -> Content | None:
    """What stands there after the run, where it succeeded."""
    given = target.revision if target.state is TargetState.SUCCEEDED else data.get("current")
    revision = revision_from_api(given or target.revision)
    return None if revision is None else Content(revision=revision, digest=target.digest or data.get("digest"))


def proof_for(target: str, application: str, proofs: Mapping[str, Finding]) -> Finding:
    """The target's own; of one that the other environment doesn't have, that of all groups of its application there."""
    if target in proofs:
        return proofs[target]
    others = {name: each for name, each in proofs.items() if name.partition("/")[0] == application}
    if not others:
        return "no run there was about it"
    first: Proof | None = None
    for name, each in others.items():
        if not isinstance(each, Proof):
            return f"{name}: {each}"
        if first is not None and not first.content.is_same(each.content):
            return f"the groups of {application} don't have the same there"
        first = each if first is None or each.since > first.since else first
    return first if first is not None else "no run there was about it"


def is_in(content: Content, current: Revision | None) -> bool:
    """Whether a group with this revision has the content: a bundle's key holds its digest, unless `key` says else."""
    if current is None:
        return False
    if content.digest is not None and isinstance(current, S3Revision):
        return content.digest.removeprefix("sha256:") in current.key
    return same_revision(current, content.revision)
