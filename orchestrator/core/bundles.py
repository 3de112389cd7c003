"""Makes the artifacts of a run ready: each once, several at a time, while targets still wait for their needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import anyio

from orchestrator.core.bundle_events import RevisionPinned, UploadStarted
from orchestrator.core.codedeploy import CodeDeploy
from orchestrator.core.errors import CallError, OrchestratorError
from orchestrator.core.events import Event, WarningRaised
from orchestrator.core.model import BundleSource, Location, RevisionSource, Target, revision_to_api
from orchestrator.core.ports import Artifact, Artifacts

Key = tuple[str, str, Location, RevisionSource]


@dataclass(eq=False, slots=True)
class _Job:
    targets: list[Target]
    ready: anyio.Event = field(default_factory=anyio.Event)
    artifact: Artifact | None = None
    error: OrchestratorError | OSError | None = None


class BundlesClosedError(OrchestratorError):
    """The run starts nothing new, so the bundle isn't made."""


class Bundles:
    """One job for each (application, location, source), whoever of its targets comes first."""

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        artifacts: Artifacts,
        codedeploys: Mapping[Location, CodeDeploy],
        record: Callable[[Event], None],
        uploads: int,
    ) -> None:
        self._artifacts = artifacts
        self._codedeploys = codedeploys
        self._record = record
        self._uploads = anyio.CapacityLimiter(uploads)
        self._scope = anyio.CancelScope()
        self._jobs: dict[Key, _Job] = {}
        for target in targets:
            self._jobs.setdefault(_key(target), _Job([])).targets.append(target)

    async def run(self) -> None:
        """Does all jobs; returns when they are done or `close` was called."""
        with self._scope:
            async with anyio.create_task_group() as tasks:
                for job in self._jobs.values():
                    tasks.start_soon(self._do, job)
        for job in self._jobs.values():
            if not job.ready.is_set():
                job.error = BundlesClosedError("the run starts nothing new")
                job.ready.set()

    def close(self) -> None:
        """Nothing new is uploaded; uploads that are under way are called off and cleaned up."""
        self._scope.cancel()

    @property
    def are_done(self) -> bool:
        """Each is ready, or has failed."""
        return all(job.ready.is_set() for job in self._jobs.values())

    async def get(self, target: Target) -> Artifact:
        """Waits for the target's artifact. Raises what went wrong with it."""
        job = self._jobs[_key(target)]
        await job.ready.wait()
        if job.error is not None:
            raise job.error
        assert job.artifact is not None  # noqa: S101 - `ready` is set with an error or with the artifact
        return job.artifact

    async def _do(self, job: _Job) -> None:
        async with self._uploads:
            try:
                job.artifact = await self._prepare(job.targets)
            except (OrchestratorError, OSError) as error:
                job.error = error
        job.ready.set()

    async def _prepare(self, targets: Sequence[Target]) -> Artifact:
        first, ids = targets[0], tuple(target.id for target in targets)
        region = first.location.region
        if isinstance(first.source, BundleSource):
            self._record(UploadStarted(application=first.application, region=region, targets=ids))
        artifact = await self._artifacts.prepare(targets)
        await self._register(first, artifact)
        self._record(
            RevisionPinned(
                application=first.application,
                region=region,
                targets=ids,
                revision=revision_to_api(artifact.revision),
                digest=artifact.digest,
            )
        )
        return artifact

    async def _register(self, target: Target, artifact: Artifact) -> None:
        """CreateDeployment registers what it is given, too; so a refusal here is worth a word, not a failure."""
        try:
            await self._codedeploys[target.location].register(
                target.application_name, artifact.revision, f"registered by orchestrator for {target.application}"
            )
        except CallError as error:
            self._record(WarningRaised(message=str(error), target=target.id))


def _key(target: Target) -> Key:
    return (target.application, target.application_name, target.location, target.source)
