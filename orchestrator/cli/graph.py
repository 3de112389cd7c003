"""`orchestrator graph MANIFEST|RUN`."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.options import (
    environment_option,
    environment_variables,
    option,
    selection_options,
    state_option,
    variable_option,
)


@click.command()
@click.argument("manifest", metavar="MANIFEST|RUN")
@environment_option
@selection_options
@variable_option
@state_option
@option(
    "--format",
    "form",
    of="graph",
    type=click.Choice(["mermaid", "dot", "svg"]),
    default="mermaid",
    show_default=True,
    help="The language of the drawing; svg is the drawing itself, light or dark as its viewer is.",
)
def graph(manifest: str, **given: Any) -> None:
    """Draw what depends on what: solid edges for needs, dashed ones for after. Of a manifest it is offline.

    Of a RUN (its id, or an unambiguous beginning of it) an SVG shows how each target stands, and the chain that decides
    when the run ends. What is no file is taken for a run.

    \b
      orchestrator graph release.yaml -e staging                        for a README or a pull request
      orchestrator graph release.yaml -e staging --format svg > graph.svg
      orchestrator graph release.yaml -e staging --format dot | dot -Tpng > graph.png
      orchestrator graph 20261124-0901 --format svg > run.svg
    """
    from orchestrator.cli.run_graph import run_graph  # noqa: PLC0415 - not for --help

    # An SVG is UTF-8, whatever the terminal takes.
    click.echo(run_graph(manifest, given, environment_variables()).encode())
