"""S3's operations that take their bytes from another object: CopyObject and UploadPartCopy."""

from __future__ import annotations

import asyncio
import hashlib
import re
import urllib.parse
from collections.abc import Iterator, Mapping

from orchestrator.sandbox.bodies import OBJECT_LIMIT, Received, requested_algorithm
from orchestrator.sandbox.checksums import ALGORITHMS, ELEMENTS, PREFIX, encode
from orchestrator.sandbox.errors import S3Error
from orchestrator.sandbox.s3_attributes import encryption_of, kept_headers, stored_headers, tags_of_header
from orchestrator.sandbox.s3_common import (
    NAMESPACE,
    Call,
    check_key,
    check_owner,
    etag_matches,
    http_moment,
    timestamp,
    version_headers,
)
from orchestrator.sandbox.s3_multipart import find_upload, part_number
from orchestrator.sandbox.s3_objects import put_received
from orchestrator.sandbox.storage import Bucket, Part, Version
from orchestrator.sandbox.wire import Answer, text, xml, xml_answer

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
_DIRECTIVES = ("COPY", "REPLACE")


async def copy_object(call: Call) -> Answer:
    bucket = call.found_bucket()
    check_key(call.key)
    origin, source = _source(call)
    if source.body.size > OBJECT_LIMIT:
        raise S3Error("InvalidRequest", "The source is larger than 5 GiB; copy it in parts.", status=400)
    headers, tags = _attributes(call, source)
    if origin is bucket and source.key == call.key and headers == source.headers and tags == source.tags:
        _check_no_change(call)
    algorithm = requested_algorithm(call.headers) or _algorithm(source)
    received = await _store(call, source.body.chunks(0, source.body.size), algorithm)
    version = put_received(call, bucket, received, headers=headers, tags=tags)
    return _answer(
        "CopyObjectResult",
        call,
        received,
        {**version_headers(bucket, version), **_source_headers(origin, source), **encryption_of(headers)},
    )


async def upload_part_copy(call: Call) -> Answer:
    bucket = call.found_bucket()
    upload, number = find_upload(call, bucket), part_number(call)
    origin, source = _source(call)
    start, end = _range(call.headers.get("x-amz-copy-source-range"), source.body.size)
    received = await _store(call, source.body.chunks(start, end - start), upload.algorithm)
    try:
        find_upload(call, bucket)
    except S3Error:
        call.storage.free(received.blob)  # it was aborted meanwhile
        raise
    part = Part(
        number=number, etag=received.etag, blob=received.blob, modified=call.request.now, checksums=received.checksums
    )
    call.storage.put_part(bucket, upload, part)
    return _answer("CopyPartResult", call, received, _source_headers(origin, source))


def _source(call: Call) -> tuple[Bucket, Version]:
    """Raises `S3Error` also where a condition on it doesn't hold."""
    path, _, query = call.headers["x-amz-copy-source"].partition("?")
    name, _, key = urllib.parse.unquote(path).lstrip("/").partition("/")
    if not name or not key:
        raise S3Error("InvalidArgument", "x-amz-copy-source isn't bucket/key", status=400)
    parameters: Mapping[str, str] = dict(urllib.parse.parse_qsl(query))
    bucket = call.storage.bucket(name)
    check_owner(bucket, call.headers.get("x-amz-source-expected-bucket-owner"))
    version = bucket.find(key, parameters.get("versionId"))
    if version.blob is None:
        raise S3Error("InvalidRequest", "The source of a copy can't be a delete marker.", status=400)
    _check_conditions(version, call.headers)
    return bucket, version


def _check_conditions(version: Version, headers: Mapping[str, str]) -> None:
    prefix = "x-amz-copy-source-if"
    wanted, unwanted = headers.get(f"{prefix}-match"), headers.get(f"{prefix}-none-match")
    since, until = (
        http_moment(headers.get(f"{prefix}-modified-since")),
        http_moment(headers.get(f"{prefix}-unmodified-since")),
    )
    modified = int(version.modified)
    if (
        (wanted is not None and not etag_matches(wanted, version.etag))
        or (unwanted is not None and etag_matches(unwanted, version.etag))
        or (since is not None and modified <= since and unwanted is None)
        or (until is not None and modified > until and wanted is None)
    ):
        raise S3Error("PreconditionFailed", "A condition on the source of the copy did not hold", status=412)


def _range(header: str | None, size: int) -> tuple[int, int]:
    """First byte, and the one after the last."""
    if header is None:
        return 0, size
    match = _RANGE.fullmatch(header)
    if match is None or int(match[1]) > int(match[2]):
        raise S3Error("InvalidArgument", f"x-amz-copy-source-range {header!r} isn't bytes=first-last", status=400)
    if int(match[2]) >= size:
        raise S3Error("InvalidArgument", f"x-amz-copy-source-range {header!r} of {size} bytes", status=400)
    return int(match[1]), int(match[2]) + 1


def _attributes(call: Call, source: Version) -> tuple[dict[str, str], dict[str, str]]:
    """Headers and tags of the copy: metadata as the directives say; how it's stored only as the call says."""
    metadata = _directive(call, "x-amz-metadata-directive")
    tagging = _directive(call, "x-amz-tagging-directive")
    if metadata == "REPLACE":
        headers = kept_headers(call.headers)
    else:
        of_storage = stored_headers(source.headers)
        kept = {name: value for name, value in source.headers.items() if name not in of_storage}
        headers = {**kept, **stored_headers(call.headers)}
    tags = tags_of_header(call.headers.get("x-amz-tagging")) if tagging == "REPLACE" else dict(source.tags)
    return headers, tags


def _directive(call: Call, header: str) -> str:
    value = call.headers.get(header, "COPY")
    if value not in _DIRECTIVES:
        raise S3Error("InvalidArgument", f"{header} {value!r} is none of {', '.join(_DIRECTIVES)}", status=400)
    return value


def _check_no_change(call: Call) -> None:
    if "?versionId=" in call.headers["x-amz-copy-source"] or call.headers.get("x-amz-metadata-directive") == "REPLACE":
        return
    raise S3Error(
        "InvalidRequest",
        "This copy request is illegal because it is trying to copy an object to itself without changing anything.",
        status=400,
    )


def _algorithm(source: Version) -> str | None:
    """The copy gets a checksum of the kind that its source has."""
    return next((name.removeprefix(PREFIX) for name in source.checksums), None)


async def _store(call: Call, chunks: Iterator[bytes], algorithm: str | None) -> Received:
    """A copy of the bytes. Other calls go on meanwhile."""
    md5 = hashlib.md5(usedforsecurity=False)
    digest = ALGORITHMS[algorithm]() if algorithm else None
    writer = call.storage.writer()
    try:
        for chunk in chunks:
            writer.write(chunk)
            md5.update(chunk)
            if digest is not None:
                digest.update(chunk)
            await asyncio.sleep(0)
        blob = writer.finish()
    except BaseException:
        writer.discard()
        raise
    checksums = {f"{PREFIX}{algorithm}": encode(digest)} if digest is not None else {}
    return Received(blob, md5.hexdigest(), checksums)


def _source_headers(bucket: Bucket, version: Version) -> dict[str, str]:
    return {"x-amz-copy-source-version-id": version.id} if bucket.versioning else {}


def _answer(element: str, call: Call, received: Received, headers: Mapping[str, str]) -> Answer:
    content = text("LastModified", timestamp(call.request.now)) + text("ETag", f'"{received.etag}"')
    for algorithm, name in ELEMENTS.items():
        content += text(name, received.checksums.get(f"{PREFIX}{algorithm}"))
    return xml_answer(xml(element, content, namespace=NAMESPACE), headers=headers)
