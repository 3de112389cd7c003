"""`orchestrator graph MANIFEST`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import (
    environment_option,
    environment_variables,
    manifest_argument,
    option,
    selection_options,
    variable_option,
)


@click.command()
@manifest_argument
@environment_option
@selection_options
@variable_option
@option(
    "--format",
    "form",
    of="graph",
    type=click.Choice(["mermaid", "dot"]),
    default="mermaid",
    show_default=True,
    help="The language of the drawing.",
)
def graph(
    manifest: Path,
    environment: str | None,
    variables: tuple[tuple[str, str], ...],
    form: str,
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    *,
    include_needs: bool,
    include_dependents: bool,
) -> None:
    """Draw what depends on what in MANIFEST: solid edges for needs, dashed ones for after. Offline.

    \b
      orchestrator graph release.yaml -e staging                        for a README or a pull request
      orchestrator graph release.yaml -e staging --format dot | dot -Tsvg > graph.svg
    """
    from orchestrator.app.offline import graph_targets  # noqa: PLC0415 - not for --help
    from orchestrator.cli.show_graph import dot, mermaid  # noqa: PLC0415 - as above
    from orchestrator.core.selection import select as select_targets  # noqa: PLC0415 - as above

    targets = graph_targets(manifest, environment, dict(variables), environment_variables())
    chosen = select_targets(
        targets, select=select, exclude=exclude, include_needs=include_needs, include_dependents=include_dependents
    )
    click.echo(mermaid(chosen) if form == "mermaid" else dot(chosen))
