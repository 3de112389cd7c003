"""`orchestrator sandbox [MANIFEST]`, and the commands that look at a running one or turn its knobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from orchestrator.cli.options import (
    environment_option,
    environment_variables,
    fleet_option,
    instance_options,
    option,
    output_option,
    variable_option,
)


class SandboxGroup(click.Group):
    """Whatever doesn't begin with the name of one of its commands serves a sandbox."""

    def __init__(self, serve: click.Command) -> None:
        super().__init__("sandbox", help=serve.help)
        self.serve = serve

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args and args[0] in self.commands:
            return super().make_context(info_name, args, parent, **extra)
        return self.serve.make_context(info_name, args, parent, **extra)


@click.command("sandbox")
@click.argument("manifest", type=click.Path(path_type=Path), required=False)
@environment_option
@variable_option
@option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@option("--port", type=click.IntRange(0, 65535), default=0, help="0: any that is free.")
@fleet_option
@option("--instances", type=click.IntRange(0, 1000), show_default="3", help="Instances of each group.")
@option(
    "--time-scale",
    type=click.FloatRange(min=0),
    show_default="10",
    help="60 plays an hour in a minute, 1 is life; 0: deployments have ended as soon as anyone asks.",
)
@option(
    "--throttle", type=click.FloatRange(min=0, min_open=True), help="CodeDeploy calls a second, before it throttles."
)
@option(
    "--fail",
    multiple=True,
    metavar="APP/GROUP[:EVENT]",
    help="Let deployments of this group fail, at this lifecycle event. AWS names; globs. Repeatable.",
)
@option(
    "--error-rate", type=click.FloatRange(0, 1), default=0.0, help="Share of CodeDeploy calls answered with HTTP 500."
)
@option(
    "--reset-before", type=click.FloatRange(0, 1), default=0.0, help="Share of calls cut off before they are handled."
)
@option(
    "--reset-after", type=click.FloatRange(0, 1), default=0.0, help="Share of calls cut off after they were handled."
)
@option("--seed", type=int, show_default="0", help="The same seed rehearses the same.")
@option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep everything in this folder: it is there again at the next start. Without it all is gone at the end.",
)
@instance_options
@option("--env-file", type=click.Path(path_type=Path), help="Also write the export lines to this file.")
def serve(
    manifest: Path | None, environment: str | None, variables: tuple[tuple[str, str], ...], **given: object
) -> None:
    """S3 and CodeDeploy on this machine, for any AWS SDK or CLI; nothing of it is AWS.

    With MANIFEST it holds the manifest's applications, groups (three instances each) and buckets, for all of its
    environments or for the one of -e; without, it is empty. It prints the variables that lead there, and runs until
    Ctrl-C. All that it holds is gone then, unless --data names a folder that keeps it.

    \b
      orchestrator sandbox release.yaml --env-file sandbox.env
    and in another terminal:
      . ./sandbox.env
      orchestrator apply release.yaml -e staging
      aws deploy list-applications
      orchestrator sandbox status              what it holds, and what runs
      orchestrator sandbox logs INSTANCE       what an instance has been through
      orchestrator sandbox alarm NAME on|off   a CloudWatch alarm, as groups name it
      orchestrator sandbox instance NAME stop|start
    A manifest of such a name is ./status, and so on.
    """
    from orchestrator.cli.run_sandbox import run_sandbox  # noqa: PLC0415 - not for --help

    run_sandbox(manifest, environment, dict(variables), environment_variables(), given)


sandbox = SandboxGroup(serve)

_env_file = option(
    "--env-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The file that the sandbox has written; by default the variables of this shell lead to it.",
)


@sandbox.command()
@_env_file
@output_option
def status(env_file: Path | None, output: str) -> None:
    """What a running sandbox holds, and what runs in it."""
    from orchestrator.cli.run_sandbox_control import run_status  # noqa: PLC0415 - not for --help

    run_status(env_file, output)


@sandbox.command()
@click.argument("instance")
@_env_file
@output_option
def logs(instance: str, env_file: Path | None, output: str) -> None:
    """The lifecycle events of an instance, with what scripts wrote where they ran.

    INSTANCE is its id or its name in the fleet file.
    """
    from orchestrator.cli.run_sandbox_control import run_logs  # noqa: PLC0415 - as above

    run_logs(instance, env_file, output)


@sandbox.command()
@click.argument("name")
@click.argument("state", type=click.Choice(["on", "off", "unreadable"]))
@_env_file
def alarm(name: str, state: str, env_file: Path | None) -> None:
    """Sets off a CloudWatch alarm, or ends it.

    A deployment whose alarm configuration names it is stopped while it is on. One that is unreadable stops those that
    don't ignore that (ignorePollAlarmFailure).
    """
    from orchestrator.cli.run_sandbox_control import run_alarm  # noqa: PLC0415 - as above

    run_alarm(name, state, env_file)


@sandbox.command()
@click.argument("name")
@click.argument("action", type=click.Choice(["stop", "start"]))
@_env_file
def instance(name: str, action: str, env_file: Path | None) -> None:
    """Stops an instance, or starts it again: its events fail or wait, as those of a machine that is gone.

    NAME is its id or its name in the fleet file.
    """
    from orchestrator.cli.run_sandbox_control import run_instance  # noqa: PLC0415 - as above

    run_instance(name, action, env_file)
