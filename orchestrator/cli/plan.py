"""`orchestrator plan MANIFEST`."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.options import (
    environment_option,
    environment_variables,
    manifest_argument,
    option,
    output_option,
    selection_options,
    variable_option,
)
from orchestrator.core.errors import ExitCode


@click.command()
@manifest_argument
@environment_option
@selection_options
@variable_option
@option("--force", is_flag=True, help="Deploy even what is current.")
@option("--sandbox", is_flag=True, help="Against the embedded sandbox, where nothing is deployed yet.")
@output_option
@option("--detailed-exitcode", is_flag=True, help="Exit with 7 when there is something to deploy.")
@click.pass_context
def plan(ctx: click.Context, /, output: str, *, detailed_exitcode: bool, **given: Any) -> None:
    """Show what a run of MANIFEST would do: the order, each revision (current -> new), and what is skipped and why.

    Only reads, from AWS and from your disk.

    \b
      orchestrator plan release.yaml -e staging
      orchestrator plan release.yaml -e prod --select 'shop-*' --include-needs
    """
    import anyio  # noqa: PLC0415 - not for --help

    from orchestrator.app.releases import open_plan, prepare  # noqa: PLC0415 - as above
    from orchestrator.cli.release import release_options  # noqa: PLC0415 - as above
    from orchestrator.cli.show_plan import plan_as_json, plan_as_text  # noqa: PLC0415 - as above
    from orchestrator.core.plan import Plan  # noqa: PLC0415 - as above

    options = release_options(given)
    prepared = prepare(options, environment_variables())
    for warning in prepared.warnings:
        click.echo(str(warning), err=True)

    async def make() -> Plan:
        async with open_plan(prepared, options, environment_variables()) as planned:
            return planned.plan

    made = anyio.run(make)
    click.echo(plan_as_json(made) if output == "json" else plan_as_text(made))
    if detailed_exitcode and made.changes:
        ctx.exit(int(ExitCode.CHANGES))
