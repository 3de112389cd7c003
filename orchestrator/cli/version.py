"""`orchestrator version`."""

from __future__ import annotations

import click

from orchestrator.cli.main import VERSION


@click.command()
def version() -> None:
    """Print the version.

    \b
      orchestrator version
    """
    click.echo(VERSION)
