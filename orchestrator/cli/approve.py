"""`orchestrator approve RUN GATE`."""

from __future__ import annotations

import click

from orchestrator.cli.options import environment_variables, option, state_option


@click.command()
@click.argument("run")
@click.argument("gate")
@option("--reason", metavar="TEXT", help="Why; it goes into the journal.")
@option("--reject", is_flag=True, help="Say no: the gate fails, and with it what it guards.")
@state_option
@click.pass_context
def approve(ctx: click.Context, /, run: str, gate: str, reason: str | None, reject: bool, state: str | None) -> None:  # noqa: FBT001 - click passes options by their names
    """Approve GATE of RUN, on any machine that reaches the run's state.

    Who approves is what AWS says of the credentials at hand, or else the user of this machine. A process that carries
    the run on goes on within seconds; without one, `orchestrator resume RUN` does. A decision can't be taken back.

    \b
      orchestrator approve 20261124-014758-3f9a1c cab --reason "CHG-4711"
      orchestrator approve 20261124-014758-3f9a1c cab --reject --reason "not on a Friday"
    """
    import anyio  # noqa: PLC0415 - not for --help

    from orchestrator.app.approving import ApproveOptions  # noqa: PLC0415 - as above
    from orchestrator.app.approving import approve as decide  # noqa: PLC0415 - as above

    options = ApproveOptions(run=run, gate=gate, approved=not reject, reason=reason, state=state)
    done = anyio.run(decide, options, environment_variables())
    click.echo(f"run {done.run}: gate {gate} {done.answer}")
    ctx.exit(0)
