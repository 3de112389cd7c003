"""`orchestrator cancel [RUN]`."""

from __future__ import annotations

import click

from orchestrator.cli.options import environment_variables, option, state_option


@click.command()
@click.argument("run", required=False)
@state_option
@option(
    "--mode",
    type=click.Choice(["stop", "wait", "rollback", "detach"]),
    default="stop",
    show_default=True,
    help="stop: stop its deployments. wait: let them end. rollback: stop them, and roll back what the run has changed. "
    "detach: leave them running. Nothing new starts in any case.",
)
@click.pass_context
def cancel(ctx: click.Context, /, run: str | None, state: str | None, mode: str) -> None:
    """Ask the process that carries RUN on, on whatever machine, to cancel it; the newest run without RUN.

    The request lies in the run's state; the process looks for it every few seconds. A run that no process carries on
    takes it up when it is resumed.

    \b
      orchestrator cancel
      orchestrator cancel 20261124-014758-3f9a1c --mode wait --state s3://acme-releases/state
    """
    import anyio  # noqa: PLC0415 - not for --help

    from orchestrator.app.cancelling import cancel_run  # noqa: PLC0415 - as above
    from orchestrator.core.errors import ExitCode  # noqa: PLC0415 - as above

    asked = anyio.run(cancel_run, run, state, environment_variables(), mode)
    click.echo(f"run {asked.run}: {asked.answer}")
    ctx.exit(int(ExitCode.OK if asked.taken else ExitCode.BLOCKED))
