"""`orchestrator promote MANIFEST`."""

from __future__ import annotations

import sys
from typing import Any

import click

from orchestrator.cli.apply import view_options
from orchestrator.cli.options import (
    environment_variables,
    manifest_argument,
    notify_option,
    option,
    override_option,
    run_options,
    selection_options,
    state_option,
    variable_option,
)


@click.command()
@manifest_argument
@option("--from", "source", metavar="NAME", required=True, help="The environment in which it has succeeded.")
@option("-e", "--environment", metavar="NAME", required=True, help="The environment to promote to.")
@selection_options
@variable_option
@option("--force", is_flag=True, help="Deploy even what is current.")
@option("--dry-run", is_flag=True, help="Only show what would be done.")
@option("--yes", is_flag=True, help="Don't ask.")
@override_option
@notify_option
@state_option
@view_options
@run_options
@click.pass_context
def promote(ctx: click.Context, /, **given: Any) -> None:
    """Deploy to one environment what has succeeded in another: the same digests, all of them or none.

    What succeeded there, and since when, is read from its runs. Bundles are copied from bucket to bucket, and proved to
    be the same; commits, AppSpecs and given objects are deployed as they were there.

    \b
      orchestrator promote release.yaml --from staging -e prod
      orchestrator promote release.yaml --from staging -e prod --dry-run
    """
    from orchestrator.cli.run_promote import run_promote  # noqa: PLC0415 - not for --help

    ctx.exit(run_promote(given, environment_variables(), stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr))
