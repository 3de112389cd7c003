"""`orchestrator launch MANIFEST`."""

from __future__ import annotations

import sys
from typing import Any

import click

from orchestrator.cli.apply import view_options
from orchestrator.cli.options import (
    Duration,
    environment_option,
    environment_variables,
    manifest_argument,
    option,
    selection_options,
    state_option,
    variable_option,
)


@click.command()
@manifest_argument
@environment_option
@option(
    "--function", metavar="NAME[:ALIAS]", required=True, help="The durable function that carries it out, or its ARN."
)
@selection_options
@variable_option
@option("--force", is_flag=True, help="Deploy even what is current.")
@option("--yes", is_flag=True, help="Don't ask.")
@state_option
@view_options
@option("--detach", is_flag=True, help="Don't follow the run: leave once the function has it, with exit code 8.")
@option(
    "--lock-wait",
    type=Duration(zero=True),
    default="0",
    show_default=True,
    help="How long to wait when another run has a lock on one of the targets.",
)
@click.pass_context
def launch(ctx: click.Context, /, **given: Any) -> None:
    """Have a Lambda durable function carry out the release of MANIFEST; no process of yours has to stay.

    Checks, plans, packs and uploads happen here, then the run is written to its state, which has to be a bucket, and
    the function goes on with it. It is followed to its end, with the exit code of `apply`, whoever goes or stays:
    `status`, `cancel`, `approve` and `serve` work on it as on any run.

    \b
      orchestrator launch release.yaml -e prod --function orchestrator:live
      orchestrator launch release.yaml -e prod --function orchestrator:live --detach

    Ctrl-C ends the following, not the run.
    """
    from orchestrator.cli.run_launch import run_launch  # noqa: PLC0415 - not for --help

    ctx.exit(run_launch(given, environment_variables(), stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr))
