"""The live view in a real terminal (tmux): what is seen at each size, while it is resized, stopped and interrupted."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from rig import COMMAND, github
from tmux import Tmux

ESCAPE = "\x1b"
COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-7]|9[0-7])m")

FIVE = """\
version: 1
release: shop-1.8.0
policy: {on_failure: continue}
environments: {staging: {region: eu-west-1}}
applications:
  shop-db:
    revision: &r {github: {repository: acme/x, commit: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}}
    deployment_groups: [fleet]
  shop-api: {revision: *r, needs: [shop-db], deployment_groups: [fleet]}
  shop-web: {revision: *r, needs: [shop-api], deployment_groups: [fleet]}
  shop-jobs: {revision: *r, deployment_groups: [fleet]}
  shop-search: {revision: *r, deployment_groups: [fleet]}
"""

FLEET = """\
time_scale: 14
seed: 3
instances_per_group: 3
faults:
  - target: "*-jobs/*"
    fails: ValidateService
    script: scripts/check.sh
    message: "Script at specified location: scripts/check.sh failed with exit code 1"
    log: "connecting to db\\nrefused: no route to host"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the manifests. Where tmux isn't installed, its tests are skipped, saying so; in CI they fail."""
    if shutil.which("tmux") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("tmux isn't installed")
    (tmp_path / "five.yaml").write_text(FIVE)
    (tmp_path / "fleet.yaml").write_text(FLEET)
    names = [f"svc-{number:03}" for number in range(300)]
    (tmp_path / "many.yaml").write_text(github(names, concurrency="{deployments: 12}"))
    (tmp_path / "one.yaml").write_text(github(["svc-000"]))
    return tmp_path


def tmux(folder: Path, columns: int = 80, rows: int = 24, **env: str) -> Tmux:
    surroundings = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8", **env}
    return Tmux(folder, columns, rows, {**surroundings, "AWS_EC2_METADATA_DISABLED": "true"})


def apply(*arguments: str) -> Sequence[str]:
    return [*COMMAND, "apply", *arguments, "--sandbox"]


def check(screen: Sequence[str], columns: int, rows: int) -> None:
    """There is one picture, whole, below what was said, and the last row is left to the cursor."""
    titles = [place for place, line in enumerate(screen) if line.startswith("shop-1.8.0 to staging")]
    assert len(titles) == 1, "\n".join(screen)
    assert all(len(line) < columns for line in screen[titles[0] :]), "\n".join(screen)
    assert len(screen) < rows


def seen(terminal: Tmux, columns: int, rows: int, *patterns: str) -> None:
    """Waits until one look at the screen finds all of these in a picture of this size; then no stale one is there."""
    title = r"^shop-1\.8\.0 to staging( +run \d{8}-\d{6}-[0-9a-f]{6})?$"
    deadline = time.monotonic() + 30
    while True:
        screen = terminal.screen()
        titles = [line for line in screen if re.fullmatch(title, line)]
        fits = any(len(line) == columns - 1 or columns < 50 for line in titles)
        if fits and all(re.search(each, "\n".join(screen), flags=re.MULTILINE) for each in patterns):
            time.sleep(0.3)  # a picture later: what hasn't been cleaned up by now stays
            return check(terminal.screen(), columns, rows)
        if time.monotonic() > deadline:
            shown = "\n".join(screen)
            pytest.fail(f"no picture of {columns} columns with all of {patterns}:\n{shown}")
        time.sleep(0.05)


def test_five_targets_while_the_terminal_is_resized(folder: Path) -> None:
    with tmux(folder) as terminal:
        terminal.run(*apply("five.yaml", "-e", "staging", "--fleet", "fleet.yaml"))
        row = r"● shop-{}/fleet +running  (?:[█▒░]{{8}} +\d/3|.{{14}}) +\d+s.*\n(?:    i-.*\n)?"
        running = "".join(row.format(name) for name in ("db", "jobs", "search"))
        seen(
            terminal,
            80,
            24,
            r"^[░▒]{40}  0 of 5  \d+s",
            r"^3 running, 2 pending$",
            f"^\n{running}"
            r"· shop-api/fleet     pending  waits for shop-db/fleet\n"
            r"· shop-web/fleet     pending  waits for shop-api/fleet\n\n",
            r"^CodeDeploy calls: \d+\.\d/s in eu-west-1$",
        )
        # Failures come first, with what failed; what was said above stays.
        failed = r"^1 failed, .*\n\n✗ shop-jobs/fleet    failed   ValidateService scripts/check.sh on i-"
        seen(terminal, 80, 24, failed, r"^[✗▒░█]{40}  1 of 5  \d+s")
        seen(terminal, 80, 24, r"\d of 5  \d+s  about \d+[ms] left$")
        for columns, rows_ in ((200, 50), (40, 12), (120, 8), (80, 24)):
            terminal.resize(columns, rows_)
            seen(terminal, columns, rows_, "shop-")
        terminal.wait_for("outcome: ")
        terminal.wait_for("$")
        scrollback = "\n".join(terminal.scrollback())
        assert scrollback.count("outcome: failed (1 failed, 4 succeeded) in ") == 1
        assert scrollback.count("CodeDeploy calls") <= 3  # made lower three times: what had gone up then is there
        summary = scrollback[scrollback.rindex("\nrun 2") :]
        assert re.search(
            r"\nshop-jobs/fleet failed \(d-\w+\): .*\n"
            r"  i-\w+ · ValidateService · scripts/check\.sh\n"
            r"    ScriptFailed: Script at specified location: scripts/check\.sh failed with exit code 1\n"
            r"    \| connecting to db\n"
            r"    \| refused: no route to host\n",
            summary,
        )
        assert "1 instance failed" in scrollback[: scrollback.rindex("\nrun 2")]  # told when it happened
        assert not re.search(r"^[●·] ", summary, flags=re.MULTILINE)
        assert terminal.raw().rindex(f"{ESCAPE}[?25h") > terminal.raw().rindex(f"{ESCAPE}[?25l")
        assert COLOUR.search(terminal.raw())
        # On a dumb terminal there are plain lines.
        before = len(terminal.raw())
        terminal.type("clear; TERM=dumb " + shlex.join(apply("one.yaml", "--time-scale", "0")), "Enter")
        terminal.wait_for("outcome: succeeded (1 succeeded)")
        plain = terminal.raw()[before:].split("TERM=dumb", 1)[1]
        assert re.search(r"\d\d:\d\d:\d\d svc-000/g  d-\w+ started", plain)
        assert ESCAPE not in re.sub(r"\x1b\[(H|2J|3J|\?2004[hl])", "", plain.split("run 2", 1)[1].split("outcome")[0])


def test_hundreds_of_targets_stopped_and_interrupted_without_colours(folder: Path) -> None:
    with tmux(folder, 120, 30, NO_COLOR="1") as terminal:
        terminal.run(*apply("many.yaml", "--fleet", "fleet.yaml", "--on-cancel", "detach"))
        shown = terminal.wait_for("succeeded")
        running = [line for line in shown if line.startswith("● ")]
        assert 6 <= len(running) <= 12
        assert next(place for place, line in enumerate(shown) if line.startswith("● ")) < next(
            place for place, line in enumerate(shown) if line.startswith("· ")
        )
        assert any("waits for a place in concurrency.deployments: 12 of 12 taken by " in line for line in shown)
        assert any(re.fullmatch(r"… and 2\d\d more: .*\d+ pending.*", line) for line in shown)
        assert all(len(line) < 120 for line in shown)
        # Stopped, and taken to the foreground again.
        terminal.type("C-z")
        terminal.wait_for("Stopped")
        terminal.type("fg", "Enter")
        terminal.wait_for("● svc")
        terminal.resize(80, 24)
        terminal.type("nonsense")
        terminal.wait_for("CodeDeploy calls")
        terminal.type("C-c")
        terminal.wait_for("outcome: running")
        shown = terminal.scrollback()
        text = "\n".join(shown)
        assert "SIGINT: leaving; what runs is left running" in text
        assert "^C" not in text
        assert "nonsense" not in text.split("outcome: running")[0]
        told = next(place for place, line in enumerate(shown) if "SIGINT: leaving" in line)
        assert not any(line.startswith(("● ", "· ")) for line in shown[told:])
        assert not COLOUR.search(terminal.raw())
        terminal.type("C-u", "stty -a | tr -s ' ;' '\\n' | grep -x -e echo -e -echo", "Enter")
        terminal.wait_for("\necho\n")
