"""`orchestrator schema`."""

from __future__ import annotations

import json

import click


@click.command()
def schema() -> None:
    """Print the manifest's JSON Schema.

    \b
    Editors check and complete manifests with it:
      orchestrator schema > release.schema.json
    and, as the first line of the manifest:
      # yaml-language-server: $schema=./release.schema.json
    """
    from orchestrator.manifest import schema as manifest_schema  # noqa: PLC0415 - pydantic is not for --help

    click.echo(json.dumps(manifest_schema(), indent=2))
