"""What leaves by itself: metrics to a text file, for node_exporter, and to a Pushgateway; at the end, the last spans.

Neither may delay or fail a release. A file system or a gateway may hang, and Python can't take back a call that hangs;
so each runs in a daemon thread, which holds up neither the event loop nor the end of the process.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.from_thread
import anyio.lowlevel

from orchestrator.sinks.exposition import TEXT
from orchestrator.sinks.last_success import Successes, found_in
from orchestrator.sinks.negotiation import Render

INTERVAL = 15.0
"""Seconds between two exports."""

PATIENCE = 5.0
"""Seconds that the last export may take."""


@dataclass(kw_only=True, slots=True)
class Export:
    """One place that metrics go to."""

    name: str
    """For the warning, such as `--metrics-textfile m.prom`."""
    what: str = "metrics"
    send: Callable[[], None]
    """Blocks; raises what went wrong."""
    end: Callable[[], None] | None = None
    """What is sent at the very end instead; as `send`."""
    warned: bool = False
    idle: anyio.Event | None = None
    """Set when the last attempt is over; None: there was none."""


def to_textfile(render: Render, path: Path) -> Export:
    return Export(name=f"--metrics-textfile {path}", send=lambda: write_textfile(render, path))


class Exporter:
    """Sends to all places while `run` runs, and once more by `finish`."""

    def __init__(
        self,
        exports: Sequence[Export],
        *,
        warn: Callable[[str], None],
        interval: float = INTERVAL,
        patience: float = PATIENCE,
    ) -> None:
        """`warn` is told of the first failure of each export, on the event loop; times are in seconds."""
        self._exports = tuple(exports)
        self._warn = warn
        self._interval = interval
        self._patience = patience

    async def run(self) -> None:
        """Never returns while there is anything to export; cancel it."""
        async with anyio.create_task_group() as tasks:
            for export in self._exports:
                tasks.start_soon(self._keep, export)

    async def finish(self) -> None:
        """The last figures. Returns within `patience` seconds, come what may, and also when the run is cancelled."""
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                for export in self._exports:
                    tasks.start_soon(self._once, export, export.end)

    async def _keep(self, export: Export) -> None:
        while True:
            await anyio.sleep(self._interval)
            await self._once(export)

    async def _once(self, export: Export, send: Callable[[], None] | None = None) -> None:
        """One export, given up after a while; not begun while the one before hangs."""
        fault: str | None = f"no answer within {self._patience:g} s"
        with anyio.move_on_after(self._patience):
            if export.idle is not None:
                await export.idle.wait()
            fault = await _in_daemon_thread(export, send or export.send)
        if fault is not None and not export.warned:
            export.warned = True
            self._warn(f"{export.name}: {fault}; the release goes on without these {export.what}")


async def _in_daemon_thread(export: Export, send: Callable[[], None]) -> str | None:
    """What went wrong, if anything did."""
    idle = export.idle = anyio.Event()
    loop = anyio.lowlevel.current_token()
    faults: list[str] = []

    def work() -> None:
        try:
            send()
        except Exception as error:  # noqa: BLE001 - whatever it is, metrics must not take the release with them
            faults.append(str(error) or type(error).__name__)
        with contextlib.suppress(RuntimeError):  # the process is past its event loop
            anyio.from_thread.run_sync(idle.set, token=loop)

    threading.Thread(target=work, name=export.name, daemon=True).start()
    await idle.wait()
    return faults[0] if faults else None


def write_textfile(render: Render, path: Path) -> None:
    """Replaces the file at once, so that no reader ever sees a part of it. Raises OSError."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is no regular file")  # replacing /dev/null would harm the whole machine
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # node_exporter reads only *.prom
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(render(TEXT))
            file.flush()
            os.fchmod(file.fileno(), 0o644)  # another user, node_exporter's, has to read it
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def read_last_success(path: Path) -> Successes:
    """When runs last succeeded, as an earlier run's text file says; empty when there is none that can be read."""
    try:
        with path.open("rb") as file:
            return found_in(file)
    except (OSError, ValueError):
        return {}
