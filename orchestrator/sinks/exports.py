"""Metrics that leave by themselves: to a text file for node_exporter, to a Pushgateway for Prometheus.

Neither may delay or fail a release. A file system or a gateway may hang, and Python can't take back a call that hangs;
so each runs in a daemon thread, which holds up neither the event loop nor the end of the process.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import anyio.from_thread
import anyio.lowlevel
from prometheus_client import CollectorRegistry, generate_latest, pushadd_to_gateway
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.core.errors import UsageError

INTERVAL = 15.0
"""Seconds between two exports."""

PATIENCE = 5.0
"""Seconds that the last export may take, and any socket operation of a push."""

JOB = "orchestrator"

_SUCCESS = "orchestrator_last_success_timestamp_seconds"


@dataclass(kw_only=True, slots=True)
class Export:
    """One place that metrics go to."""

    name: str
    """For the warning, such as `--metrics-textfile m.prom`."""
    send: Callable[[], None]
    """Blocks; raises what went wrong."""
    warned: bool = False
    idle: anyio.Event | None = None
    """Set when the last attempt is over; None: there was none."""


def to_textfile(registry: CollectorRegistry, path: Path) -> Export:
    return Export(name=f"--metrics-textfile {path}", send=lambda: write_textfile(registry, path))


def to_gateway(registry: CollectorRegistry, url: str, grouping: Callable[[], Mapping[str, str]]) -> Export:
    """`grouping` gives the labels by which the gateway tells pushes apart; read at each push.

    Raises `UsageError` when `url` isn't one.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        message = f"--pushgateway: {url!r} is no URL of a Pushgateway"
        raise UsageError(message, hint="such as http://pushgateway:9091")
    # The name leaves out what may be a password.
    return Export(name=f"--pushgateway {parts.hostname}", send=lambda: push(registry, url, grouping()))


class Exporter:
    """Sends metrics to all places while `run` runs, and once more by `finish`."""

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
                    tasks.start_soon(self._once, export)

    async def _keep(self, export: Export) -> None:
        while True:
            await anyio.sleep(self._interval)
            await self._once(export)

    async def _once(self, export: Export) -> None:
        """One export, given up after a while; not begun while the one before hangs."""
        fault: str | None = f"no answer within {self._patience:g} s"
        with anyio.move_on_after(self._patience):
            if export.idle is not None:
                await export.idle.wait()
            fault = await _in_daemon_thread(export)
        if fault is not None and not export.warned:
            export.warned = True
            self._warn(f"{export.name}: {fault}; the release goes on without these metrics")


async def _in_daemon_thread(export: Export) -> str | None:
    """What went wrong, if anything did."""
    idle = export.idle = anyio.Event()
    loop = anyio.lowlevel.current_token()
    faults: list[str] = []

    def work() -> None:
        try:
            export.send()
        except Exception as error:  # noqa: BLE001 - whatever it is, metrics must not take the release with them
            faults.append(str(error) or type(error).__name__)
        with contextlib.suppress(RuntimeError):  # the process is past its event loop
            anyio.from_thread.run_sync(idle.set, token=loop)

    threading.Thread(target=work, name=export.name, daemon=True).start()
    await idle.wait()
    return faults[0] if faults else None


def write_textfile(registry: CollectorRegistry, path: Path) -> None:
    """Replaces the file at once, so that no reader ever sees a part of it. Raises OSError."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is no regular file")  # replacing /dev/null would harm the whole machine
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # node_exporter reads only *.prom
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(generate_latest(registry))
            file.flush()
            os.fchmod(file.fileno(), 0o644)  # another user, node_exporter's, has to read it
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def push(registry: CollectorRegistry, url: str, grouping: Mapping[str, str]) -> None:
    """Adds the metrics to a Pushgateway's group; blocks. Raises OSError.

    Added, not put: a metric that this run doesn't have, such as the time of the last success, stays.
    """
    pushadd_to_gateway(url, job=JOB, registry=registry, grouping_key=dict(grouping), timeout=PATIENCE)


def read_last_success(path: Path) -> dict[tuple[str, str], float]:
    """When runs last succeeded, as an earlier run's text file says; empty when there is none that can be read."""
    try:
        families = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
        return {
            (sample.labels["release"], sample.labels["environment"]): float(sample.value)
            for family in families
            for sample in family.samples
            if sample.name == _SUCCESS
        }
    except (OSError, ValueError, KeyError):
        return {}
