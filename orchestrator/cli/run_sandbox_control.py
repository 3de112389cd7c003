"""What the commands on a running sandbox do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.show_sandbox import instances_as_text, logs_as_text, status_as_text
from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.sandbox.remote import Remote, RemoteError, read_exports

_HINT = (
    "start one with `orchestrator sandbox --env-file sandbox.env`, and name that file, or source it: . ./sandbox.env"
)


def run_status(env_file: Path | None, output: str) -> None:
    remote = _remote(env_file)
    _show({"url": remote.url, **_ask(remote, "GET", "status")}, output, status_as_text)


def run_logs(instance: str, env_file: Path | None, output: str) -> None:
    _show(_ask(_remote(env_file), "GET", "logs", instance), output, logs_as_text)


def run_alarm(name: str, state: str, env_file: Path | None) -> None:
    _ask(_remote(env_file), "PUT", "alarm", name, state)
    click.echo(f"alarm {name}: {state}")


def run_instance(name: str, action: str, env_file: Path | None) -> None:
    answer = _ask(_remote(env_file), "PUT", "instance", name, action)
    click.echo(instances_as_text(answer["instances"]))


def _show(answer: dict[str, Any], output: str, as_text: Callable[[Mapping[str, Any]], str]) -> None:
    click.echo(json.dumps(answer, indent=2) if output == "json" else as_text(answer))


def _remote(env_file: Path | None) -> Remote:
    try:
        return Remote(os.environ if env_file is None else read_exports(env_file.read_text(encoding="utf-8")))
    except RemoteError as error:
        raise UsageError(str(error), hint=_HINT) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"--env-file: {env_file} can't be read: {error}") from None


def _ask(remote: Remote, method: str, *path: str) -> dict[str, Any]:
    try:
        return remote.ask(method, *path)
    except RemoteError as error:
        if error.is_input:
            raise UsageError(str(error)) from None
        raise OrchestratorError(str(error), hint=_HINT) from None
