"""`orchestrator bundle check` and `orchestrator bundle inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import PlainOrJson, option

if TYPE_CHECKING:
    from orchestrator.bundle.check import Options

_BEHAVIORS = ("DISALLOW", "OVERWRITE", "RETAIN")

_type_option = option(
    "--bundle-type",
    type=click.Choice(["zip", "tar", "tgz"]),
    help="What the deployment calls the archive. Default: what its name says.",
)
_name_option = option(
    "--appspec-filename",
    default="appspec.yml",
    show_default=True,
    metavar="NAME",
    help="The AppSpec's name, where the agent is configured for another.",
)
_behavior_option = option(
    "--file-exists-behavior",
    type=click.Choice(_BEHAVIORS, case_sensitive=False),
    default="DISALLOW",
    show_default=True,
    help="Of the deployment; the AppSpec's own beats it.",
)


@click.group()
def bundle() -> None:
    """Check bundles as the agent on an instance would, offline, and show what an instance would get.

    \b
      orchestrator bundle check ./api dist/web.zip
      orchestrator bundle inspect ./api
    """


@bundle.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@option("--strict", is_flag=True, help="Warnings count as errors.")
@_type_option
@_name_option
@_behavior_option
@option("--output", type=PlainOrJson(), default="plain", show_default=True, help="How to print the findings.")
def check(
    paths: tuple[Path, ...],
    bundle_type: str | None,
    appspec_filename: str,
    file_exists_behavior: str,
    output: str,
    *,
    strict: bool,
) -> None:
    """Say of each PATH whether the agent would take it; exits with 2 when one is refused.

    PATH is a directory, a ready archive, or the AppSpec of a deployment to ECS or Lambda (.yaml, .yml, .json). An
    error is what the agent or the service refuses, a warning what will surprise. Every finding has a code, which
    docs/appspec.md explains.

    \b
      orchestrator bundle check ./api dist/web.zip
      orchestrator bundle check ./api --output json
    """
    from orchestrator.bundle.check import check_bundle  # noqa: PLC0415 - not for --help
    from orchestrator.cli.show_check import show_checks, verdict  # noqa: PLC0415 - as above

    options = _options(bundle_type, appspec_filename, file_exists_behavior)
    verdicts = [verdict(str(path), check_bundle(path, options).report, strict=strict) for path in paths]
    show_checks(verdicts, as_json=output == "json")
    if any(not one.accepted for one in verdicts):
        raise click.exceptions.Exit(2)


@bundle.command()
@click.argument("path", type=click.Path(path_type=Path))
@_type_option
@_name_option
@_behavior_option
@option("--output", type=PlainOrJson(), default="plain", show_default=True, help="How to print it.")
def inspect(path: Path, bundle_type: str | None, appspec_filename: str, file_exists_behavior: str, output: str) -> None:
    """Show what an instance would get from PATH: files, where they go, hooks in the order they run, permissions.

    PATH is a directory or a ready archive. What is wrong with it goes to stderr, and the exit code is then 2.

    \b
      orchestrator bundle inspect ./api
      orchestrator bundle inspect dist/web.zip --output json
    """
    from orchestrator.bundle.inspection import inspect_bundle  # noqa: PLC0415 - not for --help
    from orchestrator.cli.show_check import show_findings, verdict  # noqa: PLC0415 - as above
    from orchestrator.cli.show_inspection import show_inspection  # noqa: PLC0415 - as above

    found = inspect_bundle(path, _options(bundle_type, appspec_filename, file_exists_behavior))
    judged = verdict(str(path), found.report, strict=False)
    show_inspection(found, as_json=output == "json")
    show_findings(judged, err=True)
    if not judged.accepted:
        raise click.exceptions.Exit(2)


def _options(bundle_type: str | None, name: str, behavior: str) -> Options:
    from orchestrator.bundle.check import options_of  # noqa: PLC0415 - not for --help

    return options_of(bundle_type=bundle_type, appspec_name=name, behavior=behavior.upper())
