"""`orchestrator push`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.options import Variable, environment_variables, option, together

object_options: Callable[[Any], Any] = together(
    option(
        "--server-side-encryption",
        type=click.Choice(["AES256", "aws:kms", "aws:kms:dsse"]),
        help="Default: as the bucket says.",
    ),
    option("--sse-kms-key-id", metavar="KEY", help="The key of KMS; means aws:kms unless that says otherwise."),
    option("--acl", metavar="ACL", help="A canned ACL, such as bucket-owner-full-control."),
    option("--storage-class", metavar="CLASS", help="Such as STANDARD_IA."),
    option("--expected-bucket-owner", metavar="ACCOUNT", help="Refuse a bucket of another account."),
    option("--tag", "tags", type=Variable(), multiple=True, metavar="KEY=VALUE", help="Of the object. Repeatable."),
)

_STORED = ("server_side_encryption", "sse_kms_key_id", "acl", "storage_class", "expected_bucket_owner")


@click.command()
@option("--application-name", metavar="NAME", help="The application's name at AWS. Required, but for --list.")
@option(
    "--s3-location",
    metavar="s3://BUCKET/KEY",
    help="Where to. ${digest}, ${format}, ${git.sha}, ${git.branch}, ${application} and ${env.…} are expanded. "
    "Required, but for --list.",
)
@option(
    "--source",
    type=click.Path(path_type=Path),
    default=Path(),
    show_default=True,
    help="A directory with appspec.yml, or a ready archive.",
)
@option(
    "--format",
    "form",
    of="push",
    type=click.Choice(["tgz", "tar", "zip"]),
    help="Default: what the key ends on, else zip; with ${format} in the key, tgz.",
)
@option("--ignore", multiple=True, metavar="PATTERN", help="As in .gitignore. Repeatable.")
@option("--ignore-hidden-files/--no-ignore-hidden-files", default=False, help="Leave out what begins with a dot.")
@option("--description", help="Of the revision.")
@option("--region", metavar="NAME", help="Default: AWS_REGION, AWS_DEFAULT_REGION.")
@object_options
@option("--list", "listing", is_flag=True, help="Show what would go in, with sizes; push nothing.")
def push(
    application_name: str | None,
    s3_location: str | None,
    *,
    listing: bool,
    ignore: tuple[str, ...],
    ignore_hidden_files: bool,
    **others: Any,
) -> None:
    """Bundle a directory, upload it and register the revision, as `aws deploy push` does.

    The AppSpec is checked first, the archive is the same every time, and what the bucket has already isn't uploaded
    again. The output is the command that deploys it.

    \b
      orchestrator push --application-name shop --source ./api \\
        --s3-location 's3://releases/api/${digest}.tgz'
    """
    from orchestrator.cli.run_push import push_options, run_push  # noqa: PLC0415 - not for --help
    from orchestrator.core.model import ObjectSettings  # noqa: PLC0415 - as below

    for name, value in (("--application-name", application_name), ("--s3-location", s3_location)):
        if value is None and not listing:
            raise click.UsageError(f"Missing option '{name}'.")
    hidden = (".*",) if ignore_hidden_files else ()
    settings = ObjectSettings(tagging=others.pop("tags"), **{name: others.pop(name) for name in _STORED})
    options = push_options(application_name, s3_location, ignore=(*ignore, *hidden), settings=settings, **others)
    run_push(options, environment_variables(), listing=listing)
