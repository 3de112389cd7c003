"""`push`: one bundle, packed, uploaded and registered, as `aws deploy push` does it."""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import anyio.to_thread

from orchestrator.app.bundles import DIGEST_METADATA, Opened, pack
from orchestrator.app.services import is_near, open_services
from orchestrator.aws import ObjectStore
from orchestrator.bundle.source import Bundle, digest, object_key, open_source
from orchestrator.core.errors import Finding, InvalidInputError, RefusedError, UsageError
from orchestrator.core.model import BundleFormat, BundleSource, Location, S3Revision

_SUFFIXES: Mapping[str, BundleFormat] = {".zip": "zip", ".tar": "tar", ".tgz": "tgz", ".tar.gz": "tgz"}


@dataclass(frozen=True, kw_only=True, slots=True)
class PushOptions:
    application_name: str
    source: Path
    bucket: str
    key: str
    """May hold `${digest}` and `${format}`."""
    region: str
    format: BundleFormat | None = None
    """None: what the key's ending says, else tgz (zip for Windows)."""
    description: str | None = None
    ignore: Sequence[str] = ()


def parse_location(text: str) -> tuple[str, str]:
    """`s3://bucket/key` -> (bucket, key)."""
    bucket, slash, key = text.removeprefix("s3://").partition("/")
    if not text.startswith("s3://") or not bucket or not slash or not key:
        raise UsageError(f"{text!r} is no S3 location", hint="write s3://bucket/key")
    return bucket, key


def open_for_push(options: PushOptions) -> tuple[Bundle, Sequence[Finding]]:
    """Checks the source before anything is uploaded; raises with all mistakes, returns the warnings."""
    ending = next((name for suffix, name in _SUFFIXES.items() if options.key.lower().endswith(suffix)), None)
    wanted = options.format or (None if options.source.is_file() else ending)
    source = BundleSource(
        path=options.source.absolute(),
        bucket=options.bucket,
        prefix="",
        format=wanted,
        ignore=tuple(options.ignore),
        key=options.key,
    )
    bundle = open_source(source, shown=str(options.source))
    if bundle.report.errors:
        raise InvalidInputError(list(bundle.report.errors))
    if ending is not None and ending != bundle.format:
        raise UsageError(
            f"the key ends like a {ending} archive, and the bundle is a {bundle.format}",
            hint=f"let the key end on .{bundle.format}, or give --format {ending}",
        )
    return bundle, bundle.report.warnings


@dataclass(frozen=True, kw_only=True, slots=True)
class Pushed:
    revision: S3Revision
    uploaded: int | None
    """Bytes; None: the bucket had it already."""


async def push(options: PushOptions, bundle: Bundle, env: Mapping[str, str]) -> Pushed:
    """The revision that was uploaded, or was there already, and is registered now."""
    location = Location(region=options.region)
    async with open_services([location], near=is_near(env)) as services:
        known = await anyio.to_thread.run_sync(digest, bundle)
        key = object_key(bundle.source, options.application_name, known.value, bundle.format)
        store = services.stores[location]
        revision = S3Revision(bucket=options.bucket, key=key, bundle_type=bundle.format)
        pushed = await _upload(store, Opened(bundle, known), revision)
        description = options.description or "uploaded by orchestrator push"
        try:
            await services.codedeploys[location].register(options.application_name, pushed.revision, description)
        except RefusedError as error:
            if error.code.startswith("ApplicationDoesNotExist"):
                error.hint = (
                    f"create it, or check --application-name and the region ({options.region}); the bundle is in the "
                    "bucket already, and isn't uploaded again"
                )
            raise
        return pushed


async def _upload(store: ObjectStore, opened: Opened, revision: S3Revision) -> Pushed:
    info = await store.head(revision.bucket, revision.key)
    uploaded: int | None = None
    if info is None or info.metadata.get(DIGEST_METADATA) != opened.digest.value:
        with tempfile.TemporaryDirectory(prefix="orchestrator-") as folder:
            packed = await pack(opened, Path(folder))
            uploaded = packed.size
            info = await store.put(
                revision.bucket,
                revision.key,
                packed.path,
                metadata={DIGEST_METADATA: packed.digest},
                limiter=anyio.CapacityLimiter(8),
            )
    return Pushed(revision=replace(revision, version=info.version_id, etag=info.etag or None), uploaded=uploaded)


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
