"""S3's operations on single objects."""

from __future__ import annotations

import re

from orchestrator.sandbox.bodies import Received, receive, requested_algorithm
from orchestrator.sandbox.errors import S3Error
from orchestrator.sandbox.s3_attributes import encryption_of, kept_headers, tags_of_header
from orchestrator.sandbox.s3_common import (
    NAMESPACE,
    Call,
    check_key,
    check_read,
    check_write,
    checksum_headers,
    etag_matches,
    http_date,
    read_xml,
    version_headers,
)
from orchestrator.sandbox.storage import Bucket, Version, new_version_id
from orchestrator.sandbox.wire import Answer, text, xml, xml_answer

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


async def put_object(call: Call) -> Answer:
    bucket = call.found_bucket()
    check_key(call.key)
    headers, tags = kept_headers(call.headers), tags_of_header(call.headers.get("x-amz-tagging"))
    received = await receive(call.storage, call.request, algorithm=requested_algorithm(call.headers))
    version = put_received(call, bucket, received, headers=headers, tags=tags)
    return Answer(
        headers={
            "ETag": f'"{version.etag}"',
            **version_headers(bucket, version),
            **checksum_headers(version),
            **encryption_of(headers),
        }
    )


def put_received(
    call: Call, bucket: Bucket, received: Received, *, headers: dict[str, str], tags: dict[str, str]
) -> Version:
    """A body that has come in becomes the object's newest version, if the call's conditions hold. Raises `S3Error`."""
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
        tags=tags,
    )
    call.storage.put(bucket, version)
    return version


def get_object(call: Call) -> Answer:
    bucket, version = _read(call)
    answer = Answer(headers=_object_headers(call, bucket, version), blob=version.body, length=version.body.size)
    if "partNumber" in call.query:
        _apply_part(call, version, answer)
    else:
        _apply_range(call.headers.get("Range"), version.body.size, answer)
    for name, value in call.query.items():
        if name.startswith("response-"):
            answer.headers[name.removeprefix("response-").title()] = value
    return answer


def head_object(call: Call) -> Answer:
    return get_object(call)  # the front leaves the body out


def delete_object(call: Call) -> Answer:
    bucket = call.found_bucket()
    _check_delete(call, bucket)
    marker, version_id = _delete(call, bucket, call.key, call.query.get("versionId"))
    headers = {"x-amz-version-id": version_id} if version_id and bucket.versioning else {}
    if marker:
        headers["x-amz-delete-marker"] = "true"
    return Answer(status=204, headers=headers)


def _check_delete(call: Call, bucket: Bucket) -> None:
    """If-Match of a delete."""
    wanted, latest = call.headers.get("If-Match"), bucket.latest(call.key)
    if wanted is None:
        return
    if latest is None:
        raise S3Error("NoSuchKey", "The specified key does not exist.", status=404)
    if not etag_matches(wanted, latest.etag):
        raise S3Error("PreconditionFailed", "At least one of the pre-conditions did not hold: If-Match", status=412)


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
        **({"x-amz-tagging-count": str(len(version.tags))} if version.tags else {}),
        **version_headers(bucket, version),
        **checksums,
    }


def _apply_part(call: Call, version: Version, answer: Answer) -> None:
    """One part of a multipart object; any other object has one."""
    if "Range" in call.headers:
        raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter", status=400)
    sizes = version.part_sizes or (version.body.size,)
    number = call.number("partNumber", 1)
    if not 1 <= number <= len(sizes):
        raise S3Error("InvalidPartNumber", "The requested partnumber is not satisfiable", status=416)
    start, size = sum(sizes[: number - 1]), sizes[number - 1]
    if version.part_sizes:
        answer.headers["x-amz-mp-parts-count"] = str(len(sizes))
    answer.status, answer.start, answer.length = 206, start, size
    answer.headers["Content-Range"] = f"bytes {start}-{max(start, start + size - 1)}/{version.body.size}"


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
