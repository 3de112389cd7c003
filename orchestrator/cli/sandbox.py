"""`orchestrator sandbox [MANIFEST]`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import environment_option, environment_variables, option, variable_option


@click.command()
@click.argument("manifest", type=click.Path(path_type=Path), required=False)
@environment_option
@variable_option
@option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@option("--port", type=click.IntRange(0, 65535), default=0, help="0: any that is free.")
@option(
    "--fleet",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What to play: instances with tags and zones, speeds, faults. docs/sandbox.md shows such a file.",
)
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
@option("--env-file", type=click.Path(path_type=Path), help="Also write the export lines to this file.")
def sandbox(
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
    """
    from orchestrator.cli.run_sandbox import run_sandbox  # noqa: PLC0415 - not for --help

    run_sandbox(manifest, environment, dict(variables), environment_variables(), given)
