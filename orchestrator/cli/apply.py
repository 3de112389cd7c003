"""`orchestrator apply MANIFEST`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.options import (
    environment_option,
    environment_variables,
    fleet_option,
    instance_options,
    manifest_argument,
    notify_option,
    option,
    override_option,
    run_options,
    selection_options,
    state_option,
    together,
    variable_option,
)

view_options = together(
    option(
        "--output",
        type=click.Choice(["auto", "live", "plain", "json"]),
        default="auto",
        show_default=True,
        help="auto: live on a terminal, else plain. json: one event a line on stdout.",
    ),
    option("--events", type=click.Path(path_type=Path), help="Also write the events, as JSON lines, to this file."),
    option("--result", type=click.Path(path_type=Path), help="Write the result, as JSON, to this file."),
    option("--report", type=click.Path(path_type=Path), help="Write the run as one HTML file, for people."),
    option(
        "--junit",
        type=click.Path(path_type=Path),
        help="Write the result as JUnit XML to this file: each target is a test case.",
    ),
    option("--metrics-listen", metavar="HOST:PORT", help="Serve /metrics for Prometheus. Host: 127.0.0.1 if left out."),
    option(
        "--metrics-textfile",
        type=click.Path(path_type=Path),
        help="Write metrics for the node exporter's textfile collector.",
    ),
    option("--pushgateway", metavar="URL", help="Push metrics to a Pushgateway."),
    option(
        "--pushgateway-cleanup",
        is_flag=True,
        help="At the end leave only the time of the last success there, nothing of the run.",
    ),
    option(
        "--metrics-detail",
        type=click.Choice(["target", "run"]),
        default="target",
        show_default=True,
        help="run: metrics without a series for each target.",
    ),
    option(
        "--serve",
        metavar="HOST:PORT",
        help="Serve the page, to watch it in a browser. Host: 127.0.0.1 if left out; any other needs a token.",
    ),
)


@click.command()
@manifest_argument
@environment_option
@selection_options
@variable_option
@option("--force", is_flag=True, help="Deploy even what is current.")
@option("--sandbox", is_flag=True, help="Against the embedded sandbox: no AWS account is needed or touched.")
@option(
    "--time-scale",
    type=click.FloatRange(min=0),
    show_default="10",
    help="How much faster than life the sandbox goes; 0: at once.",
)
@fleet_option
@instance_options
@option("--yes", is_flag=True, help="Don't ask.")
@override_option
@notify_option
@state_option
@view_options
@run_options
@click.pass_context
def apply(ctx: click.Context, /, **given: Any) -> None:
    """Run the release of MANIFEST: package, upload, deploy in dependency order, watch to the end.

    Targets start the moment their own needs are done. Progress goes to stderr, the result to stdout. The run is kept in
    a journal: `orchestrator status` shows it, also while it runs.

    \b
      orchestrator apply release.yaml -e staging
      orchestrator apply release.yaml -e staging --sandbox      a rehearsal on this machine
      orchestrator apply release.yaml --sandbox --hooks run     the same with the bundles' scripts
      orchestrator apply release.yaml -e prod --select shop-api --on-cancel stop

    \b
    Ctrl-C once: start nothing new, and do what --on-cancel says.
    Twice: stop our deployments. Three times: leave at once.
    """
    from orchestrator.cli.run_release import run_release  # noqa: PLC0415 - not for --help

    ctx.exit(run_release(given, environment_variables(), stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr))
