"""`push`: one bundle, packed, uploaded and registered, as `aws deploy push` does it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio.from_thread
import anyio.to_thread

from orchestrator.app.buckets import look_at_bucket
from orchestrator.app.caches import hash_cache
from orchestrator.app.services import is_near, open_services
from orchestrator.app.uploads import Opened, Uploads, place_of
from orchestrator.bundle.digest import Digest
from orchestrator.bundle.source import Bundle, digest, open_source
from orchestrator.core import storing
from orchestrator.core.concurrent import both
from orchestrator.core.errors import Finding, InvalidInputError, RefusedError, UsageError
from orchestrator.core.model import (
    NO_OBJECT_SETTINGS,
    BundleFormat,
    BundleSource,
    Location,
    ObjectSettings,
    S3Revision,
)

_SUFFIXES: Mapping[str, BundleFormat] = {".zip": "zip", ".tar": "tar", ".tgz": "tgz", ".tar.gz": "tgz"}


@dataclass(frozen=True, kw_only=True, slots=True)
class PushOptions:
    application_name: str
    source: Path
    bucket: str
    key: str
    """May hold `${digest}` and `${format}`, the rest expanded."""
    region: str
    format: BundleFormat | None = None
    """None: what the key ends on, else zip as `aws deploy push` makes it; where it says `${format}`, as releases."""
    description: str | None = None
    ignore: Sequence[str] = ()
    settings: ObjectSettings = NO_OBJECT_SETTINGS


def checked(settings: ObjectSettings) -> ObjectSettings:
    """As they are sent. Raises `UsageError` for what S3 would refuse."""
    given = {
        storing.owner_misfit: settings.expected_bucket_owner,
        storing.acl_misfit: settings.acl,
        storing.storage_class_misfit: settings.storage_class,
    }
    misfits = [check(value) for check, value in given.items() if value is not None]
    misfits += [storing.tagging_misfit(dict(settings.tagging)), storing.misfit_of(settings)]
    for misfit in misfits:
        if misfit is not None:
            option = "tag" if misfit.setting == "tagging" else misfit.setting.replace("_", "-")
            raise UsageError(f"--{option}: {misfit.message}", hint=misfit.hint)
    return storing.completed(settings)


def parse_location(text: str) -> tuple[str, str]:
    """`s3://bucket/key` -> (bucket, key)."""
    bucket, slash, key = text.removeprefix("s3://").partition("/")
    if not text.startswith("s3://") or not bucket or not slash or not key:
        raise UsageError(f"{text!r} is no S3 location", hint="write s3://bucket/key")
    return bucket, key


def open_bundle(options: PushOptions) -> Bundle:
    """The source; mistakes in the AppSpec are in the report.

    Raises `BundleError`, and `UsageError` when the key's ending is another format's.
    """
    ending = next((name for suffix, name in _SUFFIXES.items() if options.key.lower().endswith(suffix)), None)
    source = BundleSource(
        path=options.source.absolute(),
        bucket=options.bucket,
        prefix="",
        format=options.format or (None if options.source.is_file() else ending or _usual_format(options.key)),
        ignore=tuple(options.ignore),
        key=options.key,
        stored=options.settings,
    )
    bundle = open_source(source, shown=str(options.source))
    if ending is not None and ending != bundle.format:
        raise UsageError(
            f"the key ends like a {ending} archive, and the bundle is a {bundle.format}",
            hint=f"let the key end on .{bundle.format}, or give --format {ending}",
        )
    return bundle


def _usual_format(key: str) -> BundleFormat | None:
    """Of a key that doesn't say; None: by the AppSpec."""
    return None if "${format}" in key else "zip"


def check_bundle(bundle: Bundle) -> Sequence[Finding]:
    """The warnings; raises with all mistakes."""
    if bundle.report.errors:
        raise InvalidInputError(list(bundle.report.errors))
    return bundle.report.warnings


@dataclass(frozen=True, kw_only=True, slots=True)
class Pushed:
    revision: S3Revision
    uploaded: int | None
    """Bytes; None: the bucket had it already."""


async def push(options: PushOptions, bundle: Bundle, env: Mapping[str, str]) -> Pushed:
    """The revision that was uploaded, or was there already, and is registered now."""
    location = Location(region=options.region)
    async with open_services([location], near=is_near(env)) as services:
        store = services.stores[location]
        uploads = Uploads(services.stores, tell=lambda _: None)  # one place only: nothing is copied
        # The SDK is loaded and the bucket looked at while the files are read.
        known, _ = await both(
            lambda: _digest(bundle, env), lambda: look_at_bucket(store, options.bucket, options.settings)
        )
        opened = Opened(bundle, known)
        stored = await uploads.ensure(opened, place_of(bundle.source, opened, options.application_name, location))
        revision = stored.revision(bundle)
        description = options.description or f"Uploaded by orchestrator {datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f} UTC"
        try:
            await services.codedeploys[location].register(options.application_name, revision, description)
        except RefusedError as error:
            if error.code.startswith("ApplicationDoesNotExist"):
                error.hint = (
                    f"create it, or check --application-name and the region ({options.region}); the bundle is in the "
                    "bucket already, and isn't uploaded again"
                )
            raise
        return Pushed(revision=revision, uploaded=stored.info.size if stored.is_new else None)


async def _digest(bundle: Bundle, env: Mapping[str, str]) -> Digest:
    cache = hash_cache(env)
    return await anyio.to_thread.run_sync(lambda: digest(bundle, cache=cache, check=anyio.from_thread.check_cancelled))


def create_command(application_name: str, revision: S3Revision) -> str:
    """The command that deploys the revision, as `aws deploy push` prints it."""
    parts = [f"bucket={revision.bucket}", f"key={_shorthand(revision.key)}", f"bundleType={revision.bundle_type}"]
    if revision.etag is not None:
        parts.append(f"eTag={revision.etag}")
    if revision.version is not None:
        parts.append(f"version={revision.version}")
    return (
        f"aws deploy create-deployment --application-name {shlex.quote(application_name)} "
        f"--s3-location {shlex.quote(','.join(parts))} "
        "--deployment-group-name <deployment-group-name> --deployment-config-name <deployment-config-name> "
        "--description <description>"
    )


def _shorthand(value: str) -> str:
    """A value in the CLI's shorthand syntax, where a comma, a bracket or a quote has a meaning."""
    if re.fullmatch(r"[\w./+@:-]+", value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
