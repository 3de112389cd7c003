"""A run that is followed: how often it is drawn, what of it is sent to whom, and what trouble does to it."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from bigruns import big_run, finished_run
from conftest import Virtual

from orchestrator.core.blobs import UnreachableError
from orchestrator.core.errors import StateError, UsageError
from orchestrator.core.events import Record, TargetEvent, TargetFinished, WarningRaised
from orchestrator.core.model import TargetState
from orchestrator.core.ports import Sink
from orchestrator.core.runs import RunTail
from orchestrator.core.state import RunState
from orchestrator.store.blobstore import BlobStore
from orchestrator.testing_blobs import MemoryBlobs
from orchestrator.web.board import MAIN
from orchestrator.web.feed import MOST_OFTEN, Feed
from orchestrator.web.hub import KEPT, Hub
from orchestrator.web.live import LiveSink, LiveTail

S = TargetState
RUNNING = (S.RUNNING,)
SIZE = 20


class Scripted(LiveTail):
    """A run whose events come when a test says so, and that can be in trouble."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        super().__init__(sinks)
        self.reads = 0
        self.trouble: StateError | UsageError | None = None

    async def read(self) -> int:
        self.reads += 1
        if self.trouble is not None:
            raise self.trouble
        return await super().read()

    def tell(self, *texts: str) -> None:
        """Warnings: each is an event that the page shows, and that changes no target."""
        seq, run = self.state.last_seq, self.state.run
        events = (WarningRaised(message=text) for text in texts)
        self.take(
            [Record(seq + number, self.state.last_ts or 0.0, run, event) for number, event in enumerate(events, 1)]
        )


class Stage:
    """A feed, and the tails that it has opened."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.tails: list[Scripted] = []
        self.now = records[-1].ts if records else 1.8e9
        self.feed = Feed("r1", self._open, self._alive, lambda: self.now)

    @property
    def tail(self) -> Scripted:
        return self.tails[-1]

    def _open(self, sinks: Sequence[Sink]) -> RunTail:
        self.tails.append(Scripted(sinks))
        self.tail.take(self.records)
        return self.tail

    @staticmethod
    async def _alive() -> bool:
        return True

    async def play(self, *records: Record) -> None:
        """The run goes on, and is drawn."""
        self.tail.take(records)
        self.now = records[-1].ts
        await self.drawn()

    async def drawn(self) -> int:
        """Its newest drawing, once it has settled."""
        await anyio.sleep(3 * MOST_OFTEN)
        return self.feed.version


@asynccontextmanager
async def followed(records: Sequence[Record] | None = None) -> AsyncIterator[Stage]:
    stage = Stage(big_run(SIZE, states=RUNNING) if records is None else records)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.feed.follow)
        with stage.feed.watched():
            await stage.drawn()
            yield stage
        tasks.cancel_scope.cancel()


def test_a_thousand_events_at_once_are_one_drawing(virtual: Virtual[None]) -> None:
    async def story() -> None:
        async with followed() as stage:
            before = stage.feed.version
            stage.tail.tell(*(f"event {number}" for number in range(1000)))
            await anyio.sleep(MOST_OFTEN / 2)
            assert stage.feed.version == before + 1
            assert "event 999" in str(stage.feed.since(before))

    virtual(story())


def test_the_first_event_after_a_while_is_drawn_at_once_and_then_ten_a_second_at_most(virtual: Virtual[None]) -> None:
    async def story() -> None:
        async with followed() as stage:
            stage.tail.tell("the first")
            before = stage.feed.version
            await anyio.sleep(0.001)
            assert stage.feed.version == before + 1
            for number in range(200):
                stage.tail.tell(f"event {number}")
                await anyio.sleep(0.01)
            assert 15 <= stage.feed.version - before <= 2 / MOST_OFTEN + 2

    virtual(story())


def row(record: Record) -> str:
    """The row of the target that the event is about."""
    assert isinstance(record.event, TargetEvent)
    return f"target/{record.event.target.replace('/', '%2F')}"


def test_only_what_has_changed_is_sent(virtual: Virtual[None]) -> None:
    async def story() -> None:
        whole = finished_run(SIZE)
        async with followed(whole[:100]) as stage:
            seen = stage.feed.version
            await stage.play(whole[100])
            changed = stage.feed.since(seen)
            rows = {name for name in changed if name.startswith("target/")}
            assert row(whole[100]) in rows
            assert len(rows) < SIZE / 2
            assert MAIN not in changed
            assert stage.feed.since(stage.feed.version) == {}

    virtual(story())


def test_who_comes_back_is_told_what_they_missed_and_who_comes_from_elsewhere_everything(
    virtual: Virtual[None],
) -> None:
    async def story() -> None:
        whole = finished_run(SIZE)
        async with followed(whole[:100]) as stage:
            for record in whole[100:104]:
                await stage.play(record)
            missed = stage.feed.since_event(whole[101].seq)
            assert {row(record) for record in whole[102:104]} <= set(missed)
            assert MAIN not in missed
            assert set(stage.feed.since_event(stage.feed.seq + 1)) == {MAIN}  # a run that was longer than this one
            assert set(stage.feed.since_event(0)) == {MAIN}

    virtual(story())


def test_clocks_go_on_without_events(virtual: Virtual[None]) -> None:
    async def story() -> None:
        async with followed() as stage:
            before = stage.feed.version
            for _ in range(10):
                stage.now += 1
                await anyio.sleep(1)
            assert 8 <= stage.feed.version - before <= 11
            assert stage.feed.since(before)

    virtual(story())


def test_in_a_big_run_an_event_comes_before_the_clocks_of_all_others(virtual: Virtual[None]) -> None:
    async def story() -> None:
        async with followed(big_run(300, states=RUNNING)) as stage:
            names = list(stage.feed.state.targets)
            await anyio.sleep(20)
            seen, stage.now = stage.feed.version, stage.now + 3
            ended = TargetFinished(target=names[7], state=S.SUCCEEDED)
            stage.tail.take([Record(stage.feed.seq + 1, stage.now, stage.feed.state.run, ended)])
            await anyio.sleep(0.01)
            first = {name for name in stage.feed.since(seen) if name.startswith(("target/", "node/", "bar/"))}
            assert {name.partition("/")[2] for name in first} == {names[7].replace("/", "%2F")}
            await anyio.sleep(5)
            assert len(stage.feed.since(seen)) > 300

    virtual(story())


def test_nothing_is_read_or_drawn_when_nobody_looks(virtual: Virtual[None]) -> None:
    async def story() -> None:
        stage = Stage(big_run(SIZE, states=RUNNING))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.feed.follow)
            await anyio.sleep(100)
            assert (stage.tail.reads, stage.feed.version) == (0, 0)
            with stage.feed.watched():
                assert await stage.drawn() > 0
            await anyio.sleep(10)
            reads = stage.tail.reads
            await anyio.sleep(100)
            assert stage.tail.reads == reads
            tasks.cancel_scope.cancel()

    virtual(story())


def test_a_run_that_has_ended_is_drawn_once(virtual: Virtual[None]) -> None:
    async def story() -> None:
        async with followed(finished_run(5)) as stage:
            assert stage.feed.is_over
            before = stage.feed.version
            await anyio.sleep(100)
            assert stage.feed.version == before

    virtual(story())


def test_an_outage_is_shown_and_the_run_stays_as_it_was_known(virtual: Virtual[None]) -> None:
    async def story() -> None:
        async with followed() as stage:
            stage.tail.trouble = UnreachableError("the bucket can't be reached")
            await anyio.sleep(5)
            assert "the bucket can&#x27;t be reached" in str(stage.feed.since(0))
            assert stage.feed.state.last_seq > 0
            assert not stage.feed.is_over
            stage.tail.trouble = None
            stage.tail.tell("back again")
            await anyio.sleep(5)
            assert stage.feed.problem is None
            assert len(stage.tails) == 1
            shown = str(stage.feed.since(0))
            assert "back again" in shown
            assert "reached" not in shown

    virtual(story())


def test_a_damaged_journal_is_shown_and_read_anew_until_it_is_mended(virtual: Virtual[None]) -> None:
    async def story() -> None:
        async with followed() as stage:
            stage.records, whole = [], stage.records
            stage.tail.trouble = StateError("line 7 is damaged")
            await anyio.sleep(0.5)
            stage.tail.trouble = StateError("line 7 is damaged")
            await anyio.sleep(0.9)
            assert len(stage.tails) > 1
            stage.records = whole
            await anyio.sleep(5)
            assert stage.feed.problem is None

    virtual(story())


def test_a_page_is_not_made_of_a_run_that_there_is_not(virtual: Virtual[None]) -> None:
    async def story() -> None:
        stage = Stage([])
        stage.tail.trouble = UsageError("no such run")
        with pytest.raises(UsageError):
            await stage.feed.up_to_date()
        await stage.feed.up_to_date()  # it has come meanwhile
        assert stage.feed.version == 1

    virtual(story())


# --- the run of this process -----------------------------------------------------------------------------------------


def test_events_are_handed_over_in_order_and_none_is_kept() -> None:
    taken: list[int] = []
    records = big_run(200)
    with start_blocking_portal() as portal:
        loop_thread = portal.call(threading.get_ident)

        def take(found: Sequence[Record]) -> None:
            assert threading.get_ident() == loop_thread
            taken.extend(record.seq for record in found)

        sink = LiveSink(portal.start_task_soon, take)
        sink.remember(records[:10])
        for record in records[10:]:
            sink.handle(record, RunState())
        portal.call(anyio.sleep, 0.01)
        assert taken == [record.seq for record in records]
        assert not sink._waiting
    sink.handle(records[0], RunState())  # the page has ended, the run goes on
    assert not sink._waiting


def test_the_engine_waits_for_nobody() -> None:
    """While the page's loop is busy, or hangs, events are only put aside."""
    calls: list[Callable[[], None]] = []
    taken: list[int] = []
    sink = LiveSink(calls.append, lambda found: taken.extend(record.seq for record in found))
    records = big_run(1000)
    for record in records:
        sink.handle(record, RunState())
    assert len(calls) == 1
    calls[0]()
    assert taken == [record.seq for record in records]


def hub(tasks: anyio.abc.TaskGroup) -> Hub:
    store = BlobStore(MemoryBlobs())
    return Hub(store, _dead, tasks=tasks, list_every=1.0, clock=lambda: 1.8e9)


async def _dead(_run: str) -> bool:
    return False


def test_the_run_of_this_process_needs_no_journal(virtual: Virtual[None]) -> None:
    async def story() -> None:
        async with anyio.create_task_group() as tasks:
            pages = hub(tasks)
            records = big_run(SIZE)
            pages.take(records[:5])
            feed = await pages.feed(records[0].run)
            with feed.watched():
                pages.take(records[5:])
                await anyio.sleep(1)
                assert feed.seq == records[-1].seq
                assert await pages.find("latest") == records[0].run
                await pages.close()
                assert feed.is_closing
            tasks.cancel_scope.cancel()

    virtual(story())


def test_events_that_cannot_be_folded_end_the_live_page_and_nothing_else(
    virtual: Virtual[None], caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with anyio.create_task_group() as tasks:
            pages = hub(tasks)
            records = big_run(SIZE)
            pages.take(records[:2])
            pages.take(records[4:])
            pages.take(records[5:])
            with pytest.raises(UsageError):  # its journal is looked for
                await pages.feed(records[0].run)
            tasks.cancel_scope.cancel()

    virtual(story())
    assert "follows the journal" in caplog.text


def test_the_newest_run_is_drawn_before_anybody_asks(virtual: Virtual[None]) -> None:
    async def story() -> None:
        async with anyio.create_task_group() as tasks:
            store = BlobStore(MemoryBlobs())
            pages = Hub(store, _dead, tasks=tasks, list_every=1.0, clock=lambda: 1.8e9)
            await pages.warm()  # there is none yet
            async with store.open_journal("r1", new=True) as journal:
                for record in big_run(3):
                    journal.append(record)
            await pages.warm()
            assert (await pages.feed("r1")).version == 1
            tasks.cancel_scope.cancel()

    virtual(story())


def test_feeds_that_nobody_looks_at_are_forgotten(virtual: Virtual[None]) -> None:
    async def story() -> None:
        async with anyio.create_task_group() as tasks:
            store = BlobStore(MemoryBlobs())
            pages = Hub(store, _dead, tasks=tasks, list_every=1.0, clock=lambda: 1.8e9)
            for number in range(KEPT + 5):
                async with store.open_journal(f"r{number}", new=True) as journal:
                    for record in big_run(3):
                        journal.append(record)
            first = await pages.feed("r0")
            for number in range(1, KEPT + 5):
                await pages.feed(f"r{number}")
            assert first.is_closing
            assert await pages.feed("r0") is not first
            assert await pages.feed(f"r{KEPT + 4}") is await pages.feed(f"r{KEPT + 4}")
            assert len(asyncio.all_tasks()) <= KEPT + 4
            tasks.cancel_scope.cancel()

    virtual(story())


def test_a_mistake_of_ours_ends_one_page_which_can_be_asked_for_again(
    virtual: Virtual[None], caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with anyio.create_task_group() as tasks:
            asked: Counter[str] = Counter()

            async def mistaken(run: str) -> bool:
                asked[run] += 1
                if asked[run] == 2:
                    raise ZeroDivisionError
                return True

            store = BlobStore(MemoryBlobs())
            pages = Hub(store, mistaken, tasks=tasks, list_every=1.0, clock=lambda: 1.8e9)
            for run in ("r1", "r2"):
                async with store.open_journal(run, new=True) as journal:
                    for record in big_run(3):
                        journal.append(record)
            other, feed = await pages.feed("r2"), await pages.feed("r1")
            with feed.watched():
                await anyio.sleep(10)
            assert feed.is_closing
            assert not other.is_closing
            assert await pages.feed("r1") is not feed
            tasks.cancel_scope.cancel()

    virtual(story())
    assert "the page of run r1 can't be drawn: ZeroDivisionError" in caplog.text
