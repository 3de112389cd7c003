"""How much of this machine one instance may take, and what sees to it while a script runs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Of one instance, or of one process on it."""

    processes: int = 256
    memory: int = 1024 * MIB
    """Bytes that all processes have in memory together; also the data of a single one."""
    disk: int = 1024 * MIB
    """Bytes of all files of the instance; what it brings to the sandbox's disk."""
    file: int = 512 * MIB
    """Bytes of a single file that a script writes."""
    open_files: int = 1024

    def prlimit(self) -> list[str]:
        """Options of util-linux's prlimit; what a single process can be held to by the kernel alone."""
        return [
            f"--nproc={self.processes}",
            f"--data={self.memory}",
            f"--fsize={self.file}",
            f"--nofile={self.open_files}",
            "--core=0",
        ]


class Watch:
    """Looks at what the processes of an instance take together, which no rlimit bounds for root."""

    def __init__(self, limits: Limits, init: int, folder: Path) -> None:
        self._limits = limits
        self._proc = Path("/proc", str(init), "root", "proc")
        self._folder = folder
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._next_walk = 0.0

    def excess(self) -> str | None:
        """What there is too much of, if anything."""
        processes = self.processes()
        if len(processes) > self._limits.processes:
            return f"more than {self._limits.processes} processes"
        if sum(map(self._resident, processes)) > self._limits.memory:
            return f"more than {self._limits.memory // MIB} MiB of memory"
        began = time.monotonic()
        if began >= self._next_walk:
            used = disk_usage(self._folder)
            took = time.monotonic() - began
            self._next_walk = began + max(0.2, 20 * took)
            if used > self._limits.disk:
                return f"more than {self._limits.disk // MIB} MiB on disk"
        return None

    def processes(self) -> list[str]:
        """Their numbers in the instance; none when it is gone, or can't be looked at."""
        try:
            return [name for name in os.listdir(self._proc) if name.isdecimal()]  # noqa: PTH208 - names only, often
        except OSError:
            return []

    def _resident(self, number: str) -> int:
        try:
            return int((self._proc / number / "statm").read_bytes().split()[1]) * self._page
        except (OSError, IndexError, ValueError):
            return 0  # it has ended meanwhile


def disk_usage(folder: Path) -> int:
    """Bytes that the files below take. What vanishes meanwhile doesn't count."""
    return sum(entry.stat(follow_symlinks=False).st_blocks * 512 for entry in _walk(folder))


def _walk(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except OSError:
        return
    for entry in found:
        try:
            entry.stat(follow_symlinks=False)
            is_folder = entry.is_dir(follow_symlinks=False)
        except OSError:
            continue
        yield entry
        if is_folder:
            yield from _walk(entry.path)
