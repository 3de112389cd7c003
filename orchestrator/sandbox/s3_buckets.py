"""S3's operations on buckets: making, versioning and listing them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from orchestrator.sandbox.errors import S3Error
from orchestrator.sandbox.fleet import is_bucket_name
from orchestrator.sandbox.s3_attributes import STORAGE_CLASS
from orchestrator.sandbox.s3_common import NAMESPACE, Call, encoder, read_xml, timestamp
from orchestrator.sandbox.storage import Bucket, Version
from orchestrator.sandbox.wire import Answer, text, xml, xml_answer

_PAGE = 1000
T = TypeVar("T")


def list_buckets(call: Call) -> Answer:
    """Those of the caller's account."""
    prefix, account = call.query.get("prefix", ""), call.request.scope.identity.account
    buckets = [
        xml("Bucket", text("Name", bucket.name), text("CreationDate", timestamp(bucket.created)))
        for name, bucket in sorted(call.storage.buckets.items())
        if name.startswith(prefix) and bucket.account == account
    ]
    owner = xml("Owner", text("ID", account), text("DisplayName", "sandbox"))
    return xml_answer(xml("ListAllMyBucketsResult", owner, xml("Buckets", *buckets), namespace=NAMESPACE))


async def create_bucket(call: Call) -> Answer:
    if not is_bucket_name(call.bucket):
        raise S3Error("InvalidBucketName", f"The specified bucket is not valid: {call.bucket}", status=400)
    region = call.request.scope.region
    if call.headers.get("Content-Length", "0") != "0":
        document = await read_xml(call.request, "CreateBucketConfiguration")
        region = document.findtext("LocationConstraint") or region
    account, known = call.request.scope.identity.account, call.storage.buckets.get(call.bucket)
    if known is not None and known.account != account:
        raise S3Error("BucketAlreadyExists", "The requested bucket name is not available.", status=409)
    if known is not None:
        raise S3Error(
            "BucketAlreadyOwnedByYou",
            "Your previous request to create the named bucket succeeded and you already own it.",
            status=409,
        )
    call.storage.add_bucket(Bucket(name=call.bucket, region=region, created=call.request.now, account=account))
    return Answer(headers={"Location": f"/{call.bucket}"})


def head_bucket(call: Call) -> Answer:
    return Answer(headers={"x-amz-bucket-region": call.found_bucket().region})


def delete_bucket(call: Call) -> Answer:
    bucket = call.found_bucket()
    if bucket.objects:
        raise S3Error("BucketNotEmpty", "The bucket you tried to delete is not empty", status=409)
    call.storage.remove_bucket(bucket)
    return Answer(status=204)


def get_bucket_location(call: Call) -> Answer:
    region = call.found_bucket().region
    shown = "" if region == "us-east-1" else region
    return xml_answer(f'<LocationConstraint xmlns="{NAMESPACE}">{shown}</LocationConstraint>')


def get_bucket_versioning(call: Call) -> Answer:
    status = call.found_bucket().versioning or None
    return xml_answer(xml("VersioningConfiguration", text("Status", status), namespace=NAMESPACE))


async def put_bucket_versioning(call: Call) -> Answer:
    bucket = call.found_bucket()
    status = (await read_xml(call.request, "VersioningConfiguration")).findtext("Status")
    if status not in ("Enabled", "Suspended"):
        raise S3Error("MalformedXML", f"Status {status!r} is neither Enabled nor Suspended", status=400)
    bucket.versioning = status
    call.storage.change_bucket(bucket)
    return Answer()


@dataclass(slots=True)
class _Page:
    """What a listing has found: items and common prefixes together, at most `limit` of them."""

    limit: int
    items: list[Version] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    last: str = ""
    """The last key or common prefix that is in."""
    is_truncated: bool = False

    @property
    def count(self) -> int:
        return len(self.items) + len(self.prefixes)


def _collect(versions: Iterable[Version], call: Call, *, after: str, limit: int) -> _Page:
    """The page of versions (in order of their keys) whose key or common prefix comes after `after`."""
    prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
    page = _Page(limit)
    for version in versions:
        if not version.key.startswith(prefix):
            continue
        group = _common_prefix(version.key, prefix, delimiter)
        if (group or version.key) <= after or (group and page.prefixes and page.prefixes[-1] == group):
            continue
        if page.count >= limit:
            page.is_truncated = limit > 0
            break
        if group:
            page.prefixes.append(group)
        else:
            page.items.append(version)
        page.last = group or version.key
    return page


def _common_prefix(key: str, prefix: str, delimiter: str) -> str:
    if not delimiter:
        return ""
    end = key.find(delimiter, len(prefix))
    return key[: end + len(delimiter)] if end >= 0 else ""


def list_objects_v2(call: Call) -> Answer:
    bucket, encode = call.found_bucket(), encoder(call)
    token, start_after = call.query.get("continuation-token"), call.query.get("start-after", "")
    after = _decode_token(token) if token is not None else start_after
    limit = min(call.number("max-keys", _PAGE), _PAGE)
    page = _collect(_latest(bucket), call, after=after, limit=limit)
    next_token = base64.urlsafe_b64encode(page.last.encode()).decode() if page.is_truncated else None
    return xml_answer(
        xml(
            "ListBucketResult",
            _listing_head(call, bucket, limit, page),
            text("KeyCount", page.count),
            text("ContinuationToken", token),
            text("NextContinuationToken", next_token),
            text("StartAfter", encode(start_after) if start_after else None),
            *(_object(version, encode) for version in page.items),
            _prefixes(page, encode),
            namespace=NAMESPACE,
        )
    )


def list_objects(call: Call) -> Answer:
    """The first version of the listing."""
    bucket, encode = call.found_bucket(), encoder(call)
    limit = min(call.number("max-keys", _PAGE), _PAGE)
    page = _collect(_latest(bucket), call, after=call.query.get("marker", ""), limit=limit)
    return xml_answer(
        xml(
            "ListBucketResult",
            _listing_head(call, bucket, limit, page),
            text("Marker", encode(call.query.get("marker", ""))),
            text("NextMarker", encode(page.last) if page.is_truncated and "delimiter" in call.query else None),
            *(_object(version, encode) for version in page.items),
            _prefixes(page, encode),
            namespace=NAMESPACE,
        )
    )


def list_object_versions(call: Call) -> Answer:
    """Pages end between keys or between versions; the newest version of a key comes first."""
    bucket, encode = call.found_bucket(), encoder(call)
    limit = min(call.number("max-keys", _PAGE), _PAGE)
    prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
    key_marker, version_marker = call.query.get("key-marker", ""), call.query.get("version-id-marker")
    rows: list[tuple[str, str, str]] = []
    prefixes: list[str] = []
    for key, versions in sorted(bucket.objects.items()):
        if not key.startswith(prefix) or key < key_marker or (key == key_marker and version_marker is None):
            continue
        if group := _common_prefix(key, prefix, delimiter):
            if group > key_marker and group not in prefixes:
                prefixes.append(group)
                rows.append((group, "", xml("CommonPrefixes", text("Prefix", encode(group)))))
            continue
        newest_first = versions[::-1]
        if key == key_marker:
            ids = [version.id for version in newest_first]
            newest_first = newest_first[ids.index(version_marker) + 1 :] if version_marker in ids else []
        rows += [(key, one.id, _version(one, versions, encode)) for one in newest_first]
    is_truncated = len(rows) > limit
    shown = rows[:limit]
    last = shown[-1] if is_truncated and shown else None
    return xml_answer(
        xml(
            "ListVersionsResult",
            text("Name", bucket.name),
            text("Prefix", encode(prefix)),
            text("KeyMarker", encode(key_marker)),
            text("VersionIdMarker", version_marker or ""),
            text("MaxKeys", limit),
            text("EncodingType", call.query.get("encoding-type")),
            text("IsTruncated", is_truncated),
            text("NextKeyMarker", encode(last[0]) if last else None),
            text("NextVersionIdMarker", (last[1] or None) if last else None),
            *(row[2] for row in shown),
            namespace=NAMESPACE,
        )
    )


def _latest(bucket: Bucket) -> Iterable[Version]:
    for _, versions in sorted(bucket.objects.items()):
        if versions[-1].blob is not None:
            yield versions[-1]


def _listing_head(call: Call, bucket: Bucket, limit: int, page: _Page) -> str:
    encode = encoder(call)
    delimiter = call.query.get("delimiter")
    return (
        text("Name", bucket.name)
        + text("Prefix", encode(call.query.get("prefix", "")))
        + text("Delimiter", encode(delimiter) if delimiter else None)
        + text("MaxKeys", limit)
        + text("EncodingType", call.query.get("encoding-type"))
        + text("IsTruncated", page.is_truncated)
    )


def _object(version: Version, encode: Callable[[str], str]) -> str:
    return xml(
        "Contents",
        text("Key", encode(version.key)),
        text("LastModified", timestamp(version.modified)),
        text("ETag", f'"{version.etag}"'),
        text("Size", version.body.size),
        text("StorageClass", version.headers.get(STORAGE_CLASS, "STANDARD")),
    )


def _version(version: Version, versions: list[Version], encode: Callable[[str], str]) -> str:
    head = text("Key", encode(version.key)) + text("VersionId", version.id) + text("IsLatest", version is versions[-1])
    head += text("LastModified", timestamp(version.modified))
    if version.blob is None:
        return xml("DeleteMarker", head)
    tail = text("ETag", f'"{version.etag}"') + text("Size", version.blob.size)
    tail += text("StorageClass", version.headers.get(STORAGE_CLASS, "STANDARD"))
    return xml("Version", head, tail)


def _prefixes(page: _Page, encode: Callable[[str], str]) -> str:
    return "".join(xml("CommonPrefixes", text("Prefix", encode(prefix))) for prefix in page.prefixes)


def _decode_token(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeError):
        raise S3Error("InvalidArgument", "The continuation token provided is incorrect", status=400) from None
