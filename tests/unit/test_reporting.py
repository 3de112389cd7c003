"""The report that is written beside a run: from the state where that can be read, else from what was seen here."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from bigruns import Told, begin, big_run, intended, started
from markup import Element, read
from world import target

from orchestrator.app.reporting import report_beside
from orchestrator.core import events as ev
from orchestrator.core.events import Record
from orchestrator.core.state import fold

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def a_run() -> Told:
    told = begin([target("web/fleet")])
    told.tell(intended(target("web/fleet")), started(target("web/fleet"), 1))
    return told


async def beside(path: Path, state: Path, records: list[Record], *, remembered: int = 0) -> list[str]:
    """Tells these records to a report, of which the first come from an earlier process; returns its complaints."""
    complaints: list[str] = []
    async with report_beside(path, str(state), {}, complaints.append) as seen:
        seen.remember(records[:remembered])
        for number in range(remembered, len(records)):
            seen.handle(records[number], fold(records[: number + 1]))
    return complaints


def keep(state: Path, records: list[Record]) -> None:
    folder = state / "runs" / records[0].run
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_text("".join(f"{record.to_json()}\n" for record in records))


def document(path: Path) -> Element:
    return read(path.read_text(encoding="utf-8"))


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_it_is_read_from_the_state_which_knows_more_than_this_process(tmp_path: Path) -> None:
    told = a_run()
    keep(
        tmp_path / "state",
        [*told.records, Record(told.state.last_seq + 1, told.now, told.run, ev.WarningRaised(message="later"))],
    )
    assert await beside(tmp_path / "r.html", tmp_path / "state", told.records) == []
    assert "warning: later" in document(tmp_path / "r.html").text


async def test_where_the_state_is_gone_or_damaged_it_tells_what_was_seen_here_and_before(tmp_path: Path) -> None:
    records = big_run(5)
    assert await beside(tmp_path / "gone.html", tmp_path / "nowhere", records, remembered=4) == []
    keep(tmp_path / "state", records[:1])
    (tmp_path / "state" / "runs" / records[0].run / "journal.jsonl").write_text("damaged\nfor\ngood\n")
    await beside(tmp_path / "damaged.html", tmp_path / "state", records)
    for name in ("gone.html", "damaged.html"):
        page = document(tmp_path / name)
        assert len(page.one("section", id="each").all("details")) == 5
        assert "run 20251125-120000-big: shop-5" in page.one("ol", id="event-list").text
        assert "can't be read" not in page.one("div", id="attention").text


async def test_it_is_written_although_the_run_ends_by_an_error_or_is_cancelled(tmp_path: Path) -> None:
    told = a_run()
    with anyio.CancelScope() as scope:
        async with report_beside(tmp_path / "r.html", str(tmp_path), {}, print) as seen:
            seen.handle(told.records[-1], told.state)
            scope.cancel()
            await anyio.sleep(1)
    assert scope.cancelled_caught
    assert "web/fleet" in document(tmp_path / "r.html").text


async def test_without_a_run_there_is_no_report_and_a_full_disk_is_complained_of(tmp_path: Path) -> None:
    assert await beside(tmp_path / "r.html", tmp_path, []) == []
    assert names(tmp_path) == []
    complaints = await beside(tmp_path / "no" / "r.html", tmp_path, a_run().records)
    assert len(complaints) == 1
    assert complaints[0].startswith("warning: --report: can't write")
