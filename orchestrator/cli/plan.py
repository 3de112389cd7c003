"""`orchestrator plan MANIFEST`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.options import (
    Duration,
    PlanOutput,
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
@selection_options
@variable_option
@option("--force", is_flag=True, help="Deploy even what is current.")
@option("--sandbox", is_flag=True, help="Against the embedded sandbox, where nothing is deployed yet.")
@option("-o", "--out", type=click.Path(path_type=Path), help="Save the plan in this file, for `apply FILE`.")
@option("--ttl", type=Duration(), default="24h", show_default=True, help="How long the saved plan may be carried out.")
@option("--preflight", is_flag=True, help="Also look at all that a run needs: roles, configurations, buckets, rights.")
@state_option
@option(
    "--output",
    type=PlanOutput(),
    default="plain",
    show_default=True,
    help="For people, for programs, or for a pull request.",
)
@option("--detailed-exitcode", is_flag=True, help="Exit with 7 when there is something to deploy.")
@click.pass_context
def plan(ctx: click.Context, /, **given: Any) -> None:
    """Show what a run of MANIFEST would do: the order, each revision (current -> new), and what is skipped and why.

    Only reads, from AWS and from your disk. MANIFEST may be a saved plan, which is shown as long as it is still true.

    \b
      orchestrator plan release.yaml -e staging
      orchestrator plan release.yaml -e prod --select 'shop-*' --include-needs
      orchestrator plan release.yaml -e prod -o plan.json && orchestrator apply plan.json
    """
    from orchestrator.cli.run_plan import run_plan  # noqa: PLC0415 - not for --help

    ctx.exit(run_plan(given, environment_variables(), stdout=sys.stdout, stderr=sys.stderr))
