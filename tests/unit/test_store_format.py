"""What version 0.1 wrote stays readable: `format_1/` was written once by it and is never written anew.

A change that breaks these tests needs a new format version, and a reader for both.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.core.events import RunStarted, UnknownEvent
from orchestrator.core.locktable import holders
from orchestrator.core.model import Outcome
from orchestrator.core.plan import step_from_dict
from orchestrator.core.runs import RunStore, Writer
from orchestrator.store.blobstore import BlobStore
from orchestrator.store.folder import FolderBlobs
from orchestrator.store.local import LocalStore

pytestmark = pytest.mark.anyio

FORMAT_1 = Path(__file__).parent / "format_1"


def local(root: Path) -> RunStore:
    return LocalStore(root / "local")


def objects(root: Path) -> RunStore:
    return BlobStore(FolderBlobs(root / "objects"))


def objects_without_parts(root: Path) -> RunStore:
    shutil.rmtree(root / "objects" / "runs" / "r1" / "parts")
    return objects(root)


@pytest.fixture(params=[local, objects, objects_without_parts])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RunStore:
    shutil.copytree(FORMAT_1, tmp_path / "copy")
    make: Callable[[Path], RunStore] = request.param
    return make(tmp_path / "copy")


async def test_its_state_is_what_it_was(store: RunStore) -> None:
    state = await store.load_run("r1")
    assert (state.run, state.release, state.environment, state.outcome, state.exit_code) == (
        "r1",
        "shop-1",
        "staging",
        Outcome.FAILED,
        3,
    )
    assert {name: str(target.state) for name, target in state.targets.items()} == {
        "db/primary": "succeeded",
        "api/canary": "succeeded",
        "api/fleet": "rolled_back",
        "web/fleet": "skipped",
        "jobs/fleet": "succeeded",
        "docs/fleet": "unchanged",
    }
    failed = state.targets["api/fleet"]
    assert (failed.error_code, failed.failed_instances, failed.rollback_status) == (
        "HEALTH_CONSTRAINTS",
        1,
        "Succeeded",
    )
    assert failed.failures[0]["log_tail"] == "Starting\nError: no ä"
    assert state.targets["jobs/fleet"].adopted
    assert state.last_seq == 48


async def test_its_events_are_all_known(store: RunStore) -> None:
    records = (await store.read_run("r1")).records
    kinds = Counter(type(record.event) for record in records)
    assert kinds[UnknownEvent] == 0
    assert len(kinds) == 15
    stored = (FORMAT_1 / "local" / "runs" / "r1" / "journal.jsonl").read_text("utf-8").splitlines()
    for record, line in zip(records, stored, strict=True):
        missing = json.loads(line).keys() - record.to_dict().keys()
        assert not missing, "a field that version 1 wrote is read no more"


async def test_its_plan_can_be_gone_on_with(store: RunStore) -> None:
    first = (await store.read_run("r1")).records[0].event
    assert isinstance(first, RunStarted)
    steps = [step_from_dict(dict(data)) for data in first.targets]
    assert sorted(step.target.id for step in steps) == sorted((await store.load_run("r1")).targets)
    async with store.open_journal("r1", new=False) as journal:
        assert len(journal.found.records) == 48


async def test_it_is_in_the_list(store: RunStore) -> None:
    (run,) = await store.list_runs()
    assert (run.run, run.release, run.environment, run.outcome, run.problem) == (
        "r1",
        "shop-1",
        "staging",
        Outcome.FAILED,
        None,
    )


async def test_its_locks_are_readable() -> None:
    (holder,) = await holders(FolderBlobs(FORMAT_1 / "objects"))
    assert holder.run == "20270115-080640-3f9a1c"
    assert len(holder.keys) == 6
    assert (holder.owner.host, holder.owner.pid, holder.owner.user) == ("ci-1", 7, "ann")
    assert Writer(pid=7, host="ci-1").is_alive() is None


async def test_what_a_newer_version_adds_is_passed_over(store: RunStore, tmp_path: Path) -> None:
    """New event types and new fields need no new format version."""
    path = tmp_path / "copy" / "local" / "runs" / "r1" / "journal.jsonl"
    if isinstance(store, BlobStore):
        shutil.rmtree(tmp_path / "copy" / "objects" / "runs" / "r1" / "parts", ignore_errors=True)
        path = tmp_path / "copy" / "objects" / "runs" / "r1" / "journal" / "00000011.jsonl"
    with path.open("a", encoding="utf-8") as file:
        file.write('{"v":1,"seq":49,"ts":"2027-01-15T09:00:00.000Z","run":"r1","type":"moon_risen","phase":"full"}\n')
        file.write(
            '{"v":1,"seq":50,"ts":"2027-01-15T09:00:00.000Z","run":"r1","type":"warning_raised","message":"x","new":1}\n'
        )
    records = (await store.read_run("r1")).records
    assert isinstance(records[48].event, UnknownEvent)
    assert (await store.load_run("r1")).last_seq == 50
