"""A lifecycle event's scripts: whose they are, how each is run, and what its end means."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from orchestrator.bundle.appspec_model import Script
from orchestrator.sandbox.agent import rubypath
from orchestrator.sandbox.agent.faults import ScriptFailure
from orchestrator.sandbox.agent.layout import DEPLOYMENTS_LOG, Layout, archive_in
from orchestrator.sandbox.agent.rooted import Root
from orchestrator.sandbox.agent.scripts import (
    Command,
    Ended,
    Ending,
    Exited,
    LeftOpen,
    NotStarted,
    ScriptLog,
    ScriptRunner,
    Stream,
    TimedOut,
)
from orchestrator.sandbox.agent.unpack import read_pointer

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "LANG": "C.UTF-8"}
"""What the agent itself runs with. It has no HOME, as under systemd."""

_SHELL = re.compile("[*?{}\\[\\]<>()~&|\\\\$;'`\"\\n#]")
"""Any of these and Ruby hands the command to sh; without, it takes it apart at blanks and executes it."""

_PREVIOUS = frozenset({"ApplicationStop", "BeforeBlockTraffic", "AfterBlockTraffic"})
_ROLLED_BACK_ALLOW = frozenset({"BeforeAllowTraffic", "AfterAllowTraffic"})
_ROLLED_BACK_BLOCK = frozenset({"BeforeBlockTraffic", "AfterBlockTraffic"})


def home_of_scripts(root: Root, layout: Layout, event: str, *, rolls_back_blue_green: bool) -> str | None:
    """The home of the deployment whose scripts run: this one's, or an earlier one's. None: there is none yet."""
    if root.exists(layout.archive):
        return layout.home
    if rolls_back_blue_green and event in _ROLLED_BACK_BLOCK:
        return read_pointer(root, layout.most_recent)
    if event in _PREVIOUS or (rolls_back_blue_green and event in _ROLLED_BACK_ALLOW):
        return read_pointer(root, layout.last_successful)
    return layout.home


@contextmanager
def script_log(root: Root, layout: Layout) -> Iterator[ScriptLog]:
    """Both logs of the instance, open for one event."""
    with ExitStack() as stack:
        files = []
        for path, prefix in ((layout.scripts_log, ""), (DEPLOYMENTS_LOG, f"[{layout.deployment_id}]")):
            root.mkdirs(rubypath.dirname(path))
            files.append((stack.enter_context(root.create(path, append=True)), prefix))
        yield ScriptLog(files)


@dataclass(frozen=True, kw_only=True, slots=True)
class HookRun:
    """The scripts of one event on one instance."""

    root: Root
    home: str
    event: str
    environment: dict[str, str]
    runner: ScriptRunner
    log: ScriptLog
    knows: Callable[[str], bool]
    """Whether that path is a program that all instances have, wherever their files are."""
    started: Callable[[str], None]
    """Told the location of each script that is started."""

    async def run(self, scripts: tuple[Script, ...]) -> ScriptFailure | None:
        """One after the other; the first failure ends the event."""
        self.log.add(f"LifecycleEvent - {self.event}\n".encode())
        for script in scripts:
            failure = self._prepare(script) or await self._run(script)
            if failure is not None:
                return failure
        return None

    def _prepare(self, script: Script) -> ScriptFailure | None:
        path = self._path(script)
        if not self.root.exists(path):
            plain = os.path.normpath(path)
            if self.knows(plain):
                return None
            message = f"Script does not exist at specified location: {plain}"
            return ScriptFailure("ScriptMissing", script.location, message)
        mode = stat.S_IMODE(self.root.stat(path).st_mode)
        if not mode & 0o111:
            try:
                self.root.chmod(path, mode | 0o111)
            except OSError:
                message = f"Unable to set script at specified location: {script.location} as executable"
                return ScriptFailure("ScriptNotExecutable", script.location, message)
        return None

    async def _run(self, script: Script) -> ScriptFailure | None:
        self.log.add(f"Script - {script.location}\n".encode())
        self.started(script.location)
        command = Command(
            argv=_argv(script, self._path(script)),
            environment=ENVIRONMENT if script.sudo else {**ENVIRONMENT, **self.environment},
            timeout=script.timeout,
        )
        return _failure(script, await self.runner.run(command, self._add_line))

    def _add_line(self, stream: Stream, line: bytes) -> None:
        self.log.add(f"[{stream}]".encode() + line)

    def _path(self, script: Script) -> str:
        return rubypath.join(archive_in(self.home), script.location)


def _argv(script: Script, path: str) -> list[str]:
    """As Ruby starts it. `sudo` only costs it its variables here: there is nothing to gain for root."""
    is_itself = script.runas in {"", "root"} and os.getuid() != 0  # su needs more rights than we have to give
    command = path if script.runas is None or is_itself else f"su {script.runas} -c {path}"
    if _SHELL.search(command):
        return ["sh", "-c", command]
    return command.split()


def _failure(script: Script, ending: Ending) -> ScriptFailure | None:
    location = script.location
    at = f"Script at specified location: {location}"
    by = at if script.runas is None else f"{at} run as user {script.runas}"
    match ending:
        case Exited(0):
            return None
        case Exited(code):
            return ScriptFailure("ScriptFailed", location, f"{by} failed with exit code {code}")
        case NotStarted():
            return ScriptFailure("ScriptFailed", location, f"{by} failed with error {ending}")
        case TimedOut():
            return ScriptFailure("ScriptTimedOut", location, f"{at} failed to complete in {script.timeout} seconds")
        case LeftOpen(stream):
            return ScriptFailure("OutputsLeftOpen", location, f"{at} failed to close {stream.upper()}")
        case Ended(why):
            return ScriptFailure("ScriptFailed", location, f"{by} was ended by the sandbox: {why}")


@dataclass(frozen=True, slots=True)
class ScriptChecker:
    """Stands in for a runner where scripts aren't run: would the kernel start this one?"""

    root: Root
    knows: Callable[[str], bool]
    """Whether an interpreter of that path is to be expected on an instance."""

    async def run(self, command: Command, on_line: object) -> Ending:  # noqa: ARG002 - nothing is written
        path = next((word for word in reversed(command.argv) if word.startswith("/")), command.argv[0])
        try:
            head = self.root.read(path, 256)
        except OSError as error:
            return NotStarted(
                "EACCES" if error.errno == errno.EISDIR else errno.errorcode.get(error.errno or 0, "EIO"), path
            )
        interpreter = _interpreter(head)
        if interpreter is not None and not (self.root.exists(interpreter) or self.knows(interpreter)):
            return NotStarted("ENOENT", path)
        return Exited(0)


def _interpreter(head: bytes) -> str | None:
    """The path in a first line such as `#!/bin/sh -e`; a carriage return belongs to it, as for the kernel."""
    if not head.startswith(b"#!"):
        return None
    words = head[2:].split(b"\n", 1)[0].strip(b" \t").split(None if b"\r" not in head else b" ")
    return words[0].decode(errors="replace") if words else None
