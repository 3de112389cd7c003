"""`orchestrator import`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from orchestrator.cli.options import environment_variables, option


@click.command("import")
@option(
    "--region",
    "regions",
    of="import",
    multiple=True,
    metavar="NAME",
    help="Repeatable. Default: AWS_REGION, the profile's.",
)
@option(
    "--role-arn", "role_arns", multiple=True, metavar="ARN", help="Take on this role; repeatable, one for each account."
)
@option(
    "--from",
    "environments",
    of="import",
    multiple=True,
    metavar="NAME=[ROLE_ARN@]REGION",
    help="In place of these: an environment of the manifest, and where it is. Repeatable.",
)
@option("--application", "applications", multiple=True, metavar="GLOB", help="Only these applications; repeatable.")
@option("--tags", is_flag=True, help="Tags become labels. Costs a call for each application and group.")
@option("-o", "--out", of="import", type=click.Path(path_type=Path), help="Write the manifest to this file.")
@option("--force", of="import", is_flag=True, help="Replace files that are there.")
@click.pass_context
def import_(ctx: click.Context, /, **given: Any) -> None:
    """Make a manifest of the applications and deployment groups of an account, or of several accounts and regions.

    What stands in each group is what the manifest deploys, so that `plan` says unchanged: it is where to begin. Only
    reads. Without -o the manifest is printed.

    \b
      orchestrator import -o release.yaml
      orchestrator import --application 'shop-*' --region eu-west-1 --region us-east-1
      orchestrator import --from staging=eu-west-1 --from prod=us-east-1 -o release.yaml
    """
    from orchestrator.cli.run_import import run_import  # noqa: PLC0415 - not for --help

    ctx.exit(run_import(given, environment_variables()))
