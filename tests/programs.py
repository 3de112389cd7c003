"""Real programs of Debian's that judge what we send them: Pushgateway, Prometheus, Alertmanager, each on loopback.

A missing one is a failure: a skipped judge would look like a satisfied one.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from rig import wait_until


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"no {name}: `make programs` installs it, or apt-get install {name}")
    return found


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running(command: Sequence[str], url: str, log: Path = Path(os.devnull)) -> Iterator[str]:
    """Until the block is left; begins when the program says that it is ready."""
    with log.open("wb") as errors, subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors) as process:
        try:
            wait_until(lambda: answers(f"{url}/-/ready") or process.poll() is not None, f"{command[0]} is ready")
            assert process.poll() is None, log.read_text()
            yield url
        finally:
            process.kill()


@contextmanager
def pushgateway() -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    command = [program("prometheus-pushgateway"), f"--web.listen-address={address}", "--log.level=error"]
    with running(command, f"http://{address}") as url:
        yield url


@contextmanager
def prometheus(config: Path, data: Path) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    options = [f"--config.file={config}", f"--storage.tsdb.path={data}", "--log.level=error"]
    command = [program("prometheus"), *options, f"--web.listen-address={address}"]
    with running(command, f"http://{address}", data.with_suffix(".log")) as url:
        yield url


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
            return bool(answer.status == 200)
    except OSError:
        return False
