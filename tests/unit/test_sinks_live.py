"""The live view: its picture as lines of text, and what a terminal shows of it while it changes."""

from __future__ import annotations

import io
import os
import pty
import random
import select
import sys
import termios
from collections.abc import Mapping
from typing import Any

import anyio
import bigruns
import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import CHAIN, Story, d
from vt import Vt

from orchestrator.core import events as ev
from orchestrator.core import gate_events as gev
from orchestrator.core.model import TargetState
from orchestrator.core.state import RunState
from orchestrator.sinks.frame import Surroundings, frame
from orchestrator.sinks.lines import PLAIN, Line, bar, fit
from orchestrator.sinks.live import LiveSink
from orchestrator.sinks.painter import Painter, Size
from orchestrator.sinks.screen import Screen
from orchestrator.wording.cells import cells, cut, cut_middle
from orchestrator.wording.estimates import left, roughly

S = TargetState


def texts(
    story: Story,
    *,
    width: int = 79,
    height: int = 24,
    now: float | None = None,
    rates: Mapping[str, float] | None = None,
) -> list[str]:
    beside = Surroundings(rates=rates or {})
    return [line.text for line in frame(story.state, now=now or story.now, width=width, height=height, beside=beside)]


def rows(story: Story, **more: Any) -> list[str]:
    """Those of targets, and what is below them."""
    lines = texts(story, **more)
    return lines[lines.index("") + 1 :]


def half_way() -> Story:
    """Something failed, something runs, something waits."""
    story = Story({**CHAIN, "jobs/fleet": (), "cart/service": (), "mail/fleet": ()}).begin()
    story.start("db/primary").succeed("db/primary", after=5.0).start("cart/service").fail("cart/service", after=2.0)
    story.start("mail/fleet").progress("mail/fleet", Succeeded=1, InProgress=1, Failed=1, Pending=1)
    return story.start("api/fleet", after=4.0).progress("api/fleet", Succeeded=2, InProgress=1)


# --- the picture -----------------------------------------------------------------------------------------------------


def test_the_picture_of_a_run() -> None:
    story = half_way()
    story.tell(ev.DurationsExpected(seconds={"api/fleet": 190.0, "mail/fleet": 30.0, "web/fleet": 60.0}))
    story.tell(ev.ApiThrottled(service="codedeploy", operation="X", region="eu-west-1", rate=2.5))
    assert texts(story, now=story.now + 63, rates={"eu-west-1": 3.25, "us-east-1": 10.0}) == [
        "shop-1 to staging                                                     run run-1",
        "✗✗✗✗✗✗███████▒▒▒▒▒▒▒▒▒▒▒▒▒░░░░░░░░░░░░░░  2 of 6  1m14s  about 3m left",
        "1 failed, 2 running, 2 pending, 1 succeeded",
        "",
        "✗ mail/fleet    running    ✗✗██▒▒░░   1/4   1m07s  1 instance failed  usually…",
        "✗ cart/service  failed     ValidateService scripts/check.sh on i-0abc: ScriptF…",
        "● api/fleet     running    █████▒▒▒   2/3   1m03s  about 2m left  d-APIFLEET0",
        "· web/fleet     pending    waits for api/fleet",
        "· jobs/fleet    pending    waits for its revision",
        "✓ db/primary    succeeded                      5s  d-DBPRIMARY",
        "",
        "CodeDeploy calls: 3.2/s in eu-west-1, 10.0/s in us-east-1 · throttled 1 time,…",
    ]


def test_what_people_are_asked_for_comes_with_the_whole_command() -> None:
    story = half_way()
    story.tell(
        gev.GateWaiting(
            gate="cab", target="web/fleet", phase="before", kind="approval", timeout=3600.0, message="CHG-1?"
        ),
        gev.GateWaiting(gate="cab", target="jobs/fleet", phase="before", kind="approval"),
    )
    asked = "cab awaits approval, for web/fleet, jobs/fleet, until 13:00Z: CHG-1?"
    assert texts(story)[-2:] == [asked, "  orchestrator approve run-1 cab"]
    assert texts(story, width=30)[-3:] == [
        "cab awaits approval, for web/…",
        "  orchestrator approve run-1 \\",
        "    cab",
    ]
    story.tell(ev.CancelRequested(mode="wait", reason="interrupted by SIGINT", signal=2))
    assert texts(story)[-1] == "nothing new starts: interrupted by SIGINT"


def test_what_the_run_itself_waits_for_is_said() -> None:
    story = half_way()
    story.tell(
        gev.GateWaiting(gate="slo", target=None, phase="after", kind="prometheus"),
        gev.HookStarted(target=None, when="before", number=0, command=("./warm.sh", "all")),
        ev.ReleaseRollbackRequested(reason="the release failed"),
    )
    gev_lines = texts(story)
    assert "the run's before hook goes on: ./warm.sh all" in gev_lines
    assert "the run waits for gate slo" in gev_lines
    assert "all that the run changed goes back: the release failed" in gev_lines


def test_instances_have_lines_of_their_own_where_there_is_room() -> None:
    story = half_way()
    instances = (
        {"instance": "i-0aa", "status": "InProgress", "lifecycle_event": "AfterInstall", "since": 1.0},
        {"instance": "i-0b", "status": "Failed", "lifecycle_event": "ValidateService", "since": 1.0},
        {"instance": "i-0c", "status": "Pending", "lifecycle_event": None, "since": None},
    )
    seen = ev.InstancesSeen(target="mail/fleet", deployment_id=d("mail/fleet"), instances=instances, total=4)
    story.tell(seen)
    assert rows(story)[1:3] == ["    i-0aa  InProgress  AfterInstall", "    i-0b   Failed  ValidateService"]
    low = rows(story, width=160, height=11)
    assert low[0].endswith("1 instance failed  almost done  1 in AfterInstall  d-MAILFLEET")
    assert not any("i-0aa" in line for line in low)


def test_a_bake_says_how_long_it_lasts() -> None:
    story = half_way()
    ended = ev.DeploymentEnded(target="api/fleet", deployment_id=d("api/fleet"), status="Succeeded")
    story.tell(ended, gev.BakeStarted(target="api/fleet", seconds=300.0))
    found = next(line for line in rows(story, now=story.now + 60) if "api/fleet" in line)
    assert "baking" in found
    assert "bakes for another 4m00s" in found


@pytest.mark.parametrize("height", [1, 2, 3, 5, 8, 11, 24, 60])
@pytest.mark.parametrize("hostile", [False, True])
def test_the_picture_fits_the_terminal(height: int, hostile: bool) -> None:
    state = bigruns.big_state(120, hostile=hostile)
    for width in (10, 20, 39, 79, 199):
        lines = frame(state, now=bigruns.NOON + 900, width=width, height=height)
        assert 1 <= len(lines) <= height
        assert all(cells(line.text) <= width for line in lines)
        assert all(line.text.replace("\ufffe", "").isprintable() for line in lines)  # which steers nothing


def test_of_many_the_failed_leave_room_for_those_that_go_on() -> None:
    names = [f"a{number}/g" for number in range(500)]
    story = Story(dict.fromkeys(names, ())).begin()
    for name in names[:40]:
        story.start(name).fail(name, after=1.0)
    for name in names[40:60]:
        story.start(name, after=1.0)
    for name in names[60:90]:
        story.start(name).succeed(name, after=1.0)
    shown = rows(story)
    assert len(shown) == 20
    assert [line.split()[2] for line in shown[:-1]] == ["failed"] * 6 + ["running"] * 13
    assert shown[0].startswith("✗ a39/g ")  # the newest of the failures, the oldest of what runs
    assert shown[6].startswith("● a40/g ")
    assert shown[-1] == "… and 481 more: 34 failed, 7 running, 410 pending, 30 succeeded"


def test_of_those_that_only_wait_for_a_place_a_few_stand_for_all() -> None:
    names = [f"a{number:02}/g" for number in range(60)]
    story = Story({**dict.fromkeys(names, ()), "z/g": names[50:51]}).begin()
    for name in names[:5]:
        story.start(name).succeed(name, after=1.0)
    story.start(names[5])
    shown = [line.split()[1] for line in rows(story)[:-1]]
    assert shown[:10] == ["a05/g", "a06/g", "a07/g", "a08/g", "z/g", "a04/g", "a03/g", "a02/g", "a01/g", "a00/g"]
    assert shown[10:] == [f"a{number:02}/g" for number in range(9, 18)]
    assert rows(story)[-1] == "… and 42 more: 42 pending"


def test_without_more_than_ascii_it_is_ascii() -> None:
    story = half_way()
    lines = frame(story.state, now=story.now, width=199, height=24, beside=Surroundings(glyphs=PLAIN))
    assert "".join(line.text for line in lines).isascii()
    assert lines[1].text.startswith("xxxxxx#######=============..............  2 of 6")


def test_a_picture_of_a_thousand_targets_is_cheap() -> None:
    import time  # noqa: PLC0415 - CPU time is what it is about

    state = bigruns.big_state(1000)
    frame(state, now=bigruns.NOON, width=199, height=49)
    begun = time.process_time()
    for _ in range(10):
        frame(state, now=bigruns.NOON, width=199, height=49)
    assert (time.process_time() - begun) / 10 < 0.05  # it takes about 5 ms, four times a second


# --- pieces of it ----------------------------------------------------------------------------------------------------


def test_a_bar_shows_whatever_there_is_any_of() -> None:
    drawn = bar([(1, "x", "bad"), (400, "#", "good"), (3, "=", "busy")], 1000, 10, ".")
    assert "".join(text for text, _ in drawn) == "x###=....."
    assert "".join(text for text, _ in bar([(7, "#", "good")], 7, 10, ".")) == "#" * 10
    assert "".join(text for text, _ in bar([], 0, 4, ".")) == "...."


def test_a_line_is_cut_where_its_room_ends() -> None:
    shown = Line((("abc", "bad"), ("  ", ""), ("def", "good")))
    assert fit(shown, 8) is shown
    assert [fit(shown, width).text for width in (7, 6, 5, 4, 3, 1)] == ["abc  d…", "abc  …", "abc…", "abc…", "ab…", "…"]


@given(st.text(), st.integers(1, 30))
def test_cut_text_keeps_to_its_cells(text: str, room: int) -> None:
    assert cells(cut(text, room)) <= room
    assert cells(cut_middle(text, room)) <= room
    assert cut(text, 10_000) == text


def test_wide_characters_take_two_cells() -> None:
    assert cells("日本") == 4
    assert cells("e\u0301") == 1
    assert cut("日本語", 5) == "日本…"
    assert cut_middle("application/group", 9) == "appl…roup"


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(0, "almost done"), (7, "about 5s left"), (58, "about 1m left"), (94, "about 2m left"), (3590, "about 1h left"),
     (4300, "about 1h10m left"), (200_000, "about 2d07h left")],
)  # fmt: skip
def test_estimates_promise_no_more_than_they_can(seconds: float, says: str) -> None:
    assert left(seconds) == says


@given(st.floats(5, 1e6))
def test_an_estimate_is_never_far_off(seconds: float) -> None:
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    import re  # noqa: PLC0415 - here only

    said = sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([dhms])", roughly(seconds)))
    assert abs(said - seconds) <= max(seconds / 2, 2.5)


# --- on a terminal ---------------------------------------------------------------------------------------------------

PICTURES = st.lists(st.tuples(st.lists(st.text("ab ", max_size=9), min_size=1, max_size=6), st.lists(
    st.text("xyz", max_size=25), max_size=2)), min_size=1, max_size=8)  # fmt: skip


@given(PICTURES, st.integers(7, 9))
def test_whatever_is_drawn_over_what_the_terminal_shows_just_that(
    pictures: list[tuple[list[str], list[str]]], rows: int
) -> None:
    size = Size(10, rows)
    terminal, painter = Vt(size.columns, size.rows), Painter(colours=True)
    terminal.feed("$ apply\r\n")
    said = ["$ apply"]
    for lines, above in pictures:
        terminal.feed(painter.draw([Line(((text, "good"),)) for text in lines], above, size))
        said += [row for text in above for row in _wrapped(text, size.columns)]
        assert terminal.everything == _stripped([*said, *lines])
    terminal.feed(painter.erase(["the end"], size))
    assert terminal.everything == _stripped([*said, "the end"])


def _wrapped(text: str, columns: int) -> list[str]:
    return [text[place : place + columns] for place in range(0, len(text), columns)] or [""]


def _stripped(lines: list[str]) -> list[str]:
    shown = [line.rstrip() for line in lines]
    while shown and not shown[-1]:
        shown.pop()
    return shown


def test_nothing_flickers_and_only_what_changed_is_written() -> None:
    size, painter = Size(80, 24), Painter(colours=False)
    terminal = Vt(size.columns, size.rows)
    picture = [Line(((f"row {number} " + "x" * 40, ""),)) for number in range(20)]
    terminal.feed(painter.draw(picture, [], size))
    random_ = random.Random(7)  # noqa: S311 - which row changes
    for tick in range(50):
        place = random_.randrange(20)
        picture[place] = Line(((f"row {place} at {tick} " + "y" * 40, ""),))
        text = painter.draw(picture, [], size)
        assert len(text) < 150
        terminal.feed(text)
        assert terminal.everything == [line.text for line in picture]
    assert terminal.blanked == 0
    assert len(painter.draw(picture, [], size)) < 10


def test_a_resized_terminal_shows_the_new_picture_alone() -> None:
    painter = Painter(colours=False)
    wide = [Line((("x" * 70, ""),)) for _ in range(10)]
    painter.draw(wide, [], Size(80, 24))
    # At 40 columns each line takes two rows, and at 12 rows the first nine of these twenty have gone up, of five lines.
    assert painter.draw([Line((("narrow", ""),))] * 8, [], Size(40, 12)).startswith("\x1b[11A\r\x1b[K\r\n")
    # Those five come back when it grows, and take a row each again.
    assert painter.draw(wide, [], Size(80, 40)).startswith("\x1b[13A\r\x1b[K\r\n")
    # When something was said meanwhile, they are above it and stay where they are.
    painter.draw(wide, [], Size(80, 6))
    painter.draw(wide[:5], ["said"], Size(80, 6))
    assert painter.draw(wide, [], Size(80, 40)).startswith("\x1b[5A\r\x1b[K\r\n")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def all_of(controller: int) -> bytes:
    """What the terminal has been given: it gives it on in pieces."""
    found = b""
    while select.select([controller], [], [], 0.2)[0]:
        found += os.read(controller, 65536)
    return found


def watched(virtual: Any, story: Story, env: Mapping[str, str] | None = None) -> str:
    stream = Terminal()

    async def watch() -> None:
        sink = LiveSink(stream, clock=lambda: story.now, env=env or {})
        story.sinks.append(sink)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sink.run)
            story.begin().start("db/primary")
            await anyio.sleep(1)
            story.tell(ev.WarningRaised(message="told while drawing"))
            sink.say("said\x1b[2J while drawing")
            print("written by\x07 somebody else", file=sys.stderr)
            await anyio.sleep(1)
            story.tell(ev.WarningRaised(message="told at the very end"))
            tasks.cancel_scope.cancel()

    virtual(watch())
    return stream.getvalue()


def test_the_live_view_gives_the_terminal_back_and_keeps_what_matters(virtual: Any) -> None:
    written = watched(virtual, Story(CHAIN))
    terminal = Vt(80, 24)
    terminal.feed(written)
    assert [line.split(maxsplit=1)[-1] for line in terminal.everything] == [
        "warning: told while drawing",
        "said\N{REPLACEMENT CHARACTER}[2J while drawing",
        "by\N{REPLACEMENT CHARACTER} somebody else",
        "warning: told at the very end",
    ]
    assert terminal.cursor_shown
    assert "db/primary" in written
    assert "\x1b[36m" in written


def test_no_colour_where_none_is_wanted(virtual: Any) -> None:
    written = watched(virtual, Story(CHAIN), {"NO_COLOR": "1"})
    assert "● db/primary  running" in written
    assert "\x1b[3" not in written
    assert "\x1b[1m" not in written


def test_the_live_view_draws_only_when_something_changed(virtual: Any) -> None:
    story = Story(CHAIN)
    stream = Terminal()

    async def watch() -> None:
        sink = LiveSink(stream, clock=lambda: story.now, env={"NO_COLOR": "1"})
        story.sinks.append(sink)
        story.begin()
        with anyio.move_on_after(100):
            await sink.run()

    virtual(watch())
    assert stream.getvalue().count("db/primary  pending") == 1


def test_a_terminal_that_goes_away_does_not_end_the_run(virtual: Any) -> None:
    story = Story(CHAIN)
    controller, terminal = pty.openpty()

    async def watch() -> None:
        with open(terminal, "w", encoding="utf-8", closefd=False) as stream:  # noqa: ASYNC230 - a descriptor
            sink = LiveSink(stream, clock=lambda: story.now, env={})
            story.sinks.append(sink)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(sink.run)
                story.begin()
                await anyio.sleep(1)
                os.close(controller)
                story.start("db/primary")
                await anyio.sleep(1)
                tasks.cancel_scope.cancel()

    virtual(watch())
    os.close(terminal)
    assert story.state.targets["db/primary"].state is S.RUNNING


def test_a_terminal_that_is_held_holds_nobody_up(virtual: Any) -> None:
    """Ctrl-S: a write would wait for Ctrl-Q, and with it the release."""
    story = Story(CHAIN)
    controller, terminal = pty.openpty()

    async def watch() -> None:
        with open(terminal, "w", encoding="utf-8", closefd=False) as stream:  # noqa: ASYNC230 - a descriptor
            sink = LiveSink(stream, clock=lambda: story.now, env={})
            story.sinks.append(sink)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(sink.run)
                story.begin()
                await anyio.sleep(1)
                termios.tcflow(terminal, termios.TCOOFF)
                story.start("db/primary")
                await anyio.sleep(100.1)
                termios.tcflow(terminal, termios.TCOON)
                tasks.cancel_scope.cancel()

    virtual(watch())
    shown = all_of(controller).decode()
    assert "pending" in shown
    assert "running" not in shown
    os.close(terminal)
    os.close(controller)


def test_a_terminal_that_is_held_to_the_end_is_given_back_later(virtual: Any) -> None:
    story = Story(CHAIN)
    controller, terminal = pty.openpty()
    with open(terminal, "w", encoding="utf-8", closefd=False) as stream:
        sink = LiveSink(stream, clock=lambda: story.now, env={})

        async def watch() -> None:
            story.sinks.append(sink)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(sink.run)
                story.begin()
                await anyio.sleep(1)
                termios.tcflow(terminal, termios.TCOOFF)
                tasks.cancel_scope.cancel()

        virtual(watch())
        termios.tcflow(terminal, termios.TCOON)
        sink.finish()
    shown = all_of(controller).decode()
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    os.close(terminal)
    os.close(controller)


def test_what_is_said_while_there_is_no_picture_is_said_at_once(virtual: Any) -> None:
    """A lock is waited for before the run begins, and nothing draws yet."""
    story = Story(CHAIN)
    stream = Terminal()
    sink = LiveSink(stream, clock=lambda: story.now, env={})
    sink.say("waiting for the lock of run r0")
    assert stream.getvalue().endswith(" waiting for the lock of run r0\n")

    async def watch() -> None:
        with anyio.move_on_after(1):
            await sink.run()

    virtual(watch())
    sink.say("afterwards")
    assert stream.getvalue().endswith(" afterwards\n")


def test_a_picture_that_cannot_be_drawn_ends_no_release(virtual: Any) -> None:
    story = Story(CHAIN)
    stream = Terminal()

    def rates() -> Mapping[tuple[str, str], float]:
        raise KeyError("a fault of ours")

    async def watch() -> None:
        sink = LiveSink(stream, clock=lambda: story.now, rates=rates, env={})
        story.sinks.append(sink)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sink.run)
            story.begin()
            await anyio.sleep(1)
            story.start("db/primary").fail("db/primary")
            await anyio.sleep(1)

    virtual(watch())
    assert stream.getvalue().count("warning: the picture can't be drawn any more: KeyError") == 1
    assert "3 instances failed" in stream.getvalue()
    assert "\x1b[?25h" in stream.getvalue()


def test_a_terminal_that_says_nothing_of_itself_has_a_usual_size() -> None:
    assert Screen(Terminal(), {}).size() == Size(80, 24)
    assert Screen(Terminal(), {"COLUMNS": "120", "LINES": "0"}).size() == Size(120, 24)
    assert Screen(Terminal(), {"COLUMNS": "wide"}).size() == Size(80, 24)


def test_a_stream_that_takes_only_ascii_gets_nothing_else(virtual: Any) -> None:
    story = Story(CHAIN, release="schön")
    controller, terminal = pty.openpty()

    async def watch() -> None:
        with open(terminal, "w", encoding="ascii", closefd=False) as stream:  # noqa: ASYNC230 - a descriptor
            sink = LiveSink(stream, clock=lambda: story.now, env={})
            story.sinks.append(sink)
            with anyio.move_on_after(1):
                story.begin().start("db/primary")
                await sink.run()

    virtual(watch())
    shown = all_of(controller)
    assert shown.isascii()
    assert b"sch?n to staging" in shown
    assert b"* " in shown
    os.close(terminal)
    os.close(controller)


def test_an_empty_state_has_a_picture() -> None:
    assert frame(RunState(), now=0.0, width=79, height=23)[2].text == "no targets"
