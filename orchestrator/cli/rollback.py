"""`orchestrator rollback [RUN]`."""

from __future__ import annotations

import sys
from typing import Any

import click

from orchestrator.cli.apply import view_options
from orchestrator.cli.options import environment_variables, option, run_options, state_option


@click.command()
@click.argument("run", required=False)
@option("--dry-run", is_flag=True, help="Only show what would go back to what; nothing is called.")
@option(
    "--force",
    is_flag=True,
    of="rollback",
    help="Also groups that somebody has deployed to since the run.",
)
@option("--yes", is_flag=True, help="Don't ask.")
@state_option
@view_options
@run_options
@click.pass_context
def rollback(ctx: click.Context, /, run: str | None, **given: Any) -> None:
    """Put back what stood before RUN in each deployment group that it has changed; the newest run without RUN.

    What needed others goes back before them. The rollback is a run of its own with a journal of its own; one that died
    or was left is gone on with by `orchestrator resume`. What CodeDeploy has rolled back by itself is not done again,
    and a group without an earlier successful deployment is named and left alone.

    \b
      orchestrator rollback --dry-run
      orchestrator rollback 20261124-014758-3f9a1c --yes

    Exit codes: 4 all is back, 5 something isn't, 6 groups have been deployed to since, or another process has a lock.
    """
    from orchestrator.cli.run_rollback import run_rollback  # noqa: PLC0415 - not for --help

    streams = {"stdin": sys.stdin, "stdout": sys.stdout, "stderr": sys.stderr}
    ctx.exit(run_rollback(run, given, environment_variables(), **streams))
