"""What `push` does between its arguments and its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import anyio
import click

from orchestrator.app.pushing import (
    PushOptions,
    check_bundle,
    checked,
    create_command,
    open_bundle,
    parse_location,
    push,
)
from orchestrator.app.pushkeys import expand_key
from orchestrator.app.regions import default_region, require_region
from orchestrator.cli.show_bundle import show_bundle
from orchestrator.core.model import BundleFormat, ObjectSettings
from orchestrator.wording.text import short_digests, size


def push_options(
    application_name: str | None,
    s3_location: str | None,
    *,
    source: Path,
    form: str | None,
    ignore: Sequence[str],
    description: str | None,
    region: str | None,
    settings: ObjectSettings,
) -> PushOptions:
    """Raises `UsageError`."""
    bucket, key = parse_location(s3_location) if s3_location is not None else ("", "")
    return PushOptions(
        application_name=application_name or "",
        source=source,
        bucket=bucket,
        key=key,
        region=region or "",
        format=cast("BundleFormat | None", form),  # click has checked the choice
        description=description,
        ignore=ignore,
        settings=checked(settings),
    )


def run_push(options: PushOptions, env: Mapping[str, str], *, listing: bool) -> None:
    """Prints the command that deploys what was pushed; with `listing`, what would go in, and pushes nothing."""
    key = expand_key(options.key, options.application_name, options.source, env)
    bundle = open_bundle(replace(options, key=key))
    if listing:
        show_bundle(bundle)
    for warning in check_bundle(bundle):
        click.echo(str(warning), err=True)
    if listing:
        return
    wanted = replace(options, key=key, region=require_region(options.region or default_region(env)))
    pushed = anyio.run(push, wanted, bundle, env)
    place = short_digests(f"s3://{pushed.revision.bucket}/{pushed.revision.key}")
    done = "there already, nothing was uploaded" if pushed.uploaded is None else f"uploaded {size(pushed.uploaded)}"
    click.echo(f"{place}: {done}", err=True)
    click.echo("To deploy with this revision, run:")
    click.echo(create_command(options.application_name, pushed.revision))
