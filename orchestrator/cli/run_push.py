"""What `push` does between its arguments and its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import anyio
import click

from orchestrator.app.pushing import PushOptions, create_command, open_for_push, parse_location, push
from orchestrator.app.regions import default_region, require_region
from orchestrator.core.model import BundleFormat
from orchestrator.sinks.text import short_digests, size


def run_push(
    application_name: str,
    s3_location: str,
    *,
    source: Path,
    form: str | None,
    ignore: Sequence[str],
    description: str | None,
    region: str | None,
    env: Mapping[str, str],
) -> None:
    """Prints the command that deploys what was pushed."""
    bucket, key = parse_location(s3_location)
    options = PushOptions(
        application_name=application_name,
        source=source,
        bucket=bucket,
        key=key,
        region=require_region(region or default_region(env)),
        format=cast("BundleFormat | None", form),  # click has checked the choice
        description=description,
        ignore=ignore,
    )
    bundle, warnings = open_for_push(options)
    for warning in warnings:
        click.echo(str(warning), err=True)
    pushed = anyio.run(push, options, bundle, env)
    place = short_digests(f"s3://{pushed.revision.bucket}/{pushed.revision.key}")
    done = "there already, nothing was uploaded" if pushed.uploaded is None else f"uploaded {size(pushed.uploaded)}"
    click.echo(f"{place}: {done}", err=True)
    click.echo("To deploy with this revision, run:")
    click.echo(create_command(application_name, pushed.revision))
