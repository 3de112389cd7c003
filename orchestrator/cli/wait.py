"""`orchestrator wait [DEPLOYMENT_ID]...`."""

from __future__ import annotations

import sys
from typing import Any

import click

from orchestrator.cli.apply import view_options
from orchestrator.cli.options import Duration, environment_variables, option


@click.command()
@click.argument("deployment_ids", nargs=-1)
@option("--region", metavar="NAME", help="Default: AWS_REGION, AWS_DEFAULT_REGION.")
@view_options
@option("--for", "leave_after", type=Duration(), help="Leave after that, with exit code 8 if something still runs.")
@option(
    "--on-cancel",
    type=click.Choice(["wait", "stop", "detach"]),
    default="detach",
    show_default=True,
    help="What Ctrl-C does with the deployments.",
)
@option("--poll-interval", type=Duration(), help="Between two looks at one deployment. [default: 5s; sandbox: 500ms]")
@click.pass_context
def wait(ctx: click.Context, /, deployment_ids: tuple[str, ...], **given: Any) -> None:
    """Wait for deployments to end; fail when one of them fails or is stopped.

    Ids come as arguments, or on stdin, plain or as the JSON that `aws deploy create-deployment` prints; one or many.
    However long it takes: there is no limit of 30 minutes here, and a throttled look never fails a build. When a
    deployment fails, the last lines say which script on which instance, and an automatic rollback is followed.

    \b
      aws deploy create-deployment ... | orchestrator wait
      orchestrator wait d-ABCDEF123 d-GHIJKL456
    """
    from orchestrator.cli.run_wait import run_wait  # noqa: PLC0415 - not for --help

    environment = environment_variables()
    ctx.exit(run_wait(deployment_ids, given, environment, stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr))
