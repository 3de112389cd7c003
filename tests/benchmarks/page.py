"""The page in Chromium: when it is painted, how soon it shows an event, and what it costs a run to be watched."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import urllib.request
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .figures import Figure
from .manifests import FROM_GITHUB, independent, write
from .processes import ORCHESTRATOR, CommandError, clean_environment
from .sandboxes import POLL_INTERVAL, moment, sandbox

if TYPE_CHECKING:
    from browsing import Tab, Told
    from playwright.sync_api import Browser

SIZES = (5, 200, 1_000)
UPDATES = 20
PAUSE = 0.3
"""Seconds between two of them."""
PAINTED, SHOWN = 1.0, 0.2
"""Seconds, in which a page has to be painted and an event to be shown."""
WATCHED = 1_000
"""Targets of the run that is watched; all of them end within seconds."""
MORE_TIME = 1.5
"""Times as long as such a run may take when it is watched: drawing shares its two cores and its interpreter."""

_WATCH = """(target) => {
  const row = document.querySelector(`tr[data-target="${target}"]`);
  window.found = new Promise((resolve) => {
    const look = () => row.dataset.state === "succeeded" && resolve(performance.timeOrigin + performance.now());
    new MutationObserver(look).observe(row, {attributes: true});
  });
}"""
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
_SIZE = "performance.getEntriesByType('navigation')[0].transferSize"


def figures(folder: Path) -> Iterator[Figure]:
    sys.path.append(str(Path(__file__).parents[1]))  # what tests have in common; Playwright only for who measures this
    from browsing import chromium  # noqa: PLC0415 - see above

    with chromium() as browser:
        for size in SIZES:
            yield from _looked_at(browser, folder / str(size), size)
    manifest = write(folder / "watched.yaml", independent(WATCHED, FROM_GITHUB))
    with sandbox(manifest, time_scale=5.0) as env:
        alone = _run(manifest, env, watched=False)
    with sandbox(manifest, time_scale=5.0) as env:
        watched = _run(manifest, env, watched=True)
    yield Figure(
        name=f"a run of {WATCHED:,}, watched: time",
        value=watched[0],
        unit="s",
        at_most=alone[0] * MORE_TIME,
        beside=f"{alone[0]:.1f} s without a page; CPU {watched[1]:.1f} s, {alone[1]:.1f} s without",
    )


def _looked_at(browser: Browser, folder: Path, size: int) -> Iterator[Figure]:
    from bigruns import big_run, plan  # noqa: PLC0415 - as above
    from browsing import tab, told  # noqa: PLC0415 - as above

    from orchestrator.core.model import TargetState  # noqa: PLC0415 - as above

    records = big_run(size, states=(TargetState.RUNNING,))
    with told(folder, records) as run, _served(folder) as url, tab(browser) as seen:
        seen.open(f"{url}runs/{run.run}")
        yield Figure(
            name=f"{size:,} targets: first paint",
            value=seen.page.evaluate(_PAINT) / 1000,
            unit="s",
            at_most=PAINTED,
            beside=f"the first page of a new server; {seen.page.evaluate(_SIZE) / 1000:.0f} kB came",
        )
        delays = [_delay(seen, run, each.id) for each in plan(size)[:UPDATES]]
        yield Figure(
            name="  from an event to the page",
            value=statistics.median(delays),
            unit="s",
            at_most=SHOWN,
            beside=f"median of {len(delays)}, one by one; the longest {max(delays):.2f} s",
        )


def _delay(seen: Tab, run: Told, target: str) -> float:
    """Seconds from the end of the target to its row."""
    from orchestrator.core.events import TargetFinished  # noqa: PLC0415 - as above
    from orchestrator.core.model import TargetState  # noqa: PLC0415 - as above

    seen.page.evaluate(_WATCH, target)
    told_at = run.tell(TargetFinished(target=target, state=TargetState.SUCCEEDED))
    shown_at = float(seen.page.evaluate("window.found")) / 1000
    seen.page.wait_for_timeout(PAUSE * 1000)
    return shown_at - told_at


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """`orchestrator serve`: its URL."""
    command = [ORCHESTRATOR, "serve", "--state", str(folder), "--listen", ":0"]
    with subprocess.Popen(
        command, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().decode().strip()
        finally:
            process.terminate()
            process.wait()


def _run(manifest: Path, env: Mapping[str, str], *, watched: bool) -> tuple[float, float]:
    """A run to its end: the seconds that it took, and its CPU. Watched: by somebody who takes all that changes."""
    state = manifest.with_suffix(f".{watched}")
    command = [ORCHESTRATOR, "apply", str(manifest), "--state", str(state), "--output", "plain"]
    command += ["--poll-interval", f"{POLL_INTERVAL * 1000:.0f}ms", *(["--serve", ":0"] if watched else [])]
    with subprocess.Popen(
        command, env=clean_environment(env), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        lines = iter(process.stderr)
        if watched:
            url = next(line for line in lines if "page at" in line).split()[-1]
            next(line for line in lines if ": bench" in line)
            threading.Thread(target=_watch, args=(url,)).start()
        threading.Thread(target=lambda: deque(lines, maxlen=0)).start()  # a full pipe would hold it up
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise CommandError(f"apply ended with {process.returncode}")
    journal = next(state.glob("runs/*/journal.jsonl")).read_text().splitlines()
    first, last = json.loads(journal[0]), json.loads(journal[-1])
    return moment(last) - moment(first), used.ru_utime + used.ru_stime


def _watch(url: str) -> None:
    """What a browser asks for, without a browser's own work, which is another machine's."""
    with urllib.request.urlopen(f"{url}runs/latest") as page:  # noqa: S310 - loopback
        place = page.url
        page.read()
    asked = urllib.request.Request(f"{place}/events", headers={"Accept-Encoding": "gzip"})  # noqa: S310 - as above
    with urllib.request.urlopen(asked) as events:  # noqa: S310 - as above
        while events.read1():
            pass
