"""`apply` and `wait` on a real terminal: the question, the live table, Ctrl-C as a key."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from rig import COMMAND, MakeRig, Rig, github

from orchestrator.sandbox.options import Failure, Faults, stuck

TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
"""Makes the terminal the process's own, so that Ctrl-C on it is a signal."""

SURROUNDINGS = {
    "PATH": os.environ["PATH"],
    "TERM": "xterm-256color",
    "LC_ALL": "C.UTF-8",
    "AWS_EC2_METADATA_DISABLED": "true",
}

CTRL_C, CTRL_D = "\x03", "\x04"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """What a person sees and types."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def expect(self, pattern: str, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not re.search(pattern, CONTROL.sub("", self.seen)):
            if time.monotonic() > deadline or not self._read():
                pytest.fail(f"{pattern!r} was not seen in {self.seen!r}")

    def end(self) -> int:
        """The exit code, once the process has ended."""
        while self._read():
            pass
        return self._process.wait(timeout=30)

    def lines(self) -> list[str]:
        return [line.rstrip() for line in re.split(r"[\r\n]+", CONTROL.sub("", self.seen))]

    def _read(self) -> bool:
        """False at the end."""
        if not select.select([self._descriptor], [], [], 30.0)[0]:
            return False
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # Linux's way to say that the other side was closed
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)


@contextmanager
def terminal(
    rig: Rig, *arguments: str, columns: int = 80, rows: int = 24, environment: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", TAKE_TERMINAL, *COMMAND, *arguments],
        cwd=rig.command.folder,
        env={**SURROUNDINGS, **rig.command.environment, **(environment or {})},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)


def prepared(make_rig: MakeRig, *names: str, faults: Faults | None = None, time_scale: float = 20) -> Rig:
    rig = make_rig([f"{name}/g" for name in names], faults=faults, time_scale=time_scale)
    rig.command.write(github(names))
    return rig


# --- the question ---------------------------------------------------------------------------------------------------


def test_the_plan_is_shown_and_a_yes_deploys_it(make_rig: MakeRig) -> None:
    rig = prepared(make_rig, "web", "api")
    with terminal(rig, "apply", "release.yaml") as screen:
        screen.expect(r"2 of 2 targets to deploy(.|\n)*Deploy this\? \[y/N\]: ")
        assert rig.deployments() == []
        screen.type("y\n")
        screen.expect(r"web/g +running")
        assert screen.end() == 0
    assert screen.lines()[-2].startswith("outcome: succeeded (2 succeeded)")
    with terminal(rig, "apply", "release.yaml") as screen:  # nothing to deploy: nothing to ask
        screen.expect("nothing to do")
        assert screen.end() == 0
    assert len(rig.deployments()) == 2


@pytest.mark.parametrize(
    ("key", "code", "says"),
    [
        ("n\n", 6, "nothing was started"),
        ("\n", 6, "nothing was started"),
        (CTRL_C, 130, "nothing was started"),
        (CTRL_D, 130, "interrupted"),
    ],
    ids=["no", "enter", "ctrl-c", "ctrl-d"],
)
def test_anything_but_a_yes_starts_nothing(make_rig: MakeRig, key: str, code: int, says: str) -> None:
    rig = prepared(make_rig, "web")
    with terminal(rig, "apply", "release.yaml") as screen:
        screen.expect(r"Deploy this\?")
        screen.type(key)
        assert screen.end() == code
    assert says in screen.seen
    assert rig.deployments() == []
    assert not (rig.command.folder / ".orchestrator").exists()


# --- the table ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (200, 50), (40, 10)])
def test_the_table_fits_the_terminal(make_rig: MakeRig, columns: int, rows: int) -> None:
    names = [f"app-{number:02}" for number in range(30)]
    rig = prepared(make_rig, *names, faults=Faults(failures=(Failure(target="app-03/g"),)))
    with terminal(rig, "apply", "release.yaml", "--yes", columns=columns, rows=rows) as screen:
        assert screen.end() == 3
    drawn = screen.seen.split("\x1b[?25h")[0]
    lines = re.split(r"[\r\n]+", CONTROL.sub("", drawn))
    table = [line for line in lines if re.match(r". app-\d\d/g ", line)]
    assert any(" running " in line for line in table)
    assert max(map(len, table)) < columns
    assert ("… and " in drawn) == (rows < 30)
    summary = "\n".join(screen.lines()[-60:])
    assert "ScriptFailed" in summary
    assert screen.seen.count("\x1b[?25l") <= screen.seen.count("\x1b[?25h")


def test_a_terminal_in_ci_gets_plain_lines(make_rig: MakeRig) -> None:
    """NO_COLOR and dumb terminals: test_tmux.py."""
    rig = prepared(make_rig, "web", time_scale=60)
    with terminal(rig, "apply", "release.yaml", "--yes", environment={"CI": "true"}) as screen:
        assert screen.end() == 0
    assert "\x1b" not in screen.seen
    assert "--- " in screen.seen


def test_ctrl_c_on_the_terminal_puts_the_cursor_back(make_rig: MakeRig) -> None:
    rig = prepared(make_rig, "web", "api", faults=Faults(slow=(stuck("*"),)))
    with terminal(rig, "apply", "release.yaml", "--yes", "--on-cancel", "detach") as screen:
        screen.expect(r"web/g +running")
        screen.type(CTRL_C)
        assert screen.end() == 130
    assert screen.seen.rindex("\x1b[?25h") > screen.seen.rindex("\x1b[?25l")
    assert "follow with: orchestrator wait " in screen.seen
    assert [each.ended for each in rig.deployments()] == [None, None]


def test_two_ctrl_c_stop_what_runs(make_rig: MakeRig) -> None:
    rig = prepared(make_rig, "web", faults=Faults(slow=(stuck("*"),)))
    with terminal(rig, "apply", "release.yaml", "--yes") as screen:
        screen.expect(r"web/g +running")
        screen.type(CTRL_C)
        screen.expect(r"SIGINT: starting nothing new")
        screen.type(CTRL_C)
        assert screen.end() == 130
    assert [each.status for each in rig.deployments()] == ["Stopped"]


def test_wait_without_ids_on_a_terminal_does_not_hang(make_rig: MakeRig) -> None:
    with terminal(make_rig(["web/g"]), "wait") as screen:
        assert screen.end() == 2
    assert "no deployment ids" in screen.seen


# --- approvals ------------------------------------------------------------------------------------------------------


def test_an_approval_is_asked_for_where_somebody_can_answer(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"], time_scale=100)
    gates = "{cab: {type: approval, message: 'is CHG-4711 approved?'}}"
    text = github(["web"], gates=gates).replace("[g]", "{g: {gates: {before: [cab]}}}")
    rig.command.write(text)
    with terminal(rig, "apply", "release.yaml") as screen:
        screen.expect(r"Deploy this\? \[y/N\]: ")
        screen.type("y\n")
        screen.expect(r"waits for an approval: cab, for web/g: is CHG-4711 approved\?(.|\n)*Approve cab\? \[y/N\]: ")
        assert rig.deployments() == []
        screen.type("y\n")
        screen.expect(r"Why \(may stay empty\): ")
        screen.type("CHG-4711\n")
        assert screen.end() == 0
    assert any("approved by arn:aws:" in line and "CHG-4711" in line for line in screen.lines())
    assert len(rig.deployments()) == 1


def test_a_no_at_an_approval_leaves_the_run_blocked(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g"], time_scale=100)
    gates = "{cab: {type: approval}}"
    rig.command.write(github(["web"], gates=gates).replace("[g]", "{g: {gates: {before: [cab]}}}"))
    with terminal(rig, "apply", "release.yaml") as screen:
        screen.expect(r"Deploy this\? \[y/N\]: ")
        screen.type("y\n")
        screen.expect(r"Approve cab\? \[y/N\]: ")
        screen.type("n\n")
        assert screen.end() == 6
    assert screen.lines()[-2].startswith("then resume with: orchestrator resume ")
    assert rig.deployments() == []
