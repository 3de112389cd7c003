"""S3's operations on single objects."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping

from orchestrator.sandbox.bodies import receive, requested_algorithm
from orchestrator.sandbox.errors import S3Error
from orchestrator.sandbox.s3_common import (
    NAMESPACE,
    Call,
    check_key,
    check_read,
    check_write,
    checksum_headers,
    http_date,
    kept_headers,
    read_xml,
    timestamp,
    version_headers,
)
from orchestrator.sandbox.storage import Bucket, Version, new_version_id
from orchestrator.sandbox.wire import Answer, text, xml, xml_answer

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


async def put_object(call: Call) -> Answer:
    bucket = call.found_bucket()
    check_key(call.key)
    headers = kept_headers(call.headers)
    received = await receive(call.storage, call.request, algorithm=requested_algorithm(call.headers))
    try:
        check_write(bucket, call.key, call.headers)
    except S3Error:
        call.storage.free(received.blob)
        raise
    version = Version(
        key=call.key,
        id=new_version_id(bucket),
        modified=call.request.now,
        etag=received.etag,
        blob=received.blob,
        headers=headers,
        checksums=received.checksums,
    )
    call.storage.put(bucket, version)
    return Answer(
        headers={"ETag": f'"{version.etag}"', **version_headers(bucket, version), **checksum_headers(version)}
    )


def get_object(call: Call) -> Answer:
    bucket, version = _read(call)
    answer = Answer(headers=_object_headers(call, bucket, version), blob=version.body, length=version.body.size)
    _apply_range(call.headers.get("Range"), version.body.size, answer)
    for name, value in call.query.items():
        if name.startswith("response-"):
            answer.headers[name.removeprefix("response-").title()] = value
    return answer


def head_object(call: Call) -> Answer:
    return get_object(call)  # the front leaves the body out


def delete_object(call: Call) -> Answer:
    bucket = call.found_bucket()
    marker, version_id = _delete(call, bucket, call.key, call.query.get("versionId"))
    headers = {"x-amz-version-id": version_id} if version_id and bucket.versioning else {}
    if marker:
        headers["x-amz-delete-marker"] = "true"
    return Answer(status=204, headers=headers)


async def delete_objects(call: Call) -> Answer:
    bucket = call.found_bucket()
    document = await read_xml(call.request, "Delete")
    is_quiet = document.findtext("Quiet") == "true"
    wanted = [(one.findtext("Key") or "", one.findtext("VersionId")) for one in document.findall("Object")]
    if len(wanted) > 1000:
        raise S3Error("MalformedXML", f"{len(wanted)} objects in one call; the limit is 1000", status=400)
    lines: list[str] = []
    for key, given in wanted:
        marker, version_id = _delete(call, bucket, key, given)
        made = marker and given is None
        content = text("Key", key) + text("VersionId", given) + text("DeleteMarker", True if marker else None)
        lines.append(xml("Deleted", content, text("DeleteMarkerVersionId", version_id if made else None)))
    return xml_answer(xml("DeleteResult", *([] if is_quiet else lines), namespace=NAMESPACE))


def copy_object(call: Call) -> Answer:
    bucket = call.found_bucket()
    check_key(call.key)
    source = _copy_source(call)
    check_write(bucket, call.key, call.headers)
    writer = call.storage.writer()
    for chunk in source.body.chunks(0, source.body.size):
        writer.write(chunk)
    replaces = call.headers.get("x-amz-metadata-directive", "COPY") == "REPLACE"
    version = Version(
        key=call.key,
        id=new_version_id(bucket),
        modified=call.request.now,
        etag=source.etag,
        blob=writer.finish(),
        headers=kept_headers(call.headers) if replaces else dict(source.headers),
        checksums=dict(source.checksums),
        checksum_type=source.checksum_type,
    )
    call.storage.put(bucket, version)
    content = text("LastModified", timestamp(version.modified)) + text("ETag", f'"{version.etag}"')
    return xml_answer(xml("CopyObjectResult", content, namespace=NAMESPACE), headers=version_headers(bucket, version))


def _read(call: Call) -> tuple[Bucket, Version]:
    bucket = call.found_bucket()
    version = bucket.find(call.key, call.query.get("versionId"))
    check_read(version, call.headers)
    return bucket, version


def _object_headers(call: Call, bucket: Bucket, version: Version) -> dict[str, str]:
    checksums = checksum_headers(version) if call.headers.get("x-amz-checksum-mode") == "ENABLED" else {}
    return {
        **version.headers,
        "ETag": f'"{version.etag}"',
        "Last-Modified": http_date(version.modified),
        "Accept-Ranges": "bytes",
        **version_headers(bucket, version),
        **checksums,
    }


def _apply_range(header: str | None, size: int, answer: Answer) -> None:
    """One range; any other Range header is passed over, as HTTP allows."""
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match[0] == "bytes=-":
        return
    if match[1]:
        start, end = int(match[1]), min(int(match[2] or size), size - 1)
    else:
        start, end = max(0, size - int(match[2])), size - 1
    if start >= size or (match[2] and match[1] and int(match[2]) < start):
        raise S3Error("InvalidRange", "The requested range is not satisfiable", status=416)
    answer.status, answer.start, answer.length = 206, start, end - start + 1
    answer.headers["Content-Range"] = f"bytes {start}-{end}/{size}"
    # Checksums are those of the whole object.
    for name in [name for name in answer.headers if name.startswith("x-amz-checksum-")]:
        del answer.headers[name]


def _delete(call: Call, bucket: Bucket, key: str, version_id: str | None) -> tuple[bool, str | None]:
    """Whether a delete marker was made or removed, and the version id that says which. Nothing there is no error."""
    versions = bucket.objects.get(key, [])
    if version_id is not None:
        for version in versions:
            if version.id == version_id:
                call.storage.remove(bucket, version)
                return version.blob is None, version_id
        return False, version_id
    if not bucket.versioning:
        for version in list(versions):
            call.storage.remove(bucket, version)
        return False, None
    marker = Version(key=key, id=new_version_id(bucket), modified=call.request.now, etag="", blob=None)
    call.storage.put(bucket, marker)
    return True, marker.id


def _copy_source(call: Call) -> Version:
    path, _, query = call.headers["x-amz-copy-source"].partition("?")
    name, _, key = urllib.parse.unquote(path).lstrip("/").partition("/")
    parameters: Mapping[str, str] = dict(urllib.parse.parse_qsl(query))
    source = call.storage.bucket(name).find(key, parameters.get("versionId"))
    if source.body.size > 5 * 1024**3:
        raise S3Error("InvalidRequest", "The source is larger than 5 GiB; copy it in parts.", status=400)
    return source
