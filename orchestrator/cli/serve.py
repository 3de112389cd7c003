"""`orchestrator serve`."""

from __future__ import annotations

import click

from orchestrator.cli.options import environment_variables, option, state_option


@click.command()
@option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:9465",
    show_default=True,
    help="Where to listen; port 0 takes any that is free. Any host but this machine itself needs a token.",
)
@state_option
def serve(listen: str, state: str | None) -> None:
    """Show the runs in a browser, live: what runs where, what waits for what, what failed and why.

    It only shows: nothing can be changed by it. It prints its URL, and runs until Ctrl-C. What is being released now is
    followed as it happens; what has ended is there to be looked at.

    For any other address than 127.0.0.1 the variable ORCHESTRATOR_SERVE_TOKEN has to hold a secret of at least 16
    characters. A browser asks for it as a password, with any user name; programs send it as a bearer token.

    \b
      orchestrator serve
      orchestrator serve --state s3://acme-releases/state --listen :8080
    """
    import anyio  # noqa: PLC0415 - not for --help

    from orchestrator.app.serving import serve as serve_page  # noqa: PLC0415 - as above
    from orchestrator.app.serving import serving  # noqa: PLC0415 - as above

    def ready(url: str) -> None:
        click.echo(url)
        click.echo("serve: Ctrl-C ends it", err=True)

    where = serving(listen, state, environment_variables(), option="--listen")

    async def until_told() -> None:
        await serve_page(where, ready=ready)

    anyio.run(until_told)
    click.echo("serve: ended", err=True)
