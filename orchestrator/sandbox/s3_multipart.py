"""S3's multipart uploads."""

from __future__ import annotations

import hashlib
import secrets
import xml.etree.ElementTree as ET

from orchestrator.sandbox.bodies import receive, requested_algorithm
from orchestrator.sandbox.checksums import ALGORITHMS, ELEMENTS, PREFIX, combined, encode
from orchestrator.sandbox.errors import S3Error
from orchestrator.sandbox.s3_attributes import STORAGE_CLASS, encryption_of, kept_headers, tags_of_header
from orchestrator.sandbox.s3_common import (
    NAMESPACE,
    Call,
    check_key,
    check_write,
    checksum_headers,
    encoder,
    read_xml,
    timestamp,
    version_headers,
)
from orchestrator.sandbox.storage import Blob, Bucket, Part, Upload, Version, new_version_id
from orchestrator.sandbox.wire import Answer, text, xml, xml_answer

_PARTS = 10_000
_SMALLEST = 5 * 1024**2
"""Bytes of every part but the last."""


def create_multipart_upload(call: Call) -> Answer:
    bucket = call.found_bucket()
    check_key(call.key)
    algorithm = requested_algorithm(call.headers)
    upload = Upload(
        id=secrets.token_urlsafe(32),
        key=call.key,
        started=call.request.now,
        headers=kept_headers(call.headers),
        algorithm=algorithm,
        checksum_type=_checksum_type(call.headers.get("x-amz-checksum-type"), algorithm),
        tags=tags_of_header(call.headers.get("x-amz-tagging")),
    )
    call.storage.begin(bucket, upload)
    content = text("Bucket", bucket.name) + text("Key", call.key) + text("UploadId", upload.id)
    headers = (
        {"x-amz-checksum-algorithm": algorithm.upper(), "x-amz-checksum-type": upload.checksum_type}
        if algorithm
        else {}
    )
    headers |= encryption_of(upload.headers)
    return xml_answer(xml("InitiateMultipartUploadResult", content, namespace=NAMESPACE), headers=headers)


async def upload_part(call: Call) -> Answer:
    bucket = call.found_bucket()
    upload = find_upload(call, bucket)
    number = part_number(call)
    received = await receive(call.storage, call.request, algorithm=upload.algorithm)
    if bucket.uploads.get(upload.id) is not upload:
        call.storage.free(received.blob)  # it was aborted while the part came in
        raise _no_such_upload()
    part = Part(
        number=number, etag=received.etag, blob=received.blob, modified=call.request.now, checksums=received.checksums
    )
    call.storage.put_part(bucket, upload, part)
    headers = {"ETag": f'"{received.etag}"', **received.checksums, **encryption_of(upload.headers)}
    return Answer(headers=headers)


def part_number(call: Call) -> int:
    """Raises `S3Error`."""
    number = call.number("partNumber", 0)
    if not 1 <= number <= _PARTS:
        raise S3Error("InvalidArgument", f"Part number must be an integer between 1 and {_PARTS}", status=400)
    return number


async def complete_multipart_upload(call: Call) -> Answer:
    bucket = call.found_bucket()
    document = await read_xml(call.request, "CompleteMultipartUpload", is_summed=False)
    upload = find_upload(call, bucket)
    parts = [_named_part(upload, element) for element in document.findall("Part")]
    _check_parts(parts)
    check_write(bucket, call.key, call.headers)
    blob = Blob(tuple(piece for part in parts for piece in part.blob.pieces))
    version = Version(
        key=upload.key,
        id=new_version_id(bucket),
        modified=call.request.now,
        etag=_etag(parts),
        blob=blob,
        headers=upload.headers,
        checksums=_checksums(upload, parts, blob),
        checksum_type=upload.checksum_type,
        tags=upload.tags,
        part_sizes=tuple(part.blob.size for part in parts),
    )
    _check_whole(call, version)
    call.storage.complete(bucket, upload, version, [part.number for part in parts])
    content = text("Location", f"/{bucket.name}/{upload.key}") + text("Bucket", bucket.name)
    content += text("Key", upload.key) + text("ETag", f'"{version.etag}"')
    for algorithm, element in ELEMENTS.items():
        content += text(element, version.checksums.get(f"{PREFIX}{algorithm}"))
    return xml_answer(
        xml("CompleteMultipartUploadResult", content, namespace=NAMESPACE),
        headers={**version_headers(bucket, version), **checksum_headers(version), **encryption_of(version.headers)},
    )


def abort_multipart_upload(call: Call) -> Answer:
    bucket = call.found_bucket()
    upload = find_upload(call, bucket)
    call.storage.abort(bucket, upload)
    return Answer(status=204)


def list_multipart_uploads(call: Call) -> Answer:
    bucket, encode = call.found_bucket(), encoder(call)
    limit = min(call.number("max-uploads", 1000), 1000)
    prefix = call.query.get("prefix", "")
    after = (call.query.get("key-marker", ""), call.query.get("upload-id-marker", "\U0010ffff"))
    found = sorted(
        (upload for upload in bucket.uploads.values() if upload.key.startswith(prefix)),
        key=lambda upload: (upload.key, upload.id),
    )
    found = [upload for upload in found if (upload.key, upload.id) > after or "key-marker" not in call.query]
    shown, is_truncated = found[:limit], len(found) > limit
    last = shown[-1] if is_truncated and shown else None
    rows = [
        xml(
            "Upload",
            text("Key", encode(upload.key)),
            text("UploadId", upload.id),
            text("StorageClass", upload.headers.get(STORAGE_CLASS, "STANDARD")),
            text("Initiated", timestamp(upload.started)),
        )
        for upload in shown
    ]
    content = text("Bucket", bucket.name) + text("Prefix", encode(prefix)) + text("MaxUploads", limit)
    content += text("EncodingType", call.query.get("encoding-type")) + text("IsTruncated", is_truncated)
    if last is not None:
        content += text("NextKeyMarker", encode(last.key)) + text("NextUploadIdMarker", last.id)
    return xml_answer(xml("ListMultipartUploadsResult", content, *rows, namespace=NAMESPACE))


def list_parts(call: Call) -> Answer:
    bucket = call.found_bucket()
    upload = find_upload(call, bucket)
    limit = min(call.number("max-parts", 1000), 1000)
    after = call.number("part-number-marker", 0)
    found = [part for number, part in sorted(upload.parts.items()) if number > after]
    shown, is_truncated = found[:limit], len(found) > limit
    content = text("Bucket", bucket.name) + text("Key", upload.key) + text("UploadId", upload.id)
    content += text("PartNumberMarker", after) + text("MaxParts", limit) + text("IsTruncated", is_truncated)
    content += text("NextPartNumberMarker", shown[-1].number if is_truncated and shown else None)
    return xml_answer(xml("ListPartsResult", content, *map(_part, shown), namespace=NAMESPACE))


def _part(part: Part) -> str:
    content = text("PartNumber", part.number) + text("LastModified", timestamp(part.modified))
    checksums = [text(name, part.checksums.get(f"{PREFIX}{algorithm}")) for algorithm, name in ELEMENTS.items()]
    return xml("Part", content, text("ETag", f'"{part.etag}"'), text("Size", part.blob.size), *checksums)


def _checksum_type(given: str | None, algorithm: str | None) -> str:
    """A hash can't be of the whole object, and a CRC-64 can be of nothing else. Raises `S3Error`."""
    kind = given or ("FULL_OBJECT" if algorithm == "crc64nvme" else "COMPOSITE")
    if kind not in ("COMPOSITE", "FULL_OBJECT"):
        raise S3Error("InvalidRequest", f"x-amz-checksum-type {kind!r} is none", status=400)
    fits = algorithm != "crc64nvme" if kind == "COMPOSITE" else (algorithm or "crc").startswith("crc")
    if not fits:
        raise S3Error("InvalidRequest", f"The checksum type {kind} doesn't go with {algorithm}", status=400)
    return kind


def _check_whole(call: Call, version: Version) -> None:
    """The checksum and the size of the whole object that CompleteMultipartUpload may name."""
    for header, value in version.checksums.items():
        given = call.headers.get(header)
        if given is not None and given != value and version.checksum_type == "FULL_OBJECT":
            raise S3Error("BadDigest", f"{header} isn't that of the object", status=400)
    size = call.headers.get("x-amz-mp-object-size")
    if size is not None and size != str(version.body.size):
        raise S3Error("InvalidRequest", f"The object has {version.body.size} bytes, not {size}", status=400)


def find_upload(call: Call, bucket: Bucket) -> Upload:
    """Raises NoSuchUpload."""
    upload = bucket.uploads.get(call.query["uploadId"])
    if upload is None or upload.key != call.key:
        raise _no_such_upload()
    return upload


def _named_part(upload: Upload, element: ET.Element) -> Part:
    """The part as the client names it; number, ETag and checksums must all be those of a part that came in."""
    number = element.findtext("PartNumber") or ""
    part = upload.parts.get(int(number)) if number.isascii() and number.isdecimal() and len(number) < 6 else None
    etag = (element.findtext("ETag") or "").strip('"')
    if part is None or part.etag != etag:
        raise S3Error("InvalidPart", f"Part {number or '?'} could not be found, or its ETag is another.", status=400)
    for algorithm, name in ELEMENTS.items():
        given = element.findtext(name)
        if given is not None and given != part.checksums.get(f"{PREFIX}{algorithm}", given):
            raise S3Error("InvalidPart", f"Part {number} has another {name}.", status=400)
    return part


def _check_parts(parts: list[Part]) -> None:
    if not parts:
        raise S3Error("MalformedXML", "You must specify at least one part", status=400)
    numbers = [part.number for part in parts]
    if numbers != sorted(set(numbers)):
        raise S3Error("InvalidPartOrder", "The list of parts was not in ascending order.", status=400)
    if any(part.blob.size < _SMALLEST for part in parts[:-1]):
        raise S3Error("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size", status=400)


def _etag(parts: list[Part]) -> str:
    md5 = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in parts), usedforsecurity=False)
    return f"{md5.hexdigest()}-{len(parts)}"


def _checksums(upload: Upload, parts: list[Part], blob: Blob) -> dict[str, str]:
    if upload.algorithm is None:
        return {}
    header = f"{PREFIX}{upload.algorithm}"
    if upload.checksum_type != "FULL_OBJECT":
        return {header: combined([part.checksums[header] for part in parts], upload.algorithm)}
    digest = ALGORITHMS[upload.algorithm]()
    for chunk in blob.chunks(0, blob.size):
        digest.update(chunk)
    return {header: encode(digest)}


def _no_such_upload() -> S3Error:
    return S3Error(
        "NoSuchUpload",
        "The specified upload does not exist. It may never have been, or have been aborted or completed.",
        status=404,
    )
