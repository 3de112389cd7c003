"""`orchestrator resume [RUN]`."""

from __future__ import annotations

import sys
from typing import Any

import click

from orchestrator.cli.apply import view_options
from orchestrator.cli.options import environment_variables, option, override_option, run_options, state_option


@click.command()
@click.argument("run", required=False)
@state_option
@view_options
@override_option
@run_options
@option("--accept-manifest", is_flag=True, help="Go on with a manifest that has changed, for what hasn't started yet.")
@click.pass_context
def resume(ctx: click.Context, /, run: str | None, **given: Any) -> None:
    """Go on with RUN, which died, was left running or was interrupted; with the newest run without RUN.

    The journal says what was started. A CreateDeployment that was never answered is looked up at CodeDeploy before
    anything is sent; what runs is watched to its end; what hasn't started is started, unless the manifest or a bundle
    has changed meanwhile.

    \b
      orchestrator resume
      orchestrator resume 20261124-014758-3f9a1c --on-cancel stop
    """
    from orchestrator.cli.run_resume import run_resume  # noqa: PLC0415 - not for --help

    ctx.exit(run_resume(run, given, environment_variables(), stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr))
