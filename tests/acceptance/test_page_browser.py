"""The page in a real browser: painted at once, live, again live, usable by keys and by ears, and obeying nothing."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest
from bigruns import big_run, halfway_run, plan
from browsing import Tab, port_of, serving, tab, told
from playwright.sync_api import Browser
from rig import Command, github

from orchestrator.core import events as ev
from orchestrator.core.model import Outcome, TargetState

S = TargetState
RUNNING = (S.RUNNING, S.SUCCEEDED, S.PENDING, S.RUNNING)

SIZES = (5, 200, 1000)
LOOKS = (("light", 1280), ("dark", 1280), ("light", 390))
"""Colour schemes, and widths in pixels: the last one is a phone's."""

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what a token is for

PAINT = 15_000
UPDATE = 15_000
"""Milliseconds, many times what it takes: other tests run beside. `make bench` measures, with 1,000 and 200."""

WATCH = """([target, state]) => {
  const row = document.querySelector(`tr[data-target="${target}"]`);
  window.found = new Promise((resolve) => {
    const look = () => row.dataset.state === state && resolve(performance.timeOrigin + performance.now());
    new MutationObserver(look).observe(row, {attributes: true});
  });
}"""
"""`found` becomes the moment, in epoch milliseconds, at which the row of the target shows the state."""


def finished(target: str, state: TargetState = S.SUCCEEDED) -> ev.TargetFinished:
    return ev.TargetFinished(target=target, state=state)


@pytest.mark.parametrize("size", SIZES)
def test_it_is_painted_at_once_and_follows_every_event(command: Command, browser: Browser, size: int) -> None:
    names = [each.id for each in plan(size)]
    with (
        told(command.folder / "state", big_run(size, states=RUNNING)) as run,
        serving(command, "--state", "state", "--listen", ":0") as (url, _),
        tab(browser) as seen,
    ):
        seen.open(url + "runs/latest")
        paint = seen.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        assert paint < PAINT
        shown = seen.states()
        assert (list(shown), shown[names[0]]) == (names, "running")

        seen.page.evaluate(WATCH, [names[0], "succeeded"])
        at = run.tell(finished(names[0]))
        assert seen.page.evaluate("window.found") - at * 1000 < UPDATE

        run.tell(*(finished(name) for name in names[3::4]))  # a burst
        seen.shows(names[3::4][-1], "succeeded")
        shown = seen.states()
        assert {shown[name] for name in names[3::4]} == {"succeeded"}

        run.tell(ev.RunFinished(outcome=Outcome.SUCCEEDED, exit_code=0))
        seen.waits_for("over")
        assert "succeeded" in seen.page.title()
        assert seen.complaints == []


def test_it_can_be_used_by_everybody_in_light_and_dark_and_on_a_phone(command: Command, browser: Browser) -> None:
    with (
        told(command.folder / "state", big_run(20)) as run,
        serving(command, "--state", "state", "--listen", ":0") as (url, _),
    ):
        for scheme, width in LOOKS:
            with tab(browser, color_scheme=scheme, viewport={"width": width, "height": 900}) as seen:
                for path in ("", f"runs/{run.run}"):
                    seen.open(url + path)
                    assert seen.violations() == []
                    assert not seen.scrolls_sideways()
                seen.page.locator("tr[data-target] a").first.click()
                seen.page.wait_for_selector("#details-title")
                assert seen.violations("#details") == []
                seen.page.keyboard.press("Escape")
                seen.page.keyboard.press("?")
                seen.page.wait_for_selector("#help[open]")
                assert seen.violations("#help") == []
                assert seen.complaints == []


def test_drawings_that_are_bigger_than_their_frames_are_shown_where_something_runs(
    command: Command, browser: Browser
) -> None:
    in_sight = """(drawing) => {
      const frame = document.querySelector(`${drawing} .scroll`).getBoundingClientRect();
      return [...document.querySelectorAll(`${drawing} a.s-running`)].some((each) => {
        const {left, top, right, bottom} = each.getBoundingClientRect();
        return bottom > frame.top && top < frame.bottom && right > frame.left && left < frame.right;
      });
    }"""
    with (
        told(command.folder / "state", halfway_run(200, seconds=500.0)) as run,
        serving(command, "--state", "state", "--listen", ":0") as (url, _),
        tab(browser) as seen,
    ):
        seen.open(f"{url}runs/{run.run}")
        for drawing in ("#graph", "#timeline"):
            seen.page.wait_for_function(f"document.querySelector('{drawing} .scroll').scrollTop > 0")
            assert seen.page.evaluate(in_sight, drawing)
        assert seen.page.evaluate("document.querySelector('#graph .scroll').scrollLeft") > 0
        assert seen.page.evaluate("document.documentElement.scrollTop") == 0


def test_keys_filter_and_details_and_nothing_is_lost_when_it_changes(command: Command, browser: Browser) -> None:
    names = [each.id for each in plan(40)]
    with (
        told(command.folder / "state", big_run(40, states=RUNNING)) as run,
        serving(command, "--state", "state", "--listen", ":0") as (url, _),
        tab(browser, reduced_motion="reduce") as seen,
    ):
        page = seen.page
        seen.open(f"{url}runs/{run.run}")

        def focused() -> str:
            return str(
                page.evaluate("document.activeElement.closest('tr')?.dataset.target ?? document.activeElement.id")
            )

        page.keyboard.press("j")
        page.keyboard.press("j")
        assert focused() == names[1]
        page.keyboard.press("k")
        assert focused() == names[0]

        # the element that has the focus changes, and keeps it; so does a selection
        page.evaluate("getSelection().selectAllChildren(document.querySelector('h1'))")
        chosen = page.evaluate("String(getSelection())")
        page.evaluate("window.before = document.activeElement")
        top = page.evaluate("document.documentElement.scrollTop")
        run.tell(finished(names[0]))
        seen.shows(names[0], "succeeded")
        assert focused() == names[0]
        assert page.evaluate("window.before === document.activeElement")
        assert page.evaluate("String(getSelection())") == chosen != ""
        assert page.evaluate("document.documentElement.scrollTop") == top

        page.keyboard.press("/")
        assert focused() == "filter"
        page.keyboard.type(names[3])
        assert (
            page.locator("tr[data-target]:visible").count()
            == page.locator(f'tr:visible:has-text("{names[3]}")').count()
        )
        assert "of 40 targets" in page.inner_text("#count")
        page.keyboard.press("Enter")
        assert focused() == names[3]
        page.keyboard.press("Enter")
        page.wait_for_selector(f'#details[data-target="{names[3]}"]')
        assert focused() == "details-title"
        assert page.url.endswith(f"#target/{names[3].replace('/', '%2F')}")
        run.tell(finished(names[3]))
        page.wait_for_selector("#details .s-succeeded")  # the details follow, too
        assert focused() == "details-title"
        page.keyboard.press("Escape")
        assert focused() == names[3]
        assert page.locator("#details:visible").count() == 0
        page.keyboard.press("Escape")
        assert page.locator("tr[data-target]:visible").count() == 40

        page.reload()  # the address names what is open
        page.goto(f"{url}runs/{run.run}#target/{names[5].replace('/', '%2F')}")
        page.reload()
        page.wait_for_selector(f'#details[data-target="{names[5]}"]')
        page.click("[data-close]")
        assert page.locator("#details:visible").count() == 0
        assert seen.complaints == []


def test_after_a_killed_server_it_is_live_again_by_itself_and_right(command: Command, browser: Browser) -> None:
    names = [each.id for each in plan(20)]
    with told(command.folder / "state", big_run(20, states=RUNNING)) as run, tab(browser) as seen:
        with serving(command, "--state", "state", "--listen", ":0") as (url, process):
            seen.open(f"{url}runs/{run.run}")
            process.send_signal(signal.SIGKILL)
            process.communicate()
        seen.waits_for("lost")
        run.tell(*(finished(name) for name in names[::4]))
        seen.page.evaluate("window.same = true")
        with serving(command, "--state", "state", "--listen", f":{port_of(url)}"):
            seen.waits_for("live")
            seen.shows(names[0], "succeeded")
            shown = seen.states()
            assert {shown[name] for name in names[::4]} == {"succeeded"}
            run.tell(finished(names[3]))
            seen.shows(names[3], "succeeded")
            assert seen.page.evaluate("window.same")  # without having been loaded again


def test_a_tab_that_nobody_sees_gives_its_connection_back_and_silence_is_noticed(
    command: Command, browser: Browser
) -> None:
    names = [each.id for each in plan(5)]
    with (
        told(command.folder / "state", big_run(5, states=(S.RUNNING,))) as run,
        serving(command, "--state", "state", "--listen", ":0") as (url, _),
        tab(browser) as seen,
    ):
        page = seen.page
        page.clock.install()
        seen.open(f"{url}runs/{run.run}")

        def turn(*, hidden: bool) -> None:
            page.evaluate(
                "(hidden) => Object.defineProperty(document, 'hidden', {value: hidden, writable: true})", hidden
            )
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

        turn(hidden=True)
        page.clock.fast_forward(10_000)
        seen.waits_for("waiting")
        run.tell(finished(names[0]))
        turn(hidden=False)
        seen.shows(names[0], "succeeded")
        seen.waits_for("live")

        page.evaluate("window.states = []")
        page.evaluate(
            "new MutationObserver(() => states.push(document.querySelector('#connection').textContent))"
            ".observe(document.querySelector('#connection'), {childList: true})"
        )
        page.clock.fast_forward(60_000)  # as if the laptop had slept: nothing was heard in all that time
        seen.waits_for("live")
        assert [text[:13] for text in page.evaluate("states")] == ["Nothing heard", "Live"]
        run.tell(finished(names[1]))
        seen.shows(names[1], "succeeded")
        assert seen.complaints == []


def test_nothing_of_a_hostile_run_is_obeyed(command: Command, browser: Browser) -> None:
    records = big_run(60, hostile=True)
    with (
        told(command.folder / "state", records[: len(records) // 2]) as run,
        serving(command, "--state", "state", "--listen", ":0") as (url, _),
        tab(browser) as seen,
    ):
        seen.open(f"{url}runs/{run.run}")
        run.tell(*(record.event for record in records[len(records) // 2 :]))
        seen.page.wait_for_selector("#events:has-text('alert(1)')")
        for target in ("failed", "errored"):
            seen.page.locator(f'tr[data-state="{target}"] a').first.click()
            seen.page.wait_for_selector("#details-title")
            assert shown_harmlessly(seen)
        assert seen.complaints == []


def shown_harmlessly(seen: Tab) -> bool:
    """Their text is there, and no element of theirs."""
    look = """() => {
      const all = (selector) => [...document.querySelectorAll(selector)];
      return [
        all('script').length,
        all('img, iframe, object, embed, style, base, form').length,
        all('*').filter((each) => [...each.attributes].some(({name}) => /^on|^style$/.test(name))).length,
        all('[href]').filter((each) => /^(javascript|data):/i.test(each.getAttribute('href'))).length,
      ];
    }"""
    return bool(seen.page.evaluate(look) == [1, 0, 0, 0])


def test_without_scripts_it_is_a_page(command: Command, browser: Browser) -> None:
    with (
        told(command.folder / "state", big_run(5)) as run,
        serving(command, "--state", "state", "--listen", ":0") as (url, _),
        tab(browser, java_script_enabled=False) as seen,
    ):
        seen.page.goto(url)
        seen.page.get_by_role("link", name=run.run).click()
        seen.page.locator("tr[data-target] a").first.click()
        assert "?target=" in seen.page.url
        assert seen.page.locator("#details-title").is_visible()
        assert seen.complaints == []


def test_a_browser_has_the_token_as_a_password(command: Command, browser: Browser) -> None:
    secret = "a-secret-of-some-length"
    closed = replace(command, environment={"ORCHESTRATOR_SERVE_TOKEN": secret})
    with (
        told(command.folder / "state", big_run(5, states=RUNNING)) as run,
        serving(closed, "--state", "state", "--listen", f"{EVERYWHERE}:0") as (url, _),
    ):
        address = url.replace(EVERYWHERE, "127.0.0.1")
        with tab(browser, http_credentials={"username": "any", "password": secret}) as seen:
            seen.open(f"{address}runs/{run.run}")
            name = plan(5)[0].id
            run.tell(finished(name))
            seen.shows(name, "succeeded")  # the EventSource has it, too
            seen.page.locator(f'tr[data-target="{name}"] a').click()
            seen.page.wait_for_selector("#details-title")
            assert seen.complaints == []
        with tab(browser, http_credentials={"username": secret, "password": "x" * 20}) as refused:
            answer = refused.page.goto(address)
            assert answer is not None
            assert answer.status == 401


def test_a_rehearsal_is_watched_to_its_end(command: Command, browser: Browser) -> None:
    """`apply --serve`: the page is told by the engine itself, and sees the end although the server goes with it."""
    command.write(github(["one", "two", "three"]))
    with command.start("apply", "release.yaml", "--sandbox", "--time-scale", "8", "--serve", ":0") as process:
        assert process.stderr is not None
        url = next(line for line in process.stderr if "page at" in line).split()[-1]
        with tab(browser) as seen:
            next(line for line in process.stderr if "deployment" in line or "started" in line)
            seen.open(url + "runs/latest")
            seen.shows("one/g", "succeeded")
            seen.waits_for("over")
            assert "3 succeeded" in seen.page.inner_text("#clock")
            out, _ = process.communicate(timeout=30)
    assert process.returncode == 0, out
