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
from orchestrator.sandbox.fleetfile import FleetFile, read_fleet
from orchestrator.sandbox.fleetmerge import merged_fleet, merged_options
from orchestrator.sandbox.home import HomeError
from orchestrator.sandbox.options import Failure, Faults, SandboxOptions
from orchestrator.sandbox.rehearsal import agents_maker
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
        file = read_fleet(given["fleet"]) if given["fleet"] is not None else None
        options = sandbox_options(given, file)
        fleet = sandbox_fleet(manifest, environment, variables, env, instances=options.instances)
        if file is not None:
            fleet = merged_fleet(file, fleet)
        agents = agents_maker(
            given["hooks"], given["instances_dir"], options.repositories, image=given["instance_image"]
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    anyio.run(_serve, Sandbox(fleet, options, agents=agents), given["env_file"])


def sandbox_options(given: Mapping[str, Any], file: FleetFile | None = None) -> SandboxOptions:
    """What is given wins over what the fleet file says. Raises ValueError."""
    faults = Faults(
        failures=tuple(_failure(text) for text in given["fail"]),
        throttle=given["throttle"],
        error_rate=given["error_rate"],
        reset_before=given["reset_before"],
        reset_after=given["reset_after"],
    )
    return merged_options(
        file,
        faults=faults,
        time_scale=given["time_scale"],
        instances=given["instances"],
        seed=given["seed"],
        host=given["host"],
        port=given["port"],
        data=given["data"],
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
