"""Journals of numbered objects: lost answers, fences, gathering, parts, damage, and the list of runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from random import Random
from typing import Any

import anyio
import pytest

from orchestrator.core.blobs import Blob, BlobPatience, CredentialsLostError, PatientBlobs, UnreachableError
from orchestrator.core.errors import AnswerLostError, CredentialsError, ExitCode, StateError, ThrottledError
from orchestrator.core.events import Event, Record, RunFinished, RunStarted, WarningRaised
from orchestrator.core.lease import LeaseKeeper
from orchestrator.core.locks import LOCKS, Owner
from orchestrator.core.model import Outcome
from orchestrator.core.notification_events import NotificationClosed
from orchestrator.core.runs import FencedError, Writer
from orchestrator.store.blobjournal import BlobJournal
from orchestrator.store.blobstore import BlobStore
from orchestrator.testing_blobs import MemoryBlobs

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]

RUN = "r1"
JOURNAL = f"runs/{RUN}/journal/"
PARTS = f"runs/{RUN}/parts/"
FINISHED = RunFinished(outcome=Outcome.SUCCEEDED, exit_code=0)


def started(release: str = "shop", manifest: str = "release.yaml") -> RunStarted:
    return RunStarted(
        release=release,
        environment="staging",
        manifest=manifest,
        manifest_digest="sha256:0",
        targets=(),
        policy={},
        concurrency={},
        version="0",
        host="ci",
        pid=1,
    )


def store_over(attempts: MemoryBlobs, seconds: float = 60.0) -> BlobStore:
    patience = BlobPatience(seconds=seconds)
    return BlobStore(PatientBlobs(attempts, random=Random(1), patience=patience))  # noqa: S311 - jitter, not a secret


class Pen:
    """Appends events with their numbers."""

    def __init__(self, journal: BlobJournal) -> None:
        self.journal = journal
        self.seq = len(journal.found.records)

    def append(self, event: Event | None = None) -> None:
        self.seq += 1
        event = event or WarningRaised(message=f"number {self.seq}")
        self.journal.append(Record(self.seq, 1_700_000_000.0 + self.seq, RUN, event))


async def seqs(store: BlobStore) -> list[int]:
    return [record.seq for record in (await store.read_run(RUN)).records]


def objects(attempts: MemoryBlobs, prefix: str = JOURNAL) -> list[str]:
    return sorted(name.removeprefix(prefix) for name in attempts.objects if name.startswith(prefix))


async def write(store: BlobStore, count: int, *, one_by_one: bool = False) -> None:
    async with store.open_journal(RUN, new=True) as journal:
        pen = Pen(journal)
        pen.append(started())
        for _ in range(count - 1):
            pen.append()
            if one_by_one:
                await journal.flush()


# --- gathering -------------------------------------------------------------------------------------------------------


def test_all_that_is_pending_goes_in_one_object(virtual: Virtual) -> None:
    async def play() -> None:
        attempts = MemoryBlobs()
        async with store_over(attempts).open_journal(RUN, new=True) as journal:
            pen = Pen(journal)
            for _ in range(50):
                pen.append()
            began = anyio.current_time()
            await journal.flush()
            assert anyio.current_time() - began < 0.05  # what comes alone waits for nothing
            assert objects(attempts) == ["00000001.jsonl"]

    virtual(play())


def test_a_thousand_steps_in_a_minute_share_objects(virtual: Virtual) -> None:
    async def play() -> None:
        async def slow(_operation: str, _name: str) -> None:
            await anyio.sleep(0.05)

        attempts = MemoryBlobs(before=slow)
        store = store_over(attempts)
        waits: list[float] = []
        async with store.open_journal(RUN, new=True) as journal:
            pen = Pen(journal)

            async def step() -> None:
                pen.append()
                began = anyio.current_time()
                await journal.flush()
                waits.append(anyio.current_time() - began)

            async with anyio.create_task_group() as tasks:
                for _ in range(1000):
                    tasks.start_soon(step)
                    await anyio.sleep(0.05)
        assert len(objects(attempts)) < 400
        assert max(waits) < 0.5
        assert await seqs(store) == list(range(1, 1001))

    virtual(play())


def test_what_nobody_waits_for_is_gathered(virtual: Virtual) -> None:
    """An event each second for an hour, only watched, with the engine's regular publish."""

    async def play() -> None:
        attempts = MemoryBlobs()
        store = store_over(attempts)
        async with store.open_journal(RUN, new=True) as journal:
            pen = Pen(journal)
            in_minute: list[int] = []
            for _ in range(60):
                before = len(objects(attempts))
                for _ in range(60):
                    pen.append()
                    await anyio.sleep(1)
                    await journal.publish()
                in_minute.append(len(objects(attempts)) - before)
                seen = (await seqs(store))[-1:] or [0]
                late = pen.seq - seen[0]
                assert late <= max(2, pen.seq / 60 + 1)
        assert max(in_minute) <= 60
        assert sum(in_minute) < 320

    virtual(play())


def test_publishing_with_nothing_new_writes_nothing(virtual: Virtual) -> None:
    async def play() -> None:
        attempts = MemoryBlobs()
        async with store_over(attempts).open_journal(RUN, new=True) as journal:
            Pen(journal).append()
            await journal.flush()
            written = attempts.calls["put"]
            for _ in range(600):
                await anyio.sleep(1)
                await journal.publish()
            assert attempts.calls["put"] == written

    virtual(play())


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_whatever_gets_lost_the_journal_is_whole(virtual: Virtual, seed: int) -> None:
    """Lost requests, lost answers, cancelled waiters, a process that dies and another that goes on."""

    async def play() -> None:
        random = Random(seed)  # noqa: S311 - a scenario, not a secret
        share = random.choice([0.0, 0.1, 0.4])

        async def foul(_operation: str, _name: str) -> None:
            await anyio.sleep(random.choice([0.0, 0.05, 0.5]))
            if random.random() < share:
                raise random.choice([AnswerLostError, ThrottledError])("rehearsal")

        attempts = MemoryBlobs(before=foul, after=foul)
        store = store_over(attempts)
        durable = 0
        for life in range(3):
            with suppress(StateError):  # the last events may not get through in time
                async with store.open_journal(RUN, new=life == 0) as journal:
                    pen = Pen(journal)
                    assert pen.seq >= durable
                    if life == 0:
                        pen.append(started())
                        await journal.flush()
                    for _ in range(random.randint(1, 40)):
                        pen.append()
                        wanted = pen.seq
                        with anyio.move_on_after(random.choice([0.0, 0.2, 1000.0])) as scope:
                            await journal.flush()
                        if not scope.cancelled_caught:
                            durable = wanted
                        if random.random() < 0.3:
                            await anyio.sleep(random.uniform(0, 3))
                            await journal.publish()
            found = await seqs(store)
            assert found == list(range(1, len(found) + 1))
            assert len(found) >= durable

    virtual(play())


def test_whoever_writes_second_is_fenced_for_good(virtual: Virtual) -> None:
    async def play() -> None:
        attempts = MemoryBlobs()
        store = store_over(attempts)
        await write(store, 3)
        with pytest.raises(FencedError, match="another process goes on with run r1"):  # noqa: PT012 - what is tested
            async with store.open_journal(RUN, new=False) as stale, store.open_journal(RUN, new=False) as heir:
                old, new = Pen(stale), Pen(heir)
                new.append()
                await heir.flush()
                old.append(FINISHED)
                for _ in range(3):
                    with pytest.raises(FencedError):
                        await stale.flush()
                puts = attempts.calls["put"]
                with pytest.raises(FencedError):
                    await stale.flush()
                assert attempts.calls["put"] == puts  # it doesn't even try
                new.append()
                await heir.flush()
        assert await seqs(store) == [1, 2, 3, 4, 5]
        assert (await store.list_runs())[0].outcome is Outcome.RUNNING  # nor did the fenced one mark its end

    virtual(play())


def test_a_state_that_was_read_too_early_cannot_be_gone_on_with(virtual: Virtual) -> None:
    async def play() -> None:
        store = store_over(MemoryBlobs())
        await write(store, 3)
        async with store.open_journal(RUN, new=False) as journal:
            with pytest.raises(StateError, match=r"event 3 can't follow event 3"):
                journal.append(Record(3, 1.0, RUN, FINISHED))

    virtual(play())


def test_an_unreachable_store_keeps_what_is_pending(virtual: Virtual) -> None:
    async def play() -> None:
        attempts = MemoryBlobs()
        store = store_over(attempts)
        async with store.open_journal(RUN, new=True) as journal:
            pen = Pen(journal)

            async def down(_operation: str, _name: str) -> None:
                raise AnswerLostError("could not connect", hint="check the network")

            up, attempts.before = attempts.before, down
            pen.append()
            began = anyio.current_time()
            with pytest.raises(UnreachableError, match="could not connect") as caught:
                await journal.flush()
            assert caught.value.hint == "check the network"
            assert "memory:/runs/r1/journal/00000001.jsonl" in caught.value.message
            assert 50 <= anyio.current_time() - began <= 65
            pen.append()
            attempts.before = up
            await journal.flush()
        assert await seqs(store) == [1, 2]

    virtual(play())


def test_without_rights_it_says_so_at_once(virtual: Virtual) -> None:
    async def play() -> None:
        async def denied(_operation: str, _name: str) -> None:
            raise CredentialsError("no", code="ExpiredToken", hint="renew the credentials")

        with pytest.raises(UnreachableError, match="ExpiredToken") as caught:
            await store_over(MemoryBlobs(before=denied)).list_runs()
        assert caught.value.hint == "renew the credentials"
        assert anyio.current_time() == 1000

    virtual(play())


def test_an_answer_that_never_comes_is_asked_for_again(virtual: Virtual) -> None:
    async def play() -> None:
        attempts = MemoryBlobs()
        hung = 0

        async def hang(operation: str, _name: str) -> None:
            nonlocal hung
            if operation == "put" and hung < 2:
                hung += 1
                await anyio.sleep_forever()

        attempts.after = hang  # carried out, and never answered
        store = store_over(attempts)
        async with store.open_journal(RUN, new=True) as journal:
            Pen(journal).append()
            await journal.flush()
        assert hung == 1
        assert await seqs(store) == [1]
        assert objects(attempts) == ["00000001.jsonl"]

    virtual(play())


def test_the_end_waits_ten_seconds_for_an_unreachable_store(virtual: Virtual) -> None:
    async def play() -> None:
        attempts = MemoryBlobs()

        async def down(operation: str, _name: str) -> None:
            if operation == "put":
                raise AnswerLostError("could not connect")

        attempts.before = down
        with pytest.raises(StateError, match="could not be written within 10 s"):
            await write(store_over(attempts), 1)
        assert anyio.current_time() - 1000 <= 11

        with pytest.raises(RuntimeError) as caught:  # noqa: PT012 - the block's own error
            async with store_over(attempts).open_journal(RUN, new=True) as journal:
                Pen(journal).append()
                raise RuntimeError("bug")
        assert caught.value.__notes__ == ["besides: the last events could not be written within 10 s"]

    virtual(play())


# --- parts and damage ------------------------------------------------------------------------------------------------


def test_readers_are_spared_most_objects(virtual: Virtual) -> None:
    async def play() -> None:
        attempts = MemoryBlobs()
        store = store_over(attempts)
        async with store.open_journal(RUN, new=True) as journal:
            pen = Pen(journal)
            for _ in range(450):
                pen.append()
                await journal.flush()
                await anyio.sleep(1)
                await journal.publish()
        async with store.open_journal(RUN, new=False) as journal:
            pen = Pen(journal)
            for _ in range(5):
                pen.append()
                await journal.flush()
        assert len(objects(attempts)) == 455
        assert len(objects(attempts, PARTS)) <= 5
        attempts.calls.clear()
        assert await seqs(store) == list(range(1, 456))
        assert attempts.calls["get"] <= 10
        for name in objects(attempts, PARTS):
            del attempts.objects[PARTS + name]
        assert await seqs(store) == list(range(1, 456))

    virtual(play())


def test_a_part_that_fails_harms_nobody(virtual: Virtual) -> None:
    async def play() -> None:
        attempts = MemoryBlobs()

        async def no_parts(operation: str, name: str) -> None:
            if operation == "put" and name.startswith(PARTS):
                raise AnswerLostError("no")

        attempts.before = no_parts
        store = store_over(attempts, seconds=2.0)
        async with store.open_journal(RUN, new=True) as journal:
            pen = Pen(journal)
            for _ in range(120):
                pen.append()
                await journal.flush()
                await journal.publish()
        assert await seqs(store) == list(range(1, 121))

    virtual(play())


def damaged(content: bytes) -> list[tuple[bytes, str]]:
    head, line, _ = content.split(b"\n", 2)
    return [
        (content[:-1], r"00000002\.jsonl: its last line is cut off"),
        (content[:-20], r"00000002\.jsonl: its last line is cut off"),
        (b"\0" * 50 + b"\n", r"00000002\.jsonl:1: not a journal record"),
        (head + b"\n17\n", r"00000002\.jsonl:2: not a journal record: not a JSON object"),
        (head + b"\n{}\n", r"00000002\.jsonl:2: not a journal record: 'v' is missing"),
        (line + b"\n", r"00000002\.jsonl: it ends with object 1, not 2"),
        (b"", r"00000002\.jsonl: it ends with object 1, not 2"),
        (content.replace(b'"number":2', b'"number":7'), r"00000002\.jsonl:1: object 7 stands where 2 belongs"),
        (content.replace(b'"journal":1', b'"journal":2'), r"00000002\.jsonl:1: layout version 2"),
        (content.replace(b'"v":1', b'"v":9'), r"00000002\.jsonl:2: format version 9"),
    ]


def test_damage_is_named_by_object_and_line(virtual: Virtual) -> None:
    async def play() -> None:
        attempts = MemoryBlobs()
        store = store_over(attempts)
        await write(store, 3, one_by_one=True)
        name = JOURNAL + "00000002.jsonl"
        good = attempts.objects[name]
        for content, message in damaged(good.content):
            attempts.objects[name] = Blob(content, "x")
            with pytest.raises(StateError, match=message):
                await store.read_run(RUN)
            with pytest.raises(StateError, match=message):
                async with store.open_journal(RUN, new=False):
                    pass
        attempts.objects[name] = good
        assert await seqs(store) == [1, 2, 3]

    virtual(play())


def test_a_missing_object_is_named(virtual: Virtual) -> None:
    async def play() -> None:
        attempts = MemoryBlobs()
        store = store_over(attempts)
        await write(store, 5, one_by_one=True)
        assert len(objects(attempts)) == 4
        del attempts.objects[JOURNAL + "00000002.jsonl"]
        with pytest.raises(StateError, match=r"memory:/runs/r1: object 2 of 4 of the journal is missing"):
            await store.read_run(RUN)

    virtual(play())


# --- the list --------------------------------------------------------------------------------------------------------


def test_the_list_takes_no_object_for_each_run(virtual: Virtual) -> None:
    async def play() -> None:
        attempts = MemoryBlobs()
        store = store_over(attempts)
        for number in range(50):
            async with store.open_journal(f"r{number}", new=True) as journal:
                for seq, event in enumerate([started(f"release-{number}"), FINISHED], start=1):
                    journal.append(Record(seq, 1_700_000_000.0 + number * 10 + seq, f"r{number}", event))
        attempts.calls.clear()
        runs = await store.list_runs()
        assert [run.run for run in runs[:2]] == ["r49", "r48"]
        assert {run.outcome for run in runs} == {Outcome.SUCCEEDED}
        assert (attempts.calls["list"], attempts.calls["get"]) == (1, 1)

    virtual(play())


def test_long_and_foreign_names_fit(virtual: Virtual) -> None:
    async def play() -> None:
        attempts = MemoryBlobs()
        store = store_over(attempts)
        async with store.open_journal(RUN, new=True) as journal:
            Pen(journal).append(started("Größe–" + "ü" * 200, "/very/long/" + "path/" * 100))
        assert max(len(name) for name in attempts.objects) <= 900
        (run,) = await store.list_runs()
        assert run.release.startswith("Größe–üüü")
        assert run.release.endswith("…")

    virtual(play())


def test_a_foreign_object_in_the_index_is_no_disaster(virtual: Virtual) -> None:
    async def play() -> None:
        attempts = MemoryBlobs()
        store = store_over(attempts)
        await write(store, 1)
        for name in ("index/x/y", "index/z/00000001.####", "index/w/00000001.W10"):
            attempts.write(name, b"")
        runs = await store.list_runs()
        assert [(run.run, run.problem is None) for run in runs] == [
            ("r1", True),
            ("z", False),
            ("x", False),
            ("w", False),
        ]

    virtual(play())


@pytest.mark.parametrize("after", [(), (NotificationClosed(notification="n", outcome="succeeded"),)])
def test_an_end_that_was_not_marked_is_marked_by_whoever_opens_the_run(
    virtual: Virtual, after: tuple[Event, ...]
) -> None:
    """Also where something was told after it."""

    async def play() -> None:
        attempts = MemoryBlobs()
        store = store_over(attempts)

        async def die_before_the_mark(operation: str, name: str) -> None:
            if operation == "put" and name.startswith("index/r1/00000002"):
                raise AnswerLostError("killed")

        attempts.before = die_before_the_mark
        with pytest.raises(StateError):  # noqa: PT012 - raised at the end of the block
            async with store.open_journal(RUN, new=True) as journal:
                pen = Pen(journal)
                pen.append(started())
                for event in (FINISHED, *after):
                    pen.append(event)
        attempts.before = MemoryBlobs().before
        assert (await store.list_runs())[0].outcome is Outcome.RUNNING
        assert (await store.load_run(RUN)).outcome is Outcome.SUCCEEDED
        async with store.open_journal(RUN, new=False):
            pass
        assert (await store.list_runs())[0].outcome is Outcome.SUCCEEDED

    virtual(play())


def test_the_list_never_says_more_than_the_journal(virtual: Virtual) -> None:
    """The end is recorded while an earlier object is on its way: it is marked only once it is written itself."""

    async def play() -> None:
        attempts = MemoryBlobs()
        store = store_over(attempts)
        async with store.open_journal(RUN, new=True) as journal:
            pen = Pen(journal)

            async def look(operation: str, name: str) -> None:
                if operation == "put" and name == JOURNAL + "00000001.jsonl" and pen.seq == 1:
                    pen.append(FINISHED)
                if operation == "put" and name.startswith("index/r1/00000002"):
                    assert await seqs(store) == [1, 2]

            attempts.before = look
            pen.append(started())
            await journal.flush()
        assert (await store.list_runs())[0].outcome is Outcome.SUCCEEDED

    virtual(play())


def test_the_list_says_who_carries_a_run_on(virtual: Virtual) -> None:
    async def play() -> None:
        attempts = MemoryBlobs()
        store = store_over(attempts)
        await write(store, 1)
        async with LeaseKeeper(attempts, run=RUN, owner=Owner(host="ci-7", pid=3, user="u"), keys=["a"]) as keeper:
            await keeper.acquire()
            assert (await store.list_runs())[0].writer == Writer(pid=3, host="ci-7")
        assert (await store.list_runs())[0].writer is None
        assert json.loads(attempts.objects[LOCKS].content)["holders"] == {}

    virtual(play())


# --- credentials -----------------------------------------------------------------------------------------------------


def refused_from(blobs: MemoryBlobs, moment: float, until: float = 1e9) -> None:
    async def before(_operation: str, _name: str) -> None:
        await anyio.lowlevel.checkpoint()
        if moment <= anyio.current_time() < until:
            raise CredentialsError("the token has expired", code="ExpiredToken")

    blobs.before = before


def test_credentials_that_were_never_good_are_said_at_once(virtual: Virtual) -> None:
    async def scenario() -> None:
        attempts = MemoryBlobs()
        refused_from(attempts, 0.0)
        began = anyio.current_time()
        with pytest.raises(UnreachableError, match="ExpiredToken") as caught:
            await PatientBlobs(attempts, random=Random(1)).put("x", b"")  # noqa: S311 - jitter, not a secret
        assert anyio.current_time() - began < 1
        assert caught.value.exit_code is not ExitCode.FAILED

    virtual(scenario())


@pytest.mark.parametrize("lasts", [20.0, 1e9])
def test_credentials_that_were_good_may_be_so_again(virtual: Virtual, lasts: float) -> None:
    """Where they don't come back, it is no fault of the release's: exit code 3."""

    async def scenario() -> None:
        attempts = MemoryBlobs()
        blobs = PatientBlobs(attempts, random=Random(1))  # noqa: S311 - jitter, not a secret
        await blobs.put("x", b"1")
        began = anyio.current_time()
        refused_from(attempts, began, began + lasts)
        if lasts < 30:
            await blobs.put("x", b"2")
            assert attempts.objects["x"].content == b"2"
        else:
            with pytest.raises(CredentialsLostError) as caught:
                await blobs.put("x", b"2")
            assert caught.value.exit_code is ExitCode.FAILED
            assert 20 < anyio.current_time() - began < 40

    virtual(scenario())
