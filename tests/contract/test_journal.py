"""What every journal must do, whatever it is made of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from orchestrator.core.events import Record, WarningRaised
from orchestrator.core.ports import Journal
from orchestrator.store.local import LocalStore
from orchestrator.testing import MemoryJournal

pytestmark = pytest.mark.anyio


class Bench:
    """A journal's way in, and its way out: what a later process would read."""

    def __init__(
        self,
        open_journal: Callable[[bool], AbstractAsyncContextManager[Journal]],
        read: Callable[[], tuple[Record, ...]],
    ) -> None:
        self.open = open_journal
        self.read = read


def local(path: Path) -> Bench:
    store = LocalStore(path / "state")

    @asynccontextmanager
    async def opened(new: bool) -> AsyncIterator[Journal]:
        async with store.open_journal("run-1", new=new) as journal:
            yield journal

    return Bench(opened, lambda: store.read_journal("run-1").records)


def memory(path: Path) -> Bench:
    kept = MemoryJournal()

    @asynccontextmanager
    async def opened(new: bool) -> AsyncIterator[Journal]:
        yield kept

    return Bench(opened, lambda: tuple(kept.records))


@pytest.fixture(params=[local, memory])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    made: Bench = request.param(tmp_path)
    return made


def record(seq: int) -> Record:
    return Record(seq, 1_700_000_000.0 + seq, "run-1", WarningRaised(message=f"number {seq}"))


def numbers(records: tuple[Record, ...]) -> list[int]:
    return [record.seq for record in records]


async def test_what_is_flushed_can_be_read(bench: Bench) -> None:
    async with bench.open(True) as journal:
        journal.append(record(1))
        journal.append(record(2))
        await journal.flush()
        assert bench.read() == (record(1), record(2))


async def test_a_flush_of_nothing_returns(bench: Bench) -> None:
    async with bench.open(True) as journal:
        await journal.flush()
    assert bench.read() == ()


async def test_what_is_pending_at_the_end_is_written(bench: Bench) -> None:
    async with bench.open(True) as journal:
        journal.append(record(1))
    assert numbers(bench.read()) == [1]


async def test_a_journal_goes_on_where_it_stood(bench: Bench) -> None:
    async with bench.open(True) as journal:
        journal.append(record(1))
    async with bench.open(False) as journal:
        journal.append(record(2))
    assert numbers(bench.read()) == [1, 2]


async def test_many_flushes_at_once_keep_the_order(bench: Bench) -> None:
    async with bench.open(True) as journal:

        async def write(seq: int) -> None:
            journal.append(record(seq))
            await journal.flush()
            assert seq in numbers(bench.read())

        async with anyio.create_task_group() as tasks:
            for seq in range(1, 51):
                tasks.start_soon(write, seq)
    assert sorted(numbers(bench.read())) == list(range(1, 51))


async def test_cancelled_flushes_lose_and_double_nothing(bench: Bench) -> None:
    async with bench.open(True) as journal:
        for seq in range(1, 101):
            journal.append(record(seq))
            with anyio.move_on_after(0):
                await journal.flush()
    assert numbers(bench.read()) == list(range(1, 101))


async def test_what_is_pending_is_written_also_when_the_run_is_cancelled(bench: Bench) -> None:
    with anyio.CancelScope() as scope:
        async with bench.open(True) as journal:
            journal.append(record(1))
            scope.cancel()
            await anyio.sleep_forever()
    assert numbers(bench.read()) == [1]


async def test_what_is_pending_is_written_also_when_the_run_fails(bench: Bench) -> None:
    async def fail() -> None:
        async with bench.open(True) as journal:
            journal.append(record(1))
            raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        await fail()
    assert numbers(bench.read()) == [1]
