"""Debian's Chromium over the page, and a run whose events come when a test wants them."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pages
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from forks import Process
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, sync_playwright
from rig import Command

from orchestrator.core.events import Event, Record
from orchestrator.core.runs import RunJournal
from orchestrator.store.local import LocalStore

AXE = pages.ROOT / "tests" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = (
    "--no-sandbox",  # it may be root that tests
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",  # nothing but the page is asked for
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A missing one is a failure: a skipped judge would look like a satisfied one."""
    executable = shutil.which("chromium")
    if executable is None:
        pytest.fail("no chromium: `make test` installs it, or apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Tab:
    """A page, and what it has complained of: scripts that failed, policies that were violated, what wasn't found."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def open(self, url: str, *, live: bool = True) -> None:
        self.page.goto(url)
        if live:
            self.waits_for("live")

    def waits_for(self, connection: str) -> None:
        self.page.wait_for_selector(f"#connection[data-state={connection}]")

    def states(self) -> dict[str, str]:
        """Of all targets, as the table shows them."""
        rows = "[...document.querySelectorAll('tr[data-target]')].map(({dataset}) => [dataset.target, dataset.state])"
        return dict(self.page.evaluate(rows))

    def shows(self, target: str, state: str) -> None:
        self.page.wait_for_selector(f'tr[data-target="{target}"][data-state="{state}"]', state="attached")

    def violations(self, within: str = "html") -> list[str]:
        """What axe finds wrong, with the first element of each. By the debugger, so the page's own policy stays."""
        if not self.page.evaluate("typeof axe === 'object'"):
            self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate(
            "(within) => axe.run(within, {resultTypes: ['violations']}).then((all) => all.violations)", within
        )
        return [f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:200]}" for each in found]

    def scrolls_sideways(self) -> bool:
        width = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        return bool(self.page.evaluate(width))


@contextmanager
def tab(browser: Browser, **context: Any) -> Iterator[Tab]:
    with browser.new_context(**context) as made:
        found = Tab(made.new_page())

        def said(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"}:
                found.complaints.append(message.text)

        def asked(dialog: Dialog) -> None:
            found.complaints.append(dialog.message)
            dialog.dismiss()

        found.page.on("console", said)
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.on("dialog", asked)
        found.page.set_default_timeout(45_000)
        yield found


# --- a run -----------------------------------------------------------------------------------------------------------


@dataclass
class Told:
    """A run whose journal this process holds."""

    run: str
    portal: BlockingPortal
    journal: RunJournal
    seq: int

    def tell(self, *events: Event) -> float:
        """Returns when they were told: epoch seconds."""
        now = time.time()
        for event in events:
            self.seq += 1
            self.journal.append(Record(self.seq, now, self.run, event))
        self.portal.call(self.journal.flush)
        return now


@contextmanager
def told(folder: Path, records: Sequence[Record], *, until: float | None = None) -> Iterator[Told]:
    """A run with these events, moved in time so that the last of them happened now (or at `until`)."""
    shift = (until or time.time()) - records[-1].ts
    run = records[0].run
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        opened = LocalStore(folder).open_journal(run, new=True)
        journal = stack.enter_context(portal.wrap_async_context_manager(opened))
        for record in records:
            journal.append(replace(record, ts=record.ts + shift))
        portal.call(journal.flush)
        yield Told(run, portal, journal, records[-1].seq)


# --- the command -----------------------------------------------------------------------------------------------------


@contextmanager
def serving(command: Command, *options: str) -> Iterator[tuple[str, Process]]:
    """`orchestrator serve`: its URL and its process."""
    with command.start("serve", *options) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            pytest.fail(process.communicate()[1])
        try:
            yield url, process
        finally:
            if process.poll() is None:
                process.terminate()
                process.communicate(timeout=20)


def port_of(url: str) -> str:
    found = re.search(r":(\d+)/", url)
    assert found is not None
    return found[1]
