"""What a run's journal says of its beginning: all that a later process needs where nothing is asked of the manifest."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.core.controls import controls_from_dict
from orchestrator.core.errors import StateError, UsageError
from orchestrator.core.events import Record, RunStarted
from orchestrator.core.freezing import FreezeWindow
from orchestrator.core.model import Target, revision_from_api
from orchestrator.core.notification_specs import specs_from_list
from orchestrator.core.plan import Plan, step_from_dict
from orchestrator.core.ports import Artifact, Artifacts
from orchestrator.core.state import RunState


def started_of(records: Sequence[Record], run: str) -> RunStarted:
    """The run's first event. Raises `UsageError` when there is none, or for an embedded sandbox."""
    if not records:
        raise UsageError(
            f"run {run} died before its first event was recorded: nothing was started by it",
            hint="start it again: orchestrator apply MANIFEST",
        )
    first = records[0].event
    if not isinstance(first, RunStarted):
        raise StateError(f"the journal of run {run} doesn't begin with run_started", hint="keep it and report it")
    if first.options.get("sandbox"):
        raise UsageError(
            f"run {run} was a rehearsal in the embedded sandbox, which went with its process",
            hint="start it again with `orchestrator apply --sandbox`",
        )
    return first


class ResumedArtifacts:
    """What was uploaded and pinned before isn't made again."""

    def __init__(self, state: RunState, otherwise: Artifacts) -> None:
        self._state = state
        self._otherwise = otherwise

    async def prepare(self, targets: Sequence[Target]) -> Artifact:
        for target in targets:
            known = self._state.targets[target.id]
            revision = revision_from_api(known.revision)
            if revision is not None:
                return Artifact(revision=revision, digest=known.digest)
        return await self._otherwise.prepare(targets)


def recorded_plan(started: RunStarted) -> Plan:
    """The plan that the run began with."""
    return Plan(
        release=started.release,
        environment=started.environment,
        manifest=started.manifest,
        manifest_digest=started.manifest_digest,
        steps=tuple(step_from_dict(data) for data in started.targets),
        freeze=tuple(FreezeWindow(**window) for window in started.freeze),
        controls=controls_from_dict(started.controls),
        committed_at=started.committed_at,
        notifications=specs_from_list(started.notifications),
    )
