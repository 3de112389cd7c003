"""What `/metrics` says over the runs of a state: read once, bounded, also while a run goes on."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
from prometheus_client.parser import text_string_to_metric_families
from stores import started, write

from orchestrator.app.history import EVERY, PATIENCE, History
from orchestrator.core import events as ev
from orchestrator.core.blobs import PatientBlobs
from orchestrator.core.delivery import DAY
from orchestrator.core.errors import StateError
from orchestrator.core.model import Outcome, TargetState
from orchestrator.core.runs import RunStore
from orchestrator.store.blobstore import BlobStore
from orchestrator.store.local import LocalStore
from orchestrator.testing_blobs import MemoryBlobs

Virtual = Callable[[Coroutine[Any, Any, None]], None]

NOW = 1_700_000_000.0
MANIFEST = 'environment="staging",manifest="release.yaml"'


def memory(blobs: MemoryBlobs) -> RunStore:
    return BlobStore(PatientBlobs(blobs, random=Random(1)))  # noqa: S311 - jitter, not a secret


def a_run(outcome: Outcome | None, release: str = "shop") -> list[ev.Event]:
    """`None`: it goes on."""
    state = TargetState.SUCCEEDED if outcome is Outcome.SUCCEEDED else TargetState.FAILED
    intended = ev.DeploymentIntended(
        target="app/fleet",
        token="t",
        attempt=1,
        application_name="app",
        deployment_group_name="fleet",
        region="r",
        role_arn=None,
        revision={},
    )
    events: list[ev.Event] = [started(release), intended]
    events.append(ev.DeploymentStarted(target="app/fleet", token="t", deployment_id="d-1"))
    if outcome is not None:
        events += [ev.TargetFinished(target="app/fleet", state=state), ev.RunFinished(outcome=outcome, exit_code=0)]
    return events


async def scraped(history: History) -> dict[str, float]:
    body, headers = await history.answer("", "")
    assert headers["Content-Type"].startswith("text/plain")
    text = body.decode()
    list(text_string_to_metric_families(text))
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {series.removeprefix("orchestrator_"): float(value) for series, _, value in lines}


async def test_the_last_run_the_last_success_and_the_measures(tmp_path: Path, anyio_backend: str) -> None:
    store = LocalStore(tmp_path)
    await write(store, *a_run(Outcome.SUCCEEDED, "shop-1"), run="20260101-000000-000001", at=NOW - 20 * DAY)
    await write(store, *a_run(Outcome.FAILED, "shop-2"), run="20260102-000000-000002", at=NOW - 2 * DAY)
    got = await scraped(History(store, clock=lambda: NOW))
    last = f'{MANIFEST},%srelease="shop-2"'
    expected = {
        'run_info{environment="staging",release="shop-2",run="20260102-000000-000002"}': 1.0,
        f'last_run_outcome{{{MANIFEST},outcome="failed",release="shop-2"}}': 1.0,
        f'last_run_outcome{{{MANIFEST},outcome="succeeded",release="shop-2"}}': 0.0,
        f'last_run_targets{{{MANIFEST},release="shop-2",state="failed"}}': 1.0,
        f"last_run_start_time_seconds{{{last % ''}}}": NOW - 2 * DAY + 1,
        f"last_run_duration_seconds{{{last % ''}}}": 4.0,
        'last_success_timestamp_seconds{environment="staging",release="shop-1"}': NOW - 20 * DAY + 5,
        f'releases{{{MANIFEST},outcome="succeeded",window="7d"}}': 0.0,
        f'releases{{{MANIFEST},outcome="failed",window="7d"}}': 1.0,
        f'releases{{{MANIFEST},outcome="succeeded",window="30d"}}': 1.0,
        f'release_failure_ratio{{{MANIFEST},window="30d"}}': 0.5,
        f'release_failure_ratio{{{MANIFEST},window="7d"}}': 1.0,
        f'release_lead_time_seconds{{{MANIFEST},percentile="50",since="start",window="30d"}}': 4.0,
        "history_unread_runs": 0.0,
    }
    assert {name: got.get(name) for name in expected} == expected
    # Those of one run have no labels to tell several by.
    assert not any(name.startswith(("run_start", "run_outcome", "run_duration", "targets")) for name in got)


async def test_an_empty_state_has_something_to_scrape(tmp_path: Path, anyio_backend: str) -> None:
    assert await scraped(History(LocalStore(tmp_path))) == {"history_unread_runs": 0.0}


async def test_what_cannot_be_read_does_not_keep_the_others_from_counting(tmp_path: Path, anyio_backend: str) -> None:
    store = LocalStore(tmp_path)
    await write(store, *a_run(Outcome.SUCCEEDED), run="20260101-000000-000001", at=NOW)
    await write(store, *a_run(Outcome.SUCCEEDED), run="20260102-000000-000002", at=NOW)
    broken = tmp_path / "runs" / "20260102-000000-000002" / "journal.jsonl"
    lines = broken.read_text().splitlines(keepends=True)
    broken.write_text("".join([lines[0], "rubbish\n", *lines[2:]]))
    got = await scraped(History(store, clock=lambda: NOW))
    assert got[f'releases{{{MANIFEST},outcome="succeeded",window="7d"}}'] == 1.0


def test_journals_are_read_once_and_those_that_go_on_again(virtual: Virtual) -> None:
    blobs = MemoryBlobs()
    store = memory(blobs)

    async def check() -> None:
        history = History(store, clock=lambda: NOW)
        await write(store, *a_run(Outcome.SUCCEEDED), run="20260101-000000-000001", at=NOW - 100)
        await scraped(history)
        read = blobs.calls["get"]
        await write(store, *a_run(Outcome.FAILED), run="20260102-000000-000002", at=NOW - 50)
        before = await scraped(history)
        assert blobs.calls["get"] == read  # it was looked at a moment ago
        assert before[f'last_run_outcome{{{MANIFEST},outcome="succeeded",release="shop"}}'] == 1.0
        await anyio.sleep(EVERY)
        after = await scraped(history)
        assert after[f'last_run_outcome{{{MANIFEST},outcome="failed",release="shop"}}'] == 1.0
        assert 0 < blobs.calls["get"] - read <= 2

    virtual(check())


def test_a_run_that_was_blocked_and_goes_on_is_read_again(virtual: Virtual) -> None:
    store = memory(MemoryBlobs())

    async def check() -> None:
        history = History(store, clock=lambda: NOW)
        await write(store, *a_run(None), at=NOW - 100)
        got = await scraped(history)
        assert got[f'last_run_targets{{{MANIFEST},release="shop",state="running"}}'] == 1.0
        finished = ev.TargetFinished(target="app/fleet", state=TargetState.SUCCEEDED)
        await write(store, finished, ev.RunFinished(outcome=Outcome.SUCCEEDED, exit_code=0), after=3, at=NOW - 50)
        await anyio.sleep(EVERY)
        got = await scraped(history)
        assert got[f'last_run_targets{{{MANIFEST},release="shop",state="succeeded"}}'] == 1.0

    virtual(check())


def test_a_slow_state_is_read_bit_by_bit_and_says_how_much_is_missing(virtual: Virtual) -> None:
    async def slowly(operation: str, name: str) -> None:
        await anyio.sleep(1.0 if operation == "get" else 0.0)

    blobs = MemoryBlobs()

    async def check() -> None:
        for number in range(60):
            await write(memory(blobs), *a_run(Outcome.SUCCEEDED), run=f"20260101-000000-{number:06x}", at=NOW - 100)
        history = History(memory(MemoryBlobs(blobs.objects, before=slowly)), clock=lambda: NOW)
        began = anyio.current_time()
        first = await scraped(history)
        assert anyio.current_time() - began <= PATIENCE + 2
        counted = f'releases{{{MANIFEST},outcome="succeeded",window="7d"}}'
        assert 0 < first["history_unread_runs"] < 60
        assert first[counted] == 60 - first["history_unread_runs"]
        while (got := await scraped(history))["history_unread_runs"]:
            pass
        assert got[counted] == 60

    virtual(check())


async def test_a_state_that_has_gone_is_an_error(tmp_path: Path, anyio_backend: str) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(StateError, match="runs"):
        await History(LocalStore(tmp_path)).answer("", "")
