"""`orchestrator version`."""

from __future__ import annotations

import platform

import click

from orchestrator import __version__


@click.command()
def version() -> None:
    """Print the version.

    \b
      orchestrator version
    """
    click.echo(f"orchestrator {__version__} (Python {platform.python_version()})")
