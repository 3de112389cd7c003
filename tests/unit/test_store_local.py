"""The local store: crashes, damage, full disks, two writers, and finding a run."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from orchestrator.core.errors import ExitCode, StateError, UsageError
from orchestrator.core.events import Event, Record, RunDetached, RunFinished, RunStarted, WarningRaised
from orchestrator.core.model import Outcome, TargetState
from orchestrator.store.local import LocalStore
from orchestrator.store.writer import JournalBusyError, Writer

pytestmark = pytest.mark.anyio

RUN = "20261124-014758-3f9a1c"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "state")


def started(targets: int = 1, release: str = "shop") -> RunStarted:
    return RunStarted(
        release=release,
        environment="staging",
        manifest="release.yaml",
        manifest_digest="sha256:0",
        targets=tuple(
            {"id": f"app{i}/fleet", "application": f"app{i}", "deployment_group": "fleet"} for i in range(targets)
        ),
        policy={},
        concurrency={},
        version="0",
        host="ci",
        pid=1,
    )


def path_of(store: LocalStore, run: str = RUN) -> Path:
    return store.root / "runs" / run / "journal.jsonl"


async def write(store: LocalStore, *events: Event, run: str = RUN, at: float = 1_700_000_000.0) -> None:
    async with store.open_journal(run, new=True) as journal:
        for seq, event in enumerate(events, start=1):
            journal.append(Record(seq, at + seq, run, event))


# --- states ----------------------------------------------------------------------------------------------------------


async def test_the_state_is_folded_from_the_journal(store: LocalStore) -> None:
    await write(store, started(2), RunFinished(outcome=Outcome.FAILED, exit_code=3))
    state = store.load_state(RUN)
    assert (state.run, state.release, state.outcome, state.exit_code) == (RUN, "shop", Outcome.FAILED, 3)
    assert [target.state for target in state.targets.values()] == [TargetState.PENDING] * 2


async def test_a_line_cut_by_a_crash_is_left_out_and_reported(store: LocalStore) -> None:
    await write(store, started(), WarningRaised(message="one"), WarningRaised(message="two"))
    whole = path_of(store).read_bytes()
    second = whole.index(b"\n", whole.index(b"\n") + 1) + 1
    for cut in range(second, len(whole)):
        path_of(store).write_bytes(whole[:cut])
        contents = store.read_journal(RUN)
        assert len(contents.records) == 2
        assert contents.sound_bytes == second
        assert (contents.note is None) == (cut == second)
    path_of(store).write_bytes(whole)
    assert store.read_journal(RUN).note is None


async def test_a_block_of_zeros_at_the_end_is_left_out(store: LocalStore) -> None:
    await write(store, started())
    whole = path_of(store).read_bytes()
    for tail in (b"\0" * 100, b"\0" * 100 + b"\n", b"17\n"):
        path_of(store).write_bytes(whole + tail)
        contents = store.read_journal(RUN)
        assert len(contents.records) == 1
        assert contents.note is not None
        assert contents.note.startswith("line 2 is unfinished")
        assert store.runs()[0].release == "shop"


async def test_going_on_cuts_the_unfinished_line_off(store: LocalStore) -> None:
    await write(store, started())
    with path_of(store).open("ab") as file:
        file.write(b'{"v":1,"se')
    async with store.open_journal(RUN, new=False) as journal:
        journal.append(Record(2, 5.0, RUN, WarningRaised(message="on")))
    contents = store.read_journal(RUN)
    assert [record.seq for record in contents.records] == [1, 2]
    assert contents.note is None


async def test_damage_in_the_middle_is_an_error_that_names_the_line(store: LocalStore) -> None:
    await write(store, started(), WarningRaised(message="one"), WarningRaised(message="two"))
    lines = path_of(store).read_bytes().splitlines(keepends=True)
    path_of(store).write_bytes(lines[0] + b"garbage\n" + lines[2])
    with pytest.raises(StateError, match=r"journal\.jsonl:2: not a journal record"):
        store.read_journal(RUN)
    with pytest.raises(StateError, match=r"journal\.jsonl:2"):
        async with store.open_journal(RUN, new=False):
            pass
    assert path_of(store).read_bytes() == lines[0] + b"garbage\n" + lines[2]


async def test_a_gap_is_an_error_that_names_the_line(store: LocalStore) -> None:
    await write(store, started(), WarningRaised(message="one"), WarningRaised(message="two"))
    lines = path_of(store).read_bytes().splitlines(keepends=True)
    path_of(store).write_bytes(lines[0] + lines[2])
    with pytest.raises(StateError, match=r"journal\.jsonl:2: event 3 follows event 1"):
        store.load_state(RUN)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"v": 2}, "format version 2"),
        ({"ts": 7}, r"journal\.jsonl:1"),
        ({"seq": "x"}, r"journal\.jsonl:1"),
        ({"targets": [{"application": "no id"}]}, "KeyError: 'id'"),
        ({"targets": 3}, "TypeError"),
    ],
)
async def test_a_last_line_that_is_json_but_no_event_of_ours_is_not_mistaken_for_a_crash(
    store: LocalStore, change: dict[str, object], says: str
) -> None:
    await write(store, started())
    fields = json.loads(path_of(store).read_text())
    path_of(store).write_text(json.dumps(fields | change) + "\n")
    with pytest.raises(StateError, match=says):
        store.load_state(RUN)


async def test_a_journal_is_readable_while_it_is_written(store: LocalStore) -> None:
    async with store.open_journal(RUN, new=True) as journal:
        assert store.load_state(RUN).last_seq == 0
        journal.append(Record(1, 1.0, RUN, started()))
        await journal.flush()
        assert store.load_state(RUN).release == "shop"
        (run,) = store.runs()
        assert run.writer is not None
        assert run.writer.is_alive() is True
    assert store.runs()[0].writer is None


# --- writing ---------------------------------------------------------------------------------------------------------


async def test_flushes_that_come_together_share_an_fsync(store: LocalStore) -> None:
    async with store.open_journal(RUN, new=True) as journal:
        drains = 0
        drain = journal._drain

        def counted() -> None:
            nonlocal drains
            drains += 1
            drain()

        journal._drain = counted  # type: ignore[method-assign]

        async def one(seq: int) -> None:
            journal.append(Record(seq, 1.0, RUN, WarningRaised(message="")))
            await journal.flush()

        async with anyio.create_task_group() as tasks:
            for seq in range(1, 201):
                tasks.start_soon(one, seq)
        assert 1 <= drains <= 3


async def test_a_run_is_created_once(store: LocalStore) -> None:
    await write(store, started())
    with pytest.raises(StateError, match="exists already"):
        async with store.open_journal(RUN, new=True):
            pass
    assert store.load_state(RUN).release == "shop"


async def test_only_one_process_writes(store: LocalStore) -> None:
    await write(store, started())
    with path_of(store).open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        (path_of(store).parent / "writer.json").write_text('{"pid": 4711, "host": "ci-7"}')
        with pytest.raises(JournalBusyError, match="process 4711 on ci-7") as caught:
            async with store.open_journal(RUN, new=False):
                pass
    assert caught.value.exit_code is ExitCode.BLOCKED
    async with store.open_journal(RUN, new=False):
        pass  # the lock went with its holder


async def test_the_second_writer_in_this_process_is_refused_too(store: LocalStore) -> None:
    async with store.open_journal(RUN, new=True):
        with pytest.raises(JournalBusyError, match=f"process {os.getpid()} on "):
            async with store.open_journal(RUN, new=False):
                pass


async def test_going_on_with_no_run_is_a_usage_error(store: LocalStore) -> None:
    with pytest.raises(UsageError, match="no run"):
        async with store.open_journal(RUN, new=False):
            pass
    assert not store.root.exists()


@pytest.mark.parametrize("run", ["../evil", "a/b", "", ".", "..", "-x", "a\0b", "x" * 101, "a\n"])
async def test_a_run_id_is_no_path(store: LocalStore, run: str) -> None:
    with pytest.raises(UsageError, match="is no run id"):
        async with store.open_journal(run, new=True):
            pass
    with pytest.raises(UsageError):
        store.read_journal(run)
    with pytest.raises(UsageError):
        store.resolve(run)


async def test_a_root_that_is_a_file_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("x")
    store = LocalStore(tmp_path / "state")
    with pytest.raises(StateError, match="state/runs") as caught:
        async with store.open_journal(RUN, new=True):
            pass
    assert "--state" in str(caught.value.hint)
    with pytest.raises(StateError, match="can't read"):
        store.runs()


@pytest.fixture
def locked_folder(tmp_path: Path) -> Iterator[Path]:
    tmp_path.chmod(0o500)
    yield tmp_path
    tmp_path.chmod(0o700)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_root_without_permission_is_an_error_with_a_way_out(locked_folder: Path) -> None:
    with pytest.raises(StateError, match="Permission denied") as caught:
        async with LocalStore(locked_folder / "state").open_journal(RUN, new=True):
            pass
    assert "--state" in str(caught.value.hint)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """A disk with no more room, by the kernel: writes beyond `size` fail, after a part of them was written."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


async def test_a_full_disk_is_an_error_and_leaves_whole_lines_that_can_be_written_later(store: LocalStore) -> None:
    async with store.open_journal(RUN, new=True) as journal:
        journal.append(Record(1, 1.0, RUN, started()))
        await journal.flush()
        before = path_of(store).read_bytes()
        journal.append(Record(2, 2.0, RUN, WarningRaised(message="x" * 500)))
        with file_size_limit(len(before) + 100):
            with pytest.raises(StateError, match="can't write"):
                await journal.flush()
            assert path_of(store).read_bytes() == before
        journal.append(Record(3, 3.0, RUN, WarningRaised(message="y")))
    assert [record.seq for record in store.read_journal(RUN).records] == [1, 2, 3]


async def test_everybody_who_waits_learns_of_a_full_disk(store: LocalStore) -> None:
    failures = 0
    async with store.open_journal(RUN, new=True) as journal:

        async def one(seq: int) -> None:
            nonlocal failures
            journal.append(Record(seq, 1.0, RUN, WarningRaised(message="")))
            try:
                await journal.flush()
            except StateError:
                failures += 1

        with file_size_limit(10):
            async with anyio.create_task_group() as tasks:
                for seq in range(1, 6):
                    tasks.start_soon(one, seq)
    assert failures == 5
    assert [record.seq for record in store.read_journal(RUN).records] == [1, 2, 3, 4, 5]


async def test_the_first_error_is_the_one_that_is_raised(store: LocalStore) -> None:
    async def fail() -> None:
        async with store.open_journal(RUN, new=True) as journal:
            journal.append(Record(1, 1.0, RUN, started()))
            raise RuntimeError("first")

    with file_size_limit(100), pytest.raises(RuntimeError, match="first") as caught:
        await fail()
    assert any("can't write" in note for note in caught.value.__notes__)


async def test_an_error_of_the_last_flush_is_raised(store: LocalStore) -> None:
    with file_size_limit(100), pytest.raises(StateError, match="can't write"):
        async with store.open_journal(RUN, new=True) as journal:
            journal.append(Record(1, 1.0, RUN, started()))


async def test_a_killed_process_leaves_a_run_that_reads_as_died_and_can_go_on(store: LocalStore) -> None:
    script = (
        "import anyio, sys, os, signal\n"
        "from pathlib import Path\n"
        "from orchestrator.core.events import Record, WarningRaised\n"
        "from orchestrator.store.local import LocalStore\n"
        "async def main():\n"
        "    async with LocalStore(Path(sys.argv[1])).open_journal(sys.argv[2], new=True) as journal:\n"
        "        journal.append(Record(1, 1.0, 'r', WarningRaised(message='durable')))\n"
        "        await journal.flush()\n"
        "        journal.append(Record(2, 2.0, 'r', WarningRaised(message='lost')))\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "anyio.run(main)\n"
    )
    ended = await anyio.run_process([sys.executable, "-c", script, str(store.root), RUN], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert [record.seq for record in store.read_journal(RUN).records] == [1]
    (run,) = store.runs()
    assert run.writer is not None
    assert run.writer.is_alive() is False
    async with store.open_journal(RUN, new=False) as journal:
        journal.append(Record(2, 3.0, RUN, WarningRaised(message="on")))
    assert [record.seq for record in store.read_journal(RUN).records] == [1, 2]


def test_a_writer_elsewhere_may_or_may_not_live() -> None:
    assert Writer(pid=os.getpid(), host="surely-not-this-machine").is_alive() is None


# --- lists -----------------------------------------------------------------------------------------------------------


def test_no_folder_means_no_runs(store: LocalStore) -> None:
    assert store.runs() == []
    assert not store.root.exists()
    with pytest.raises(UsageError, match="there are no runs") as caught:
        store.resolve(None)
    assert "orchestrator apply" in str(caught.value.hint)


async def test_runs_are_listed_newest_first(store: LocalStore) -> None:
    done = RunFinished(outcome=Outcome.SUCCEEDED, exit_code=0)
    await write(store, started(), done, run="b", at=100.0)
    await write(store, started(release="later"), RunDetached(reason="--detach", running=("d-1",)), run="a", at=200.0)
    await write(store, started(), WarningRaised(message="x"), run="c", at=50.0)
    newest, middle, oldest = store.runs()
    assert (newest.run, newest.release, newest.outcome, newest.detached) == ("a", "later", Outcome.RUNNING, True)
    assert (middle.run, middle.started_at, middle.last_at, middle.outcome) == ("b", 101.0, 102.0, Outcome.SUCCEEDED)
    assert (oldest.run, oldest.outcome, oldest.detached) == ("c", Outcome.RUNNING, False)
    assert store.resolve(None) == "a"


async def test_broken_journals_are_listed_as_such(store: LocalStore) -> None:
    await write(store, started(), run="good", at=1.0)
    runs = store.root / "runs"
    for name, content in {"empty": b"", "torn": b'{"v":1', "garbage": b"what\nis\nthis\n", "list": b"[]\n"}.items():
        (runs / name).mkdir()
        (runs / name / "journal.jsonl").write_bytes(content)
    (runs / "bare").mkdir()
    (runs / "folder").mkdir()
    (runs / "folder" / "journal.jsonl").mkdir()
    (runs / "a file").write_text("not a run")
    await write(store, WarningRaised(message="no start"), run="headless")
    problems = {run.run: run.problem for run in store.runs()}
    assert problems.pop("good") is None
    assert set(problems) == {"empty", "torn", "garbage", "list", "bare", "folder", "headless"}
    assert all(problems.values())
    assert store.resolve(None) == "good"


def test_when_no_run_is_readable_the_newest_says_why(store: LocalStore) -> None:
    (store.root / "runs" / "bare").mkdir(parents=True)
    with pytest.raises(StateError, match="bare: No such file"):
        store.resolve(None)


async def test_a_run_with_megabytes_of_targets_is_listed_without_reading_them(store: LocalStore) -> None:
    await write(store, started(20_000), WarningRaised(message="y" * 100_000))
    (run,) = store.runs()
    assert (run.release, run.environment, run.last_at) == ("shop", "staging", 1_700_000_002.0)


async def test_a_release_named_like_the_format_confuses_nobody(store: LocalStore) -> None:
    name = 'x","targets":[{"release":"y'
    await write(store, started(release=name))
    assert store.runs()[0].release == name


async def test_runs_are_found_by_prefix_and_typos_get_a_suggestion(store: LocalStore) -> None:
    for run in ("20261124-010101-aaaaaa", "20261124-020202-bbbbbb", "20261125-030303-cccccc"):
        await write(store, started(), run=run)
    assert store.resolve("20261124-010101-aaaaaa") == "20261124-010101-aaaaaa"
    assert store.resolve("20261125") == "20261125-030303-cccccc"
    with pytest.raises(UsageError, match="the beginning of 2 runs"):
        store.resolve("20261124")
    with pytest.raises(UsageError) as caught:
        store.resolve("20261124-010101-aaaaab")
    assert "did you mean 20261124-010101-aaaaaa" in str(caught.value.hint)
    with pytest.raises(UsageError) as caught:
        store.resolve("zzz")
    assert "20261125-030303-cccccc" in str(caught.value.hint)
