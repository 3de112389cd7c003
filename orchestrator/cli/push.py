"""`orchestrator push`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import environment_variables, option


@click.command()
@option("--application-name", required=True, help="The application's name at AWS.")
@option(
    "--s3-location",
    required=True,
    metavar="s3://BUCKET/KEY",
    help="Where to. ${digest} and ${format} are expanded.",
)
@option(
    "--source",
    type=click.Path(path_type=Path),
    default=Path(),
    show_default=True,
    help="A directory with appspec.yml, or a ready archive.",
)
@option(
    "--format",
    "form",
    of="push",
    type=click.Choice(["tgz", "tar", "zip"]),
    help="Default: what the key ends on, else tgz.",
)
@option("--ignore", multiple=True, metavar="PATTERN", help="As in .gitignore. Repeatable.")
@option("--ignore-hidden-files/--no-ignore-hidden-files", default=False, help="Leave out what begins with a dot.")
@option("--description", help="Of the revision.")
@option("--region", metavar="NAME", help="Default: AWS_REGION, AWS_DEFAULT_REGION.")
def push(
    application_name: str,
    s3_location: str,
    source: Path,
    form: str | None,
    ignore: tuple[str, ...],
    description: str | None,
    region: str | None,
    *,
    ignore_hidden_files: bool,
) -> None:
    """Bundle a directory, upload it and register the revision, as `aws deploy push` does.

    The AppSpec is checked first, the archive is the same every time, and what the bucket has already isn't uploaded
    again. The output is the command that deploys it.

    \b
      orchestrator push --application-name shop --source ./api \\
        --s3-location 's3://releases/api/${digest}.tgz'
    """
    from orchestrator.cli.run_push import run_push  # noqa: PLC0415 - not for --help

    hidden = (".*",) if ignore_hidden_files else ()
    run_push(
        application_name,
        s3_location,
        source=source,
        form=form,
        ignore=(*ignore, *hidden),
        description=description,
        region=region,
        env=environment_variables(),
    )
