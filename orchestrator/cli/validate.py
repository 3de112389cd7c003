"""`orchestrator validate MANIFEST`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import (
    environment_option,
    environment_variables,
    manifest_argument,
    option,
    variable_option,
)

if TYPE_CHECKING:
    from orchestrator.bundle.source import Bundle
    from orchestrator.manifest import Release


@click.command()
@manifest_argument
@environment_option
@variable_option
@option("--strict", is_flag=True, help="Warnings count as errors.")
@option("--bundles/--no-bundles", default=True, show_default=True, help="Look into the bundles, too.")
@option("--verbose", is_flag=True, help="Show what goes into each bundle, and who is told of a run.")
def validate(
    manifest: Path,
    environment: str | None,
    variables: tuple[tuple[str, str], ...],
    *,
    strict: bool,
    bundles: bool,
    verbose: bool,
) -> None:
    """Check MANIFEST, its graph, and its bundles with their AppSpecs, offline.

    Every mistake is shown at once, as path:line:column. Without -e the manifest is checked for each of its
    environments. Nothing is uploaded and AWS is not asked.

    \b
      orchestrator validate release.yaml
      orchestrator validate release.yaml -e prod --var sha=4f2a91c
    """
    from orchestrator.app.offline import validate_releases  # noqa: PLC0415 - not for --help
    from orchestrator.wording.text import plural  # noqa: PLC0415 - as above

    checked = validate_releases(
        manifest,
        environment=environment,
        variables=dict(variables),
        env=environment_variables(),
        bundles=bundles,
        strict=strict,
    )
    for warning in checked.warnings:
        click.echo(f"{warning}", err=True)
    if verbose:
        _show(checked.bundles)
        _show_notifications(checked.releases)
    for release in checked.releases:
        names = {target.application for target in release.targets}
        count = f"{plural(len(names), 'application')}, {plural(len(release.targets), 'deployment group')}"
        click.echo(f"{manifest}: {release.environment.name}: {count}: ok")


def _show_notifications(releases: Sequence[Release]) -> None:
    from orchestrator.cli.show_notifications import notification_lines  # noqa: PLC0415 - only when asked for

    for release in releases:
        for line in notification_lines(release, environment_variables()):
            click.echo(line)


def _show(bundles: Sequence[Bundle]) -> None:
    from orchestrator.cli.show_bundle import show_bundle  # noqa: PLC0415 - only when asked for

    for bundle in bundles:
        click.echo(f"{bundle.shown}:")
        show_bundle(bundle)
        click.echo()
