"""What `import` does between its arguments and its exit code."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import click

from orchestrator.app.importing import Imported, ImportOptions, import_all, places
from orchestrator.app.regions import default_region, require_region
from orchestrator.cli.files import check_writable, write_whole
from orchestrator.core.errors import ExitCode, UsageError
from orchestrator.core.model import Location
from orchestrator.manifest.fields import NAME, REGION, ROLE
from orchestrator.wording.text import one_line, plural

SHOWN = 10
"""What is left out is listed so far; the manifest has all of it."""


def run_import(given: Mapping[str, Any], env: Mapping[str, str]) -> int:
    """Returns the exit code."""
    out: Path | None = given["out"]
    environments = dict(_environment(text) for text in given["environments"])
    _check_choice(given, environments)
    usual = () if environments else (require_region(default_region(env)),)
    options = ImportOptions(
        regions=tuple(given["regions"]) or usual,
        role_arns=tuple(given["role_arns"]),
        environments=environments,
        applications=tuple(given["applications"]),
        tags=given["tags"],
        appspecs=out is not None,
    )
    _check(options)
    check_writable(out, "--out")
    if out is not None:
        _refuse_to_replace([out], force=given["force"])
    imported = anyio.run(partial(import_all, options, env))
    if out is None:
        click.echo(imported.draft.text, nl=False)
    else:
        _write(out, imported, force=given["force"])
    _report(imported, out, environments)
    return ExitCode.OK


def _environment(text: str) -> tuple[str, Location]:
    """`prod=eu-west-1`, `prod=arn:aws:iam::123456789012:role/deploy@eu-west-1`. Raises `UsageError`."""
    name, equals, place = text.partition("=")
    role, _, region = place.rpartition("@")
    if not equals or not NAME.match(name) or set(name) <= {"."}:
        raise UsageError(f"--from: {text!r} isn't of the form NAME=[ROLE_ARN@]REGION", hint="such as prod=eu-west-1")
    return name, Location(region=region, role_arn=role or None)


def _check_choice(given: Mapping[str, Any], environments: Mapping[str, Location]) -> None:
    if environments and (given["regions"] or given["role_arns"]):
        raise UsageError("--from says region and role itself", hint="leave --region and --role-arn out")
    if len(environments) < len(given["environments"]) or len(set(environments.values())) < len(environments):
        raise UsageError("--from: each environment has a name and a place of its own", hint="two are alike")


def _check(options: ImportOptions) -> None:
    option = "--from" if options.environments else "--region"
    for place in places(options):
        if not REGION.match(place.region):
            raise UsageError(f"{option}: {place.region!r} is not a region", hint="regions look like eu-west-1")
        if place.role_arn is not None and not ROLE.match(place.role_arn):
            option = "--from" if options.environments else "--role-arn"
            message = f"{option}: {place.role_arn!r} is not the ARN of a role"
            raise UsageError(message, hint="it looks like arn:aws:iam::123456789012:role/deploy")


def _refuse_to_replace(paths: list[Path], *, force: bool) -> None:
    there = [path for path in paths if path.exists()]
    if there and not force:
        more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        raise UsageError(f"{there[0]} is there already{more}", hint="--force replaces it; nothing was written")


def _write(out: Path, imported: Imported, *, force: bool) -> None:
    files = {out.parent / name: text for name, text in imported.draft.files.items()}
    _refuse_to_replace(list(files), force=force)
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, text)
        write_whole(out, imported.draft.text)
    except OSError as error:
        raise UsageError(f"--out: can't write {error.filename or out}: {error.strerror or error}") from None


def _report(imported: Imported, out: Path | None, environments: Mapping[str, Location]) -> None:
    draft, left_out = imported.draft, imported.draft.left_out
    what = f"{plural(draft.applications, 'application')}, {plural(draft.groups, 'deployment group')}"
    click.echo(f"{what}, {plural(imported.calls, 'call')} to CodeDeploy", err=True)
    for each in left_out[:SHOWN]:
        click.echo(one_line(f"left out: {each.name} ({each.location.region}): {each.why}"), err=True)
    if len(left_out) > SHOWN:
        click.echo(f"left out: {len(left_out) - SHOWN} more", err=True)
    if out is not None:
        chosen = " -e " + next(iter(environments)) if environments else ""
        click.echo(f"written to {out}; look at it with: orchestrator plan {out}{chosen}", err=True)
