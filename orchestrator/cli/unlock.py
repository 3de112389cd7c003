"""`orchestrator unlock [RUN]`."""

from __future__ import annotations

import click

from orchestrator.cli.options import environment_variables, option, state_option


@click.command()
@click.argument("run", required=False)
@state_option
@option("--yes", is_flag=True, help="Don't ask.")
@click.pass_context
def unlock(ctx: click.Context, /, run: str | None, state: str | None, *, yes: bool) -> None:
    """Take away the locks of RUN, or of all runs without RUN, after showing whose they are.

    Rarely needed: the locks of a process that died are taken over 30 s after its last sign of life. A process that
    still lives stops starting things once it notices, up to 20 s later.

    \b
      orchestrator unlock
      orchestrator unlock 20261124-014758-3f9a1c --yes
    """
    import anyio  # noqa: PLC0415 - not for --help

    from orchestrator.app.cancelling import locks, take_away  # noqa: PLC0415 - as above
    from orchestrator.core.errors import ExitCode  # noqa: PLC0415 - as above
    from orchestrator.core.locks import describe_key  # noqa: PLC0415 - as above

    held = anyio.run(locks, state, environment_variables(), run)
    if not held:
        click.echo("nothing is locked")
        return
    for holder in held:
        click.echo(str(holder))
        for key in holder.keys:
            click.echo(f"  {describe_key(key)}")
    if not yes and not click.confirm("Take these locks away?", err=True):
        click.echo("nothing was unlocked", err=True)
        ctx.exit(int(ExitCode.BLOCKED))
    for holder in anyio.run(take_away, state, environment_variables(), held[0].run if run is not None else None):
        click.echo(f"unlocked: run {holder.run}, {len(holder.keys)} targets")
