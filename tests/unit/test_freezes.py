"""When freezes begin and end, also in the nights on which clocks are set; and what a run does about one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import pytest
from world import World, target

from orchestrator.core import events as ev
from orchestrator.core.control import OnCancel
from orchestrator.core.freezing import FreezeWindow, Frozen
from orchestrator.core.model import GitHubRevision, Outcome, Policy
from orchestrator.core.outcome import outcome_of
from orchestrator.core.phases import Phases
from orchestrator.core.result import exit_code_of
from orchestrator.manifest.freezes import Windows, calendar_of
from orchestrator.testing import EPOCH, Script, ScriptedCodeDeploy

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]
BERLIN = "Europe/Berlin"


def window(rrule: str, start: str, end: str, tz: str = BERLIN) -> FreezeWindow:
    return FreezeWindow(rrule=rrule, start=start, end=end, tz=tz)


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def here(text: str, tz: str = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(tz)).timestamp()


def until(windows: Windows, now: float) -> str | None:
    found = windows.frozen(now)
    return None if found is None else datetime.fromtimestamp(found.until, UTC).isoformat(timespec="seconds")[:-6]


def test_a_friday_afternoon() -> None:
    fridays = Windows([window("FREQ=WEEKLY;BYDAY=FR", "15:00", "23:59")])
    assert fridays.frozen(here("2026-11-27T14:59:59")) is None
    assert until(fridays, here("2026-11-27T15:00:00")) == "2026-11-27T23:00:00", "23:59 is midnight"
    assert until(fridays, here("2026-11-27T23:59:30")) == "2026-11-27T23:00:00"
    assert fridays.frozen(here("2026-11-28T00:00:00")) is None
    assert fridays.frozen(here("2026-11-26T16:00:00")) is None, "a Thursday"
    assert fridays.next_start(here("2026-11-28T00:00:00")) == here("2026-12-04T15:00:00")
    assert fridays.next_start(here("2026-11-27T15:00:00")) == here("2026-12-04T15:00:00")


def test_a_night_goes_on_until_the_next_day() -> None:
    nights = Windows([window("FREQ=DAILY", "22:00", "06:00", "UTC")])
    assert until(nights, utc("2026-03-01T05:59:59")) == "2026-03-01T06:00:00"
    assert nights.frozen(utc("2026-03-01T06:00:00")) is None
    assert until(nights, utc("2026-03-01T22:00:00")) == "2026-03-02T06:00:00"


def test_windows_that_follow_each_other_are_one_freeze() -> None:
    windows = Windows(
        [window("FREQ=WEEKLY;BYDAY=FR,SA,SU", "00:00", "23:59"), window("FREQ=WEEKLY;BYDAY=MO", "00:00", "07:30")]
    )
    assert until(windows, here("2026-11-27T12:00:00")) == "2026-11-30T06:30:00"
    assert windows.frozen(here("2026-11-30T07:30:00")) is None


@pytest.mark.parametrize(
    ("start", "end", "frozen", "free"),
    [
        # 2026-03-29: at 02:00 clocks go to 03:00, which is 01:00 UTC.
        ("01:00", "02:30", ("00:00:00", "00:59:59"), ("01:00:00", "23:59:59")),
        ("02:30", "04:00", ("01:00:00", "01:59:59"), ("00:59:59", "02:00:00")),
        ("02:10", "02:50", (), ("00:59:59", "01:00:00")),
        ("01:30", "03:30", ("00:30:00", "01:29:59"), ("00:29:59", "01:30:00")),
    ],
)
def test_the_night_in_which_an_hour_is_missing(
    start: str, end: str, frozen: tuple[str, ...], free: tuple[str, ...]
) -> None:
    windows = Windows([window("FREQ=DAILY", start, end)])
    assert all(windows.frozen(utc(f"2026-03-29T{moment}")) is not None for moment in frozen)
    assert all(windows.frozen(utc(f"2026-03-{'28' if moment > '12' else '29'}T{moment}")) is None for moment in free)


@pytest.mark.parametrize(
    ("start", "end", "frozen", "free"),
    [
        # 2026-10-25: at 03:00 clocks go back to 02:00, which is 01:00 UTC; 02:30 is at 00:30 and at 01:30 UTC.
        ("02:30", "03:30", ("00:30:00", "01:00:00", "01:29:59", "02:29:59"), ("00:29:59", "02:30:00")),
        ("01:00", "02:30", ("00:29:59", "00:30:00", "01:29:59"), ("01:30:00",)),
        ("02:15", "02:45", ("00:15:00", "01:00:00", "01:44:59"), ("00:14:59", "01:45:00")),
        ("01:00", "02:00", ("00:00:00", "00:59:59"), ("01:00:00",)),
    ],
)
def test_the_night_in_which_an_hour_comes_twice(
    start: str, end: str, frozen: tuple[str, ...], free: tuple[str, ...]
) -> None:
    windows = Windows([window("FREQ=DAILY", start, end)])
    assert all(windows.frozen(utc(f"2026-10-25T{moment}")) is not None for moment in frozen)
    assert all(windows.frozen(utc(f"2026-10-25T{moment}")) is None for moment in free)


def test_a_freeze_that_is_always_there_ends_somewhere_beyond_the_horizon() -> None:
    found = Windows([window("FREQ=DAILY", "00:00", "23:59")]).frozen(utc("2026-05-05T12:00:00"))
    assert found is not None
    assert found.until > utc("2027-05-05T12:00:00")


def test_rules_that_end_and_rules_that_skip() -> None:
    over = Windows([window("FREQ=DAILY;UNTIL=20260101T000000Z", "00:00", "12:00")])
    assert over.frozen(here("2025-12-24T06:00:00")) is not None
    assert over.next_start(here("2026-02-01T06:00:00")) is None
    every_other = Windows([window("FREQ=WEEKLY;INTERVAL=2", "00:00", "12:00")])
    assert every_other.frozen(here("2024-01-15T06:00:00")) is not None, "counted from 2024-01-01"
    assert every_other.frozen(here("2024-01-08T06:00:00")) is None
    assert calendar_of([]).next_start(0.0) is None


# --- a run that a freeze reaches ------------------------------------------------------------------------------------


class From:
    """A calendar with one freeze, in seconds of the test."""

    def __init__(self, start: float, end: float) -> None:
        self.start, self.end = EPOCH + 1000 + start, EPOCH + 1000 + end

    def frozen(self, now: float) -> Frozen | None:
        return Frozen(window="night", until=self.end) if self.start <= now < self.end else None

    def next_start(self, now: float) -> float | None:
        return self.start if now < self.start else None


def chain(policy: Policy | None = None) -> World:
    """`a` runs for 100 s, and `b` needs it; the freeze is from 40 s to 1,000 s."""
    codedeploy = ScriptedCodeDeploy(scripts={("a", "g"): Script(seconds=100.0)})
    targets = [target("a/g"), target("b/g", needs=["a/g"])]
    return World(targets, codedeploy=codedeploy, calendar=From(40.0, 1000.0), policy=policy or Policy())


def test_what_runs_is_watched_to_its_end_and_nothing_new_starts(virtual: Virtual) -> None:
    world = chain()
    virtual(world.run())
    assert world.states() == {"a/g": "succeeded", "b/g": "pending"}
    assert (outcome_of(world.state), exit_code_of(world.state)) == (Outcome.BLOCKED, 6)
    assert not world.state.is_over
    assert [event.window for event in world.events(ev.FreezeBegan)] == ["night"]
    assert world.seconds < 200, "it doesn't wait for the end of the freeze"


def test_resumed_in_the_freeze_it_leaves_again_and_afterwards_it_goes_on(virtual: Virtual) -> None:
    world = chain()

    async def three_times() -> None:
        await world.run()
        await world.run()
        assert (world.states()["b/g"], exit_code_of(world.state)) == ("pending", 6)
        await anyio.sleep(1000.0)
        await world.run()

    virtual(three_times())
    assert world.states() == {"a/g": "succeeded", "b/g": "succeeded"}
    assert exit_code_of(world.state) == 0
    assert world.starts() == ["a/g", "b/g"]


def test_a_failure_in_the_freeze_ends_the_run_as_its_policy_says(virtual: Virtual) -> None:
    world = chain(Policy(on_failure="stop"))
    world.codedeploy.scripts["a", "g"] = Script(seconds=100.0, status="Failed")
    virtual(world.run())
    assert world.states() == {"a/g": "failed", "b/g": "skipped"}
    assert exit_code_of(world.state) == 3


def test_a_rollback_is_never_frozen(virtual: Virtual) -> None:
    world = chain(Policy(rollback="release"))
    world.before = {"a/g": GitHubRevision(repository="acme/a", commit_id="0" * 40)}
    world.codedeploy.choose = lambda sent: Script(seconds=100.0, status="Failed") if "s3" in str(sent) else None
    virtual(world.run())
    assert world.states() == {"a/g": "rolled_back", "b/g": "skipped"}
    assert exit_code_of(world.state) == 4


def test_a_cancel_in_the_freeze_is_a_cancel(virtual: Virtual) -> None:
    async def cancel(engine: Phases) -> None:
        await anyio.sleep(60.0)
        engine.cancel(OnCancel.STOP, reason="enough")

    world = chain()
    world.meanwhile = cancel
    virtual(world.run())
    assert world.states() == {"a/g": "stopped", "b/g": "cancelled"}


def test_where_all_has_started_a_freeze_changes_nothing(virtual: Virtual) -> None:
    world = World([target("a/g")], calendar=From(1.0, 1000.0))
    virtual(world.run())
    assert (world.states(), exit_code_of(world.state)) == ({"a/g": "succeeded"}, 0)
    assert not world.events(ev.FreezeBegan)
