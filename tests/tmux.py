"""A real terminal: a tmux server of its own, one window, whose pane can be resized, typed into and looked at."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import pytest


class Tmux:
    """A context manager; the server ends with it, and so does what runs in it."""

    def __init__(self, folder: Path, columns: int, rows: int, env: Mapping[str, str]) -> None:
        """A shell in the folder, with just these variables (and tmux's own TERM)."""
        self._socket = folder / "tmux"
        self._start = ["new-session", "-d", "-s", "t", "-x", str(columns), "-y", str(rows), "-c", str(folder)]
        self._env = dict(env)
        self._folder = folder
        self._raw = folder / "raw"

    def __enter__(self) -> Self:
        shell = ["env", "-i", "TERM=tmux-256color", *(f"{name}={value}" for name, value in self._env.items())]
        conf = self._folder / "tmux.conf"
        conf.write_text("set -g history-limit 20000\nset -g status off\nset -g escape-time 0\n")
        self._tmux("-f", str(conf), *self._start, shlex.join([*shell, "PS1=$ ", "bash", "--norc", "--noprofile"]))
        self._tmux("pipe-pane", "-t", "t", f"cat > {shlex.quote(str(self._raw))}")
        self.wait_for("$")
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], check=False, capture_output=True)

    def type(self, *keys: str) -> None:
        """Keys as tmux calls them, or text."""
        self._tmux("send-keys", "-t", "t", *keys)

    def run(self, *command: str) -> None:
        self.type(shlex.join(command), "Enter")

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-t", "t", "-x", str(columns), "-y", str(rows))

    def screen(self) -> list[str]:
        """What is seen now."""
        return self._capture()

    def scrollback(self) -> list[str]:
        """All that was ever seen and not written over; wrapped lines joined."""
        return self._capture("-S", "-", "-J")

    def raw(self) -> str:
        """What was written to the terminal."""
        return self._raw.read_text(errors="replace")

    def wait_for(self, text: str, *, seconds: float = 60.0, gone: bool = False) -> list[str]:
        """Until the screen shows the text (or doesn't any more); that screen."""
        deadline = time.monotonic() + seconds
        while (text in "\n".join(found := self.screen())) is gone:
            if time.monotonic() > deadline:
                shown = "\n".join(found)
                pytest.fail(f"{text!r} was {'still' if gone else 'not'} seen after {seconds:.0f} s:\n{shown}")
            time.sleep(0.05)
        return found

    def _capture(self, *more: str) -> list[str]:
        lines = [line.rstrip() for line in self._tmux("capture-pane", "-p", "-t", "t", *more).split("\n")]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def _tmux(self, *arguments: str) -> str:
        command: Sequence[str] = ["tmux", "-S", str(self._socket), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
