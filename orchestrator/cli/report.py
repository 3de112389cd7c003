"""`orchestrator report [RUN] -o FILE`."""

from __future__ import annotations

import sys

import click

from orchestrator.cli.options import environment_variables, option, state_option


@click.command()
@click.argument("run", required=False)
@option(
    "-o",
    "--out",
    of="report",
    metavar="FILE",
    required=True,
    help="Where to write it; - for stdout.",
)
@state_option
@click.pass_context
def report(ctx: click.Context, run: str | None, out: str, state: str | None) -> None:
    """Write RUN as one HTML file: the graph, the time, every target, what failed and why; the newest run without RUN.

    All is in the file, nothing is loaded and no script is needed: it can be kept with a CI job, mailed and printed. RUN
    is a run's id, or an unambiguous beginning of it; it may be running still, or have died.

    \b
      orchestrator report -o report.html
      orchestrator report 20261124-0901 -o report.html --state s3://acme-releases/state
    """
    from orchestrator.cli.run_report import run_report  # noqa: PLC0415 - not for --help

    ctx.exit(run_report(run, out, state, environment_variables(), stdout=sys.stdout, stderr=sys.stderr))
