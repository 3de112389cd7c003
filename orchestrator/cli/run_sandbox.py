"""What `sandbox` does between its arguments and Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import click

from orchestrator.app.offline import sandbox_fleet
from orchestrator.cli.files import check_writable
from orchestrator.core.errors import UsageError
from orchestrator.sandbox.home import HomeError
from orchestrator.sandbox.options import Failure, Faults, SandboxOptions
from orchestrator.sandbox.server import Sandbox, export_lines


def run_sandbox(
    manifest: Path | None,
    environment: str | None,
    variables: Mapping[str, str],
    env: Mapping[str, str],
    given: Mapping[str, Any],
) -> None:
    """Serves until SIGINT or SIGTERM. `given`: the other options by their names."""
    check_writable(given["env_file"], "--env-file")
    try:
        options = sandbox_options(given)
        fleet = sandbox_fleet(manifest, environment, variables, env, instances=given["instances"])
    except ValueError as error:
        raise UsageError(str(error)) from None
    anyio.run(_serve, Sandbox(fleet, options), given["env_file"])


def sandbox_options(given: Mapping[str, Any]) -> SandboxOptions:
    """Raises ValueError."""
    faults = Faults(
        failures=tuple(_failure(text) for text in given["fail"]),
        throttle=given["throttle"],
        error_rate=given["error_rate"],
        reset_before=given["reset_before"],
        reset_after=given["reset_after"],
    )
    return SandboxOptions(
        host=given["host"],
        port=given["port"],
        time_scale=given["time_scale"],
        instances=given["instances"],
        seed=given["seed"],
        data=given["data"],
        faults=faults,
    )


def _failure(text: str) -> Failure:
    target, _, event = text.partition(":")
    if "/" not in target:
        raise ValueError(f"--fail {text}: write application/deployment_group, or application/deployment_group:event")
    return Failure(target=target, event=event) if event else Failure(target=target)


async def _serve(sandbox: Sandbox, env_file: Path | None) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async with AsyncExitStack() as stack:
            try:
                endpoint = await stack.enter_async_context(sandbox.serve())
            except HomeError as error:
                raise UsageError(str(error), hint="see --data") from None
            except OSError as error:
                raise UsageError(error.strerror or str(error), hint="see --host and --port") from None
            lines = export_lines(endpoint)
            if env_file is not None:
                _write_private(env_file, lines)
            click.echo(lines, nl=not lines.endswith("\n"))
            click.echo(f"sandbox: {endpoint.url}; Ctrl-C ends it", err=True)
            async for _ in received:
                break
    click.echo("sandbox: ended", err=True)


def _write_private(path: Path, text: str) -> None:
    """The keys open nothing but the sandbox; a habit all the same."""
    path.touch(mode=0o600)
    path.write_text(text)
