"""The processes of an instance, inside bubblewrap: its root as `/`, no network, nothing of this machine to write to.

An instance with processes has a machine: an init that holds its process and network namespaces. Scripts join these, so
that what one has started in the background is there for the next, as on an instance. When init ends, all of it ends.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import Process

from orchestrator.sandbox.agent.layout import AGENT
from orchestrator.sandbox.agent.limits import Limits, Watch
from orchestrator.sandbox.agent.rooted import Root

_TOP_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_MOUNT_POINTS = ("usr", "proc", "dev")
_CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETGID", "SETPCAP", "SETUID",
)  # fmt: skip
"""What root on the instance keeps. Not there: mounting, devices, other machines' files by handle, tracing, time."""
_PROC_READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_PROC_HIDDEN = ("acpi", "asound", "kcore", "keys", "kmsg", "latency_stats", "sched_debug", "scsi", "timer_list")
"""What of /proc is the whole machine's. Files there belong to root, who may write them without any capability, and
bubblewrap leaves some of it open."""
BORROWED = ("alternatives", "ld.so.cache")
"""What this machine's programs need of its /etc. It is shown below /dev, where the instance's links lead, so that
nothing is mounted inside a folder that a script could have moved."""
_SHARED_MEMORY = 64 * 1024 * 1024
_START = 10.0
"""Seconds that an init may take to come up."""
_INIT = "echo up; exec cat"
"""Says so once all namespaces are there, and stays until its input ends, or this process."""
_INIT_PROCESSES = 2
"""bubblewrap's, and the `cat`."""
_LOOKS, _LOOK = 3, 0.01


class NoBubblewrapError(Exception):
    """Scripts can't be run on this machine; the message says why, and what would help."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """What bubbles are made with, by absolute path."""

    bwrap: str
    nsenter: str
    prlimit: str
    nice: str


def find_tools() -> Tools:
    """Tries them out, too. Raises `NoBubblewrapError`. Takes about 10 ms."""
    paths = {name: shutil.which(name) for name in ("bwrap", "nsenter", "prlimit", "nice")}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        raise NoBubblewrapError(
            f"hooks can't be run here: {', '.join(missing)} isn't installed "
            "(packages bubblewrap, util-linux and coreutils)"
        )
    tools = Tools(**{name: path or "" for name, path in paths.items()})
    trial = [tools.bwrap, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--unshare-all"]
    try:
        done = subprocess.run([*trial, "true"], capture_output=True, timeout=_START, check=False)  # noqa: S603 - fixed
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoBubblewrapError(f"hooks can't be run here: bubblewrap doesn't start: {error}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise NoBubblewrapError(
            f"hooks can't be run here: this machine doesn't let bubblewrap make namespaces ({said}); "
            "a container needs the right to, or take --hooks skip"
        )
    return tools


@dataclass(frozen=True, kw_only=True, slots=True)
class Bubble:
    """How processes of one instance are started."""

    tools: Tools
    root: Root
    name: str
    limits: Limits

    def init_command(self, info: int) -> list[str]:
        own_user = [] if os.getuid() == 0 else ["--unshare-user", "--uid", "0", "--gid", "0"]
        # Only init dies with us, and everything in its namespace with it. A script that joins the namespace comes by a
        # process that ends at once: where that is slow, the script would take that for the end of its parent, and die.
        apart = ["--unshare-pid", "--unshare-net", "--die-with-parent", *own_user]
        return [
            *self._prefix(),
            self.tools.bwrap,
            *self._view({}),
            *apart,
            "--info-fd",
            str(info),
            "--",
            "/bin/sh",
            "-c",
            _INIT,
        ]

    def command(
        self, init: int, pid_namespace: int, info: int, argv: Sequence[str], environment: Mapping[str, str]
    ) -> list[str]:
        join = [self.tools.nsenter, f"--net=/proc/{init}/ns/net"]
        if os.getuid() != 0:
            join += [f"--user=/proc/{init}/ns/user", "--preserve-credentials"]
        inside = ["--pidns", str(pid_namespace), "--info-fd", str(info)]
        return [*self._prefix(), *join, "--", self.tools.bwrap, *self._view(environment), *inside, "--", *argv]

    def _prefix(self) -> list[str]:
        """Scripts come last on the processor: one that forks for ever must not keep us from seeing it."""
        return [self.tools.nice, "-n", "19", self.tools.prlimit, *self.limits.prlimit(), "--"]

    def _view(self, environment: Mapping[str, str]) -> list[str]:
        """What a process of the instance sees."""
        options = ["--bind", str(self.root.folder), "/", *self._programs()]
        options += [*_processes(), "--dev", "/dev", "--size", str(_SHARED_MEMORY)]
        options += ["--tmpfs", "/dev/shm"]  # noqa: S108 - the instance's own
        for name in BORROWED:
            options += ["--ro-bind-try", f"/etc/{name}", f"/dev/{name}"]
        options += ["--remount-ro", "/dev", "--chdir", AGENT, "--clearenv"]
        for key, value in environment.items():
            options += ["--setenv", key, value]
        options += ["--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", self.name]
        options += ["--new-session", "--cap-drop", "ALL"]
        for capability in _CAPABILITIES:
            options += ["--cap-add", f"CAP_{capability}"]
        return options

    def _programs(self) -> list[str]:
        """This machine's programs and libraries, read-only, below what the instance itself has there."""
        options = _merged(Path("/usr"), self.root.folder / "usr", "/usr")
        for name in _TOP_FOLDERS:
            here = Path("/", name)
            if here.is_dir() and not here.is_symlink():
                options += ["--ro-bind", f"/{name}", f"/{name}"]
        return options


def _processes() -> list[str]:
    """The instance's own /proc, without what isn't its own."""
    options = ["--proc", "/proc"]
    for name in _PROC_READ_ONLY:
        options += ["--ro-bind-try", f"/proc/{name}", f"/proc/{name}"]
    for name in _PROC_HIDDEN:
        path = Path("/proc", name)
        if path.is_dir():
            options += ["--tmpfs", str(path), "--remount-ro", str(path)]
        elif path.exists():
            options += ["--ro-bind", "/dev/null", str(path)]
    return options


def prepare_mount_points(root: Root) -> None:
    """Real folders where bubblewrap mounts: a script may have put a link in the place of one."""
    for name in (*_MOUNT_POINTS, *_TOP_FOLDERS):
        here = Path("/", name)
        wants_link = name in _TOP_FOLDERS and here.is_symlink()
        if name in _TOP_FOLDERS and not here.exists():
            continue
        path = f"/{name}"
        target = str(here.readlink()) if wants_link else None
        if target is not None:
            if not root.is_link(path):
                root.rmtree(path)
                root.symlink(target, path)
            continue
        if root.is_link(path) or not root.is_dir(path):
            root.rmtree(path)
            root.mkdir(path)


def _merged(here: Path, own: Path, path: str) -> list[str]:
    """Mounts by which a folder holds what the instance has there, and this machine's for the rest.

    New entries can only be made where the instance has a folder of its own.
    """
    names = _listed(own)
    if not names:
        return ["--ro-bind", str(here), path]
    options = ["--tmpfs", path]
    for name in sorted(_listed(here) | names):
        ours, theirs, place = own / name, here / name, f"{path}/{name}"
        if name not in names:
            options += _link_or_bind(theirs, place, how="--ro-bind")
        elif _is_real_folder(ours) and theirs.is_dir():
            options += _merged(theirs, ours, place)
        else:
            options += _link_or_bind(ours, place, how="--bind")
    return options


def _link_or_bind(source: Path, place: str, *, how: str) -> list[str]:
    """Mounting follows links, and a link must not lead out of the instance: it is made again, as it is."""
    if source.is_symlink():
        return ["--symlink", str(source.readlink()), place]
    return [how, str(source), place]


def _is_real_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _listed(folder: Path) -> set[str]:
    if not _is_real_folder(folder):
        return set()
    return {entry.name for entry in folder.iterdir()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """The running part of an instance."""

    process: Process
    """bubblewrap's monitor, outside."""
    init: int
    """Process number of init, as this machine counts."""
    watch: Watch

    @property
    def is_up(self) -> bool:
        return self.process.returncode is None

    async def is_idle(self) -> bool:
        """Whether nothing runs but init itself. What is just ending has a moment for it."""
        for _ in range(_LOOKS):
            if len(self.watch.processes()) <= _INIT_PROCESSES:
                return True
            await anyio.sleep(_LOOK)
        return False

    def end(self) -> None:
        """Everything on it ends at once. Where it has ended already, init's number may be another process' by now."""
        if self.is_up:
            kill(self.init)

    async def close(self) -> None:
        """As `end`; returns when it has."""
        with anyio.CancelScope(shield=True):
            self.end()
            await self.process.wait()
            await self.process.aclose()


async def boot(bubble: Bubble) -> Machine:
    """Raises `NoBubblewrapError` when the machine doesn't come up."""
    prepare_mount_points(bubble.root)
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    async with reporting(bubble.init_command, **streams) as (process, reading):
        init = await child_number(reading) if await _says_so(process) else None
    if init is None:
        said = b"".join([chunk async for chunk in process.stderr]) if process.stderr else b""
        await process.aclose()
        raise NoBubblewrapError(f"bubblewrap doesn't start: {said.decode(errors='replace').strip()}")
    return Machine(process=process, init=init, watch=Watch(bubble.limits, init, bubble.root.folder))


async def _says_so(process: Process) -> bool:
    with anyio.move_on_after(_START):
        try:
            return process.stdout is not None and bool(await process.stdout.receive())
        except anyio.EndOfStream:
            return False
    return False


@asynccontextmanager
async def reporting(
    command: Callable[[int], list[str]], *fds: int, stdin: int, stdout: int
) -> AsyncIterator[tuple[Process, int]]:
    """Starts a bubblewrap whose `command` takes the number of its --info-fd; the process, and where to read from."""
    reading, writing = os.pipe()
    try:
        try:
            process = await anyio.open_process(
                command(writing), stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, pass_fds=[writing, *fds]
            )
        finally:
            os.close(writing)
        yield process, reading
    finally:
        os.close(reading)


async def child_number(reading: int) -> int | None:
    """Process number of bubblewrap's child, from its --info-fd; None when it has ended without one."""
    text = b""
    with anyio.move_on_after(_START):
        while True:
            await anyio.wait_readable(reading)
            chunk = os.read(reading, 4096)
            text += chunk
            if not chunk or b"}" in chunk:
                break
    try:
        number = json.loads(text)["child-pid"]
    except (ValueError, KeyError):
        return None
    return number if isinstance(number, int) else None


def kill(number: int, how: signal.Signals = signal.SIGKILL, *, group: bool = False) -> None:
    try:
        (os.killpg if group else os.kill)(number, how)
    except (ProcessLookupError, PermissionError):
        return
