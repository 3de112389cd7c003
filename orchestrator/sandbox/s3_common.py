"""What the S3 operations share: the call, conditions, headers, XML in and out."""

from __future__ import annotations

import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime

from orchestrator.sandbox.bodies import read_small
from orchestrator.sandbox.errors import S3Error
from orchestrator.sandbox.storage import Bucket, Storage, Version
from orchestrator.sandbox.wire import Answer, Request

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_KEY_LIMIT = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One S3 request, taken apart. `bucket` and `key` are empty where the path has none."""

    request: Request
    storage: Storage
    bucket: str
    key: str

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query

    @property
    def headers(self) -> Mapping[str, str]:
        return self.request.headers

    def found_bucket(self) -> Bucket:
        """Raises NoSuchBucket, or AccessDenied where the caller expects another owner."""
        bucket = self.storage.bucket(self.bucket)
        check_owner(bucket, self.headers.get("x-amz-expected-bucket-owner"))
        return bucket

    def number(self, name: str, default: int, *, lowest: int = 0) -> int:
        """A whole number of the query, at most `default` for the max-… parameters."""
        value = self.query.get(name, str(default))
        if not (value.isascii() and value.isdecimal() and len(value) < 10) or int(value) < lowest:
            raise S3Error("InvalidArgument", f"{name}: {value!r} is no whole number from {lowest}", status=400)
        return int(value)


Handler = Callable[[Call], Answer | Awaitable[Answer]]
"""Raises `S3Error`."""


def timestamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def version_headers(bucket: Bucket, version: Version) -> dict[str, str]:
    return {"x-amz-version-id": version.id} if bucket.versioning else {}


def checksum_headers(version: Version) -> dict[str, str]:
    return {**version.checksums, "x-amz-checksum-type": version.checksum_type} if version.checksums else {}


def http_date(moment: float) -> str:
    return formatdate(moment, usegmt=True)


def check_owner(bucket: Bucket, expected: str | None) -> None:
    if expected is not None and expected != bucket.account:
        raise S3Error("AccessDenied", f"The bucket {bucket.name} isn't owned by the expected account", status=403)


def check_write(bucket: Bucket, key: str, headers: Mapping[str, str]) -> None:
    """If-None-Match and If-Match of a write. Called in the same step as the write itself, so nothing comes between."""
    latest = bucket.latest(key)
    if (unwanted := headers.get("If-None-Match")) is not None:
        if unwanted != "*":
            raise S3Error("NotImplemented", "If-None-Match takes * only on a write.", status=501)
        if latest is not None:
            raise _precondition("If-None-Match")
    if (wanted := headers.get("If-Match")) is not None:
        if latest is None:
            raise S3Error("NoSuchKey", "The specified key does not exist.", status=404)
        if not etag_matches(wanted, latest.etag):
            raise _precondition("If-Match")


def check_read(version: Version, headers: Mapping[str, str]) -> None:
    """The conditions of a read; those on the time count only where there are none on the ETag."""
    wanted, unwanted = headers.get("If-Match"), headers.get("If-None-Match")
    since, until = http_moment(headers.get("If-Modified-Since")), http_moment(headers.get("If-Unmodified-Since"))
    modified = int(version.modified)
    if wanted is not None and not etag_matches(wanted, version.etag):
        raise _precondition("If-Match")
    if wanted is None and until is not None and modified > until:
        raise _precondition("If-Unmodified-Since")
    if unwanted is not None and etag_matches(unwanted, version.etag):
        raise S3Error("NotModified", "Not Modified", status=304)
    if unwanted is None and since is not None and modified <= since:
        raise S3Error("NotModified", "Not Modified", status=304)


def etag_matches(header: str, etag: str) -> bool:
    """`*`, or a list of ETags with or without quotes."""
    return header.strip() == "*" or etag in (one.strip().strip('"') for one in header.split(","))


def http_moment(header: str | None) -> float | None:
    """HTTP passes over a date that is none."""
    if header is None:
        return None
    try:
        return parsedate_to_datetime(header).timestamp()
    except (ValueError, OverflowError):
        return None


def _precondition(header: str) -> S3Error:
    return S3Error(
        "PreconditionFailed", f"At least one of the pre-conditions you specified did not hold: {header}", status=412
    )


def check_key(key: str) -> None:
    if len(key.encode()) > _KEY_LIMIT:
        raise S3Error("KeyTooLongError", "Your key is too long", status=400)


async def read_xml(request: Request, root: str, *, is_summed: bool = True) -> ET.Element:
    """The document without namespaces; `is_summed` as for `read_small`. Raises MalformedXML."""
    data = await read_small(request, is_summed=is_summed)
    if b"<!" in data:  # no DOCTYPE, so no entities: nothing can expand
        raise _malformed()
    try:
        element = ET.fromstring(data)  # noqa: S314 - declarations are refused above
    except ET.ParseError:
        raise _malformed() from None
    for one in element.iter():
        one.tag = one.tag.rpartition("}")[2]
    if element.tag != root:
        raise _malformed()
    return element


def _malformed() -> S3Error:
    return S3Error("MalformedXML", "The XML you provided was not well-formed or did not validate", status=400)


def encoder(call: Call) -> Callable[[str], str]:
    """How keys are written in a listing."""
    if call.query.get("encoding-type") == "url":
        return lambda key: urllib.parse.quote(key, safe="/-_.~*")
    return lambda key: key
