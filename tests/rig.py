"""The real command as a process, and a sandbox in this process that can be looked at."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal
from forks import Process

from orchestrator.app.offline import sandbox_fleet
from orchestrator.sandbox.fleet import FleetSpec
from orchestrator.sandbox.options import Faults
from orchestrator.sandbox.server import Endpoint

REGION = "eu-west-1"
COMMAND = [sys.executable, "-m", "orchestrator"]
"""A start as users have it, imports and all."""
DEADLINE = 120
"""Seconds that a command may take before the test gives up on it."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Programs:
    """Commands that start quickly (`tests/forks.py`)."""

    server: Path
    """Of `orchestrator`; its address."""
    orchestrator: Path
    aws: Path
    """The stock AWS CLI."""

    @property
    def folder(self) -> Path:
        """Of both, for PATH."""
        return self.aws.parent


@dataclass
class Command:
    """Runs `orchestrator` in a folder, against a sandbox or against nothing."""

    folder: Path
    programs: Programs
    environment: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, stdin: str | None = None) -> Ended:
        with self.start(*arguments, pipe_in=stdin is not None) as process:
            out, err = process.communicate(stdin, timeout=DEADLINE)
        return Ended(process.returncode, out, err)

    def start(self, *arguments: str, pipe_in: bool = False) -> Process:
        server = self.programs.server
        return Process(server, arguments, cwd=self.folder, env=self._environment(), pipe_in=pipe_in)

    def shell(self, script: str, **environment: str) -> Ended:
        """Runs a line of bash that has `$ORCHESTRATOR`, `$AWS`, `$PYTHON`; the first failure in a pipe is its own."""
        found = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {script}"],
            cwd=self.folder,
            env={**self._environment(), **self._programs(), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        return Ended(found.returncode, found.stdout, found.stderr)

    def _programs(self) -> dict[str, str]:
        """A shell may do to a command what only a real start can show: close its streams, take its folder away."""
        return {"ORCHESTRATOR": shlex.join(COMMAND), "AWS": str(self.programs.aws), "PYTHON": sys.executable}

    def result(self, name: str = "result.json") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / name).read_text())
        return found

    def states(self) -> dict[str, str]:
        return {each["target"]: each["state"] for each in self.result()["targets"]}

    def write(self, text: str, name: str = "release.yaml") -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def bundle(self, name: str = "app", **files: str) -> None:
        """A small bundle that the agent takes."""
        self.write(
            "version: 0.0\nos: linux\nfiles:\n  - source: /index.html\n    destination: /srv/www\n",
            f"{name}/appspec.yml",
        )
        self.write("<h1>hello</h1>\n", f"{name}/index.html")
        for file, text in files.items():
            self.write(text, f"{name}/{file}")

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "COVERAGE_PROCESS_START") if name in os.environ}
        kept["XDG_CACHE_HOME"] = f"{self.folder}-cache"
        return {**kept, "PYTHONUNBUFFERED": "1", "AWS_EC2_METADATA_DISABLED": "true", **self.environment}


@dataclass(frozen=True)
class Rig:
    """A command, and the sandbox that it talks to."""

    command: Command
    endpoint: Endpoint
    portal: BlockingPortal

    def deployments(self, application: str | None = None) -> list[Any]:
        """Those that users made, in the order of their creation."""
        found = self.portal.call(self.endpoint.deployments, application)
        return [each for each in found if each.creator == "user"]

    def calls(self, operation: str | None = None, outcome: str | None = None) -> int:
        return self.portal.call(self.endpoint.calls.total, operation, outcome, "codedeploy")

    def set_faults(self, faults: Faults) -> None:
        self.portal.call(self.endpoint.set_faults, faults)


MakeRig = Callable[..., Rig]


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """For what another process does; there is nothing to be told by, so it is looked at."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def github(names: Sequence[str], **settings: str) -> str:
    """A manifest of applications with one group `g` each, which need no bundle."""
    lines = ["version: 1", "release: test", *(f"{key}: {value}" for key, value in settings.items()), "applications:"]
    for name in names:
        lines += [f"  {name}:", "    revision: {github: {repository: acme/x, commit: " + "a" * 40 + "}}"]
        lines += ["    deployment_groups: [g]"]
    return "\n".join(lines) + "\n"


def interrupt(process: Process, number: signal.Signals = signal.SIGINT) -> None:
    process.send_signal(number)


def fleet_of(*manifests: Path) -> FleetSpec:
    """All that these manifests name, in all of their environments."""
    fleets = [sandbox_fleet(each, None, {}, {}, instances=2) for each in manifests]
    return FleetSpec(
        groups=tuple(group for fleet in fleets for group in fleet.groups),
        buckets=tuple(bucket for fleet in fleets for bucket in fleet.buckets),
    )
