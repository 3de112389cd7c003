"""`orchestrator sandbox` as a process of its own, and `orchestrator apply` measured against it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from .processes import ORCHESTRATOR, CommandError, Usage, clean_environment, last_lines, measure

POLL_INTERVAL = 0.5
"""Seconds."""

_SECONDS_TO_END = 30

_SAMPLE = re.compile(r"orchestrator_api_requests_total\{([^}]*)\} (\S+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Applied:
    """One run, looked at from outside."""

    usage: Usage
    events: Sequence[Mapping[str, Any]]
    calls: int | None
    """BatchGetDeployments that were sent, as the metrics count them; None when they don't."""

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        return [event for event in self.events if event["type"] == kind]


@contextmanager
def sandbox(manifest: Path, *, time_scale: float) -> Iterator[Mapping[str, str]]:
    """Gives the variables that lead to it. Raises `CommandError` when it doesn't start."""
    environment = manifest.with_suffix(".env")
    command = [ORCHESTRATOR, "sandbox", str(manifest), "--time-scale", str(time_scale), "--env-file", str(environment)]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            if not process.stdout.readline():  # its first line comes when it serves
                raise CommandError(f"orchestrator sandbox didn't start:\n{last_lines(errors)}")
            yield variables(environment.read_text())
        finally:
            process.terminate()
            try:
                process.wait(_SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                process.kill()


def apply(manifest: Path, env: Mapping[str, str]) -> Applied:
    """Raises `CommandError` unless the run succeeds."""
    events, metrics = manifest.with_suffix(".jsonl"), manifest.with_suffix(".prom")
    usage = measure(
        [
            ORCHESTRATOR,
            "apply",
            str(manifest),
            *("--state", str(manifest.with_suffix(".state"))),
            *("--output", "plain"),
            *("--poll-interval", f"{POLL_INTERVAL * 1000:.0f}ms"),
            *("--events", str(events)),
            *("--metrics-textfile", str(metrics)),
        ],
        env=env,
    )
    lines = events.read_text().splitlines()
    return Applied(usage=usage, events=[json.loads(line) for line in lines], calls=_calls(metrics))


def moment(event: Mapping[str, Any]) -> float:
    """When it happened, in epoch seconds."""
    return datetime.fromisoformat(event["ts"]).timestamp()


def variables(exports: str) -> dict[str, str]:
    """Of the `export` lines that a sandbox prints."""
    words = (shlex.split(line)[1] for line in exports.splitlines())
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _calls(metrics: Path) -> int | None:
    if not metrics.exists():
        return None
    samples = _SAMPLE.findall(metrics.read_text())
    counts = [float(count) for labels, count in samples if 'operation="BatchGetDeployments"' in labels]
    return int(sum(counts))
