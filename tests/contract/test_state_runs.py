"""What every store of runs must do: the local folder, and numbered objects in memory, in a folder and in S3."""

from __future__ import annotations

import anyio
import pytest
from stores import RUN, started, store, warning, write

from orchestrator.core.errors import StateError, UsageError
from orchestrator.core.events import Record, RunDetached, RunFinished, RunResumed
from orchestrator.core.model import Outcome, TargetState
from orchestrator.core.notification_events import NotificationClosed
from orchestrator.core.runs import RunStore

__all__ = ["store"]

pytestmark = pytest.mark.anyio

FINISHED = RunFinished(outcome=Outcome.FAILED, exit_code=3)


async def seqs(store: RunStore, run: str = RUN) -> list[int]:
    return [record.seq for record in (await store.read_run(run)).records]


# --- journals --------------------------------------------------------------------------------------------------------


async def test_what_is_flushed_can_be_read(store: RunStore) -> None:
    async with store.open_journal(RUN, new=True) as journal:
        assert journal.found.records == ()
        first = Record(1, 1_700_000_001.0, RUN, started())
        journal.append(first)
        journal.append(Record(2, 1_700_000_002.5, RUN, warning("äöü")))
        await journal.flush()
        assert (await store.read_run(RUN)).records == (first, Record(2, 1_700_000_002.5, RUN, warning("äöü")))


async def test_a_flush_of_nothing_writes_nothing(store: RunStore) -> None:
    await write(store, started())
    async with store.open_journal(RUN, new=False) as journal:
        await journal.flush()
        await journal.publish()
    assert await seqs(store) == [1]


async def test_a_journal_goes_on_where_it_stood(store: RunStore) -> None:
    await write(store, started(), warning("one"))
    async with store.open_journal(RUN, new=False) as journal:
        assert [record.seq for record in journal.found.records] == [1, 2]
        journal.append(Record(3, 5.0, RUN, warning("two")))
    assert await seqs(store) == [1, 2, 3]


async def test_many_flushes_at_once_keep_the_order(store: RunStore) -> None:
    async with store.open_journal(RUN, new=True) as journal:
        journal.append(Record(1, 1.0, RUN, started()))

        async def step(seq: int) -> None:
            journal.append(Record(seq, 1.0, RUN, warning(str(seq))))
            await journal.flush()
            assert seq in await seqs(store)

        async with anyio.create_task_group() as tasks:
            for seq in range(2, 41):
                tasks.start_soon(step, seq)
    assert await seqs(store) == list(range(1, 41))


async def test_cancelled_flushes_lose_and_double_nothing(store: RunStore) -> None:
    async with store.open_journal(RUN, new=True) as journal:
        journal.append(Record(1, 1.0, RUN, started()))
        for seq in range(2, 31):
            journal.append(Record(seq, 1.0, RUN, warning(str(seq))))
            with anyio.move_on_after(0 if seq % 2 else 0.002):
                await journal.flush()
    assert await seqs(store) == list(range(1, 31))


async def test_what_is_pending_is_written_also_when_the_run_is_cancelled(store: RunStore) -> None:
    with anyio.CancelScope() as scope:
        async with store.open_journal(RUN, new=True) as journal:
            journal.append(Record(1, 1.0, RUN, started()))
            scope.cancel()
            await anyio.sleep_forever()
    assert await seqs(store) == [1]


async def test_what_is_pending_is_written_also_when_the_run_fails(store: RunStore) -> None:
    async def fail() -> None:
        async with store.open_journal(RUN, new=True) as journal:
            journal.append(Record(1, 1.0, RUN, started()))
            raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        await fail()
    assert await seqs(store) == [1]


async def test_a_run_is_created_once_and_reopened_only_when_it_is_there(store: RunStore) -> None:
    await write(store, started())
    with pytest.raises(StateError, match="exists already"):
        await write(store, started())
    with pytest.raises(UsageError, match="no run 'r2'"):
        await write(store, warning("x"), run="r2", after=1)
    with pytest.raises(UsageError, match="no run id"):
        await write(store, started(), run="../r2")


async def test_of_two_processes_only_one_goes_on_with_a_run(store: RunStore) -> None:
    """The folder's lock keeps the second out; objects fence whoever writes second."""
    await write(store, started())
    done: list[str] = []

    async def go_on(who: str) -> None:
        async with store.open_journal(RUN, new=False) as journal:
            await anyio.sleep(0.05)
            journal.append(Record(2, 1.0, RUN, warning(who)))
            await journal.flush()
            done.append(who)

    results = []
    async with anyio.create_task_group() as tasks:

        async def attempt(who: str) -> None:
            try:
                await go_on(who)
            except StateError as error:
                results.append(error)

        tasks.start_soon(attempt, "a")
        tasks.start_soon(attempt, "b")
    assert len(done) == len(results) == 1
    (_, record) = (await store.read_run(RUN)).records
    assert record.event == warning(done[0])


# --- lists and states ------------------------------------------------------------------------------------------------


async def test_a_place_without_runs_is_empty(store: RunStore) -> None:
    assert await store.list_runs() == []
    with pytest.raises(UsageError, match="there are no runs"):
        await store.find_run(None)
    with pytest.raises(UsageError, match="no run 'x'"):
        await store.find_run("x")
    with pytest.raises(UsageError, match="no run 'x'"):
        await store.load_run("x")


async def test_the_state_is_folded_from_the_journal(store: RunStore) -> None:
    await write(store, started(), FINISHED)
    state = await store.load_run(RUN)
    assert (state.run, state.release, state.outcome, state.exit_code) == (RUN, "shop", Outcome.FAILED, 3)
    assert [target.state for target in state.targets.values()] == [TargetState.PENDING]


async def test_runs_are_listed_newest_first_with_how_they_stand(store: RunStore) -> None:
    await write(store, started("old"), FINISHED, run="r1", at=1_700_000_000.0)
    await write(store, started("left"), RunDetached(reason="--for", running=()), run="r2", at=1_700_000_100.0)
    await write(store, started("new"), warning("x"), run="r3", at=1_700_000_200.0)
    runs = await store.list_runs()
    assert [(run.run, run.release, run.environment, run.manifest) for run in runs] == [
        ("r3", "new", "staging", "release.yaml"),
        ("r2", "left", "staging", "release.yaml"),
        ("r1", "old", "staging", "release.yaml"),
    ]
    assert [(run.outcome, run.detached, run.problem) for run in runs] == [
        (Outcome.RUNNING, False, None),
        (Outcome.RUNNING, True, None),
        (Outcome.FAILED, False, None),
    ]
    assert runs[2].started_at == 1_700_000_001.0
    assert runs[2].last_at == 1_700_000_002.0


async def test_what_becomes_of_notifications_after_the_end_changes_nothing_in_the_list(store: RunStore) -> None:
    told = [NotificationClosed(notification=str(number), outcome="failed") for number in range(200)]
    await write(store, started(), FINISHED, *told)
    (run,) = await store.list_runs()
    assert run.outcome is Outcome.FAILED
    assert (await store.load_run(RUN)).outcome is Outcome.FAILED


async def test_a_run_that_goes_on_is_listed_as_running_again(store: RunStore) -> None:
    await write(store, started(), FINISHED)
    await write(store, RunResumed(version="0", host="h", pid=1), after=2)
    (run,) = await store.list_runs()
    assert run.outcome is Outcome.RUNNING


async def test_a_run_is_found_by_the_beginning_of_its_id(store: RunStore) -> None:
    await write(store, started(), run="20261124-01", at=1_700_000_000.0)
    await write(store, started(), run="20261124-02", at=1_700_000_100.0)
    assert await store.find_run("20261124-02") == "20261124-02"
    assert await store.find_run(None) == "20261124-02"
    with pytest.raises(UsageError, match="the beginning of 2 runs"):
        await store.find_run("2026")
    with pytest.raises(UsageError, match="no run '20261124-03'") as caught:
        await store.find_run("20261124-03")
    assert caught.value.hint is not None
    assert "20261124-02" in caught.value.hint
