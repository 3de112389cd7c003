"""Following a run in every store: each event once, little asked for, and goes on after trouble."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import anyio
import pytest
from stores import RUN, started, store, warning, write

from orchestrator.core.blobs import BlobPatience, PatientBlobs, UnreachableError
from orchestrator.core.errors import AnswerLostError, StateError, UsageError
from orchestrator.core.events import Record
from orchestrator.core.runs import RunStore, RunTail
from orchestrator.core.state import RunState
from orchestrator.store.blobjournal import OBJECTS_A_PART
from orchestrator.store.blobstore import BlobStore
from orchestrator.store.blobtail import FIRST_PAUSE, LONGEST_PAUSE
from orchestrator.store.local import LocalStore
from orchestrator.store.whole import WholeRuns
from orchestrator.testing_blobs import MemoryBlobs

__all__ = ["store"]

pytestmark = pytest.mark.anyio


class Heard:
    """A sink that keeps the numbers of the events, and of the state that each was told with."""

    def __init__(self) -> None:
        self.seqs: list[tuple[int, int]] = []

    def handle(self, record: Record, state: RunState) -> None:
        self.seqs.append((record.seq, state.last_seq))


def upto(last: int) -> list[tuple[int, int]]:
    return [(seq, seq) for seq in range(1, last + 1)]


async def test_each_event_is_told_once_with_the_state_after_it(store: RunStore) -> None:
    await write(store, started(), warning("one"))
    heard = Heard()
    tail = store.tail(RUN, [heard])
    assert await tail.read() == 2
    assert await tail.read() == 0
    await write(store, warning("two"), warning("three"), after=2)
    assert await tail.read() == 2
    assert tail.state.last_seq == 4
    assert heard.seqs == upto(4)


async def test_a_run_that_is_not_there_is_a_mistake_and_may_come(store: RunStore) -> None:
    tail = store.tail(RUN)
    with pytest.raises(UsageError, match="no run"):
        await tail.read()
    with pytest.raises(UsageError, match="no run id"):
        store.tail("../etc")
    await write(store, started())
    assert await tail.read() == 1


async def test_who_was_away_for_long_catches_up(store: RunStore) -> None:
    """In objects: by the parts that hold a hundred of them each."""
    heard = Heard()
    await write(store, started())
    tail = store.tail(RUN, [heard])
    await tail.read()
    last = OBJECTS_A_PART + 30
    async with store.open_journal(RUN, new=False) as journal:
        for seq in range(2, last + 1):
            journal.append(Record(seq, 1.0, RUN, warning(str(seq))))
            if isinstance(store, LocalStore) or seq % 40 == 0:
                await journal.flush()
    assert await tail.read() == last - 1
    assert heard.seqs == upto(last)


@pytest.mark.parametrize("whole", [False, True])
async def test_a_reader_that_is_cancelled_misses_nothing(store: RunStore, whole: bool) -> None:
    """A browser that goes away in the middle of a page must not make it wrong for the others."""
    heard = Heard()
    await write(store, started())
    tail = (WholeRuns(store) if whole else store).tail(RUN, [heard])
    last = 1
    for number in range(40):
        await write(store, *(warning(str(seq)) for seq in range(3)), after=last)
        last += 3
        with anyio.move_on_after(number / 10_000):
            await tail.read()
    await tail.read()
    assert heard.seqs == upto(last)


# --- a file ----------------------------------------------------------------------------------------------------------


async def local(folder: Path) -> tuple[RunTail, Path]:
    store = LocalStore(folder)
    await write(store, started(), warning("one"))
    return store.tail(RUN), folder / "runs" / RUN / "journal.jsonl"


@pytest.mark.parametrize("cut", [1, 20, 60])
async def test_a_line_that_is_being_written_is_waited_for(tmp_path: Path, cut: int) -> None:
    tail, path = await local(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert await tail.read() == 1
    path.write_bytes(whole)
    assert await tail.read() == 1
    assert tail.state.last_seq == 2


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda whole: whole[: len(whole) // 3], "cut off"),
        (lambda whole: whole + b"nonsense\n" + whole, r"journal\.jsonl:3: not a journal record"),
        (lambda whole: whole + whole.splitlines(keepends=True)[0], r"journal\.jsonl:3: .*gap"),
    ],
)
async def test_damage_is_told_with_its_line_and_mended_by_reading_anew(
    tmp_path: Path, damage: object, said: str
) -> None:
    tail, path = await local(tmp_path)
    await tail.read()
    whole = path.read_bytes()
    assert callable(damage)
    path.write_bytes(damage(whole))
    with pytest.raises(StateError, match=said):
        await tail.read()
    path.write_bytes(whole)
    again = LocalStore(tmp_path).tail(RUN)
    assert await again.read() == 2


async def test_the_list_of_runs_reads_again_only_what_has_changed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    await write(store, started("first"))
    await write(store, started("second"), run="r2")
    before = {run.run: run for run in await store.list_runs()}
    await write(store, warning("more"), run="r2", after=1, at=1_700_000_100.0)
    after = {run.run: run for run in await store.list_runs()}
    assert after[RUN] is before[RUN]
    assert after["r2"] != before["r2"]


# --- objects ---------------------------------------------------------------------------------------------------------


class Faulty:
    """Fails every call while it is told to."""

    def __init__(self) -> None:
        self.fails = False

    async def __call__(self, _operation: str, _name: str) -> None:
        if self.fails:
            raise AnswerLostError("the network is down")


async def far() -> tuple[BlobStore, MemoryBlobs, Faulty]:
    faulty = Faulty()
    blobs = MemoryBlobs(before=faulty)
    patience = BlobPatience(seconds=0.2, first_pause=0.1)
    store = BlobStore(PatientBlobs(blobs, random=Random(1), patience=patience))  # noqa: S311 - jitter, not a secret
    await write(store, started(), warning("one"))
    return store, blobs, faulty


async def test_a_look_at_a_quiet_run_is_one_request() -> None:
    store, blobs, _ = await far()
    tail = store.tail(RUN)
    await tail.read()
    blobs.calls.clear()
    for _ in range(5):
        await tail.read()
    assert dict(blobs.calls) == {"get": 5}


async def test_an_outage_is_told_and_then_it_goes_on_where_it_was() -> None:
    store, _, faulty = await far()
    heard = Heard()
    tail = store.tail(RUN, [heard])
    await tail.read()
    await write(store, warning("two"), after=2)
    faulty.fails = True
    with pytest.raises(UnreachableError, match="network is down"):
        await tail.read()
    faulty.fails = False
    assert await tail.read() == 1
    assert heard.seqs == upto(3)


def test_looks_grow_rare_while_nothing_comes(virtual: object) -> None:
    async def pauses() -> Sequence[float]:
        store, _, _ = await far()
        tail = store.tail(RUN)
        await tail.read()
        found = []
        for number in range(30):
            if number == 20:
                await write(store, warning("two"), after=2)
            await tail.read()
            began = anyio.current_time()
            await tail.wait()
            found.append(anyio.current_time() - began)
        return found

    assert callable(virtual)
    found = virtual(pauses())
    assert found[0] == pytest.approx(FIRST_PAUSE)
    assert found[19] == pytest.approx(LONGEST_PAUSE)
    assert found[20] == pytest.approx(FIRST_PAUSE)
