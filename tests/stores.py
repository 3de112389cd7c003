"""The stores of runs that tests are given, and runs written into them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from orchestrator.aws import AwsSession
from orchestrator.aws.blobs import S3Blobs
from orchestrator.core.blobs import PatientBlobs
from orchestrator.core.events import Event, Record, RunStarted, WarningRaised
from orchestrator.core.model import Location
from orchestrator.core.runs import RunStore
from orchestrator.sandbox.fleet import BucketSpec, FleetSpec
from orchestrator.sandbox.options import SandboxOptions
from orchestrator.sandbox.server import Sandbox
from orchestrator.store.blobstore import BlobStore
from orchestrator.store.folder import FolderBlobs
from orchestrator.store.local import LocalStore
from orchestrator.testing_blobs import MemoryBlobs

RUN = "20261124-014758-3f9a1c"
REGION = "eu-west-1"


@pytest.fixture(params=["local", "memory", "folder", "s3"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RunStore]:
    match request.param:
        case "local":
            yield LocalStore(tmp_path / "state")
        case "memory":
            yield BlobStore(PatientBlobs(MemoryBlobs(), random=Random(1)))  # noqa: S311 - jitter, not a secret
        case "folder":
            yield BlobStore(FolderBlobs(tmp_path / "state"))
        case _:
            fleet = FleetSpec(groups=(), buckets=(BucketSpec(name="state", region=REGION),))
            async with (
                Sandbox(fleet, SandboxOptions(time_scale=0)).serve() as endpoint,
                AwsSession(endpoint_environment=endpoint.environment()) as session,
            ):
                attempts = S3Blobs(session, Location(region=REGION), bucket="state", prefix="acme")
                yield BlobStore(PatientBlobs(attempts, random=Random(1)))  # noqa: S311 - jitter, not a secret


def started(release: str = "shop") -> RunStarted:
    return RunStarted(
        release=release,
        environment="staging",
        manifest="release.yaml",
        manifest_digest="sha256:0",
        targets=({"id": "app/fleet", "application": "app", "deployment_group": "fleet"},),
        policy={},
        concurrency={},
        version="0",
        host="ci",
        pid=1,
    )


async def write(store: RunStore, *events: Event, run: str = RUN, after: int = 0, at: float = 1_700_000_000.0) -> None:
    async with store.open_journal(run, new=after == 0) as journal:
        for seq, event in enumerate(events, start=after + 1):
            journal.append(Record(seq, at + seq, run, event))


def warning(text: str) -> WarningRaised:
    return WarningRaised(message=text)
