"""What the S3 operations share: the call, conditions, headers, XML in and out."""

from __future__ import annotations

import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate

from orchestrator.sandbox.bodies import read_small
from orchestrator.sandbox.errors import S3Error
from orchestrator.sandbox.storage import Bucket, Storage, Version
from orchestrator.sandbox.wire import Answer, Request

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_KEPT = ("content-type", "content-encoding", "content-disposition", "content-language", "cache-control", "expires")
_KEY_LIMIT = 1024
_METADATA_LIMIT = 2048


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
        """Raises NoSuchBucket."""
        return self.storage.bucket(self.bucket)

    def number(self, name: str, default: int, *, lowest: int = 0) -> int:
        """A whole number of the query, at most `default` for the max-… parameters."""
        value = self.query.get(name, str(default))
        if not value.isdecimal() or int(value) < lowest:
            raise S3Error("InvalidArgument", f"{name}: {value!r} is no whole number from {lowest}", status=400)
        return int(value)


Handler = Callable[[Call], Answer | Awaitable[Answer]]
"""Raises `S3Error`."""


def timestamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """What GetObject gives back of what PutObject was sent. Raises `S3Error` for too much metadata."""
    kept = {name.title(): headers[name] for name in _KEPT if name in headers}
    encodings = [one.strip() for one in kept.pop("Content-Encoding", "").split(",")]
    if encoding := ",".join(one for one in encodings if one not in ("", "aws-chunked")):
        kept["Content-Encoding"] = encoding
    kept.setdefault("Content-Type", "binary/octet-stream")
    metadata = {name.lower(): value for name, value in headers.items() if name.lower().startswith("x-amz-meta-")}
    if sum(len(name) + len(value) for name, value in metadata.items()) > _METADATA_LIMIT:
        raise S3Error("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size.", status=400)
    return {**kept, **metadata}


def version_headers(bucket: Bucket, version: Version) -> dict[str, str]:
    return {"x-amz-version-id": version.id} if bucket.versioning else {}


def checksum_headers(version: Version) -> dict[str, str]:
    return {**version.checksums, "x-amz-checksum-type": version.checksum_type} if version.checksums else {}


def http_date(moment: float) -> str:
    return formatdate(moment, usegmt=True)


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
        if wanted.strip('"') != latest.etag:
            raise _precondition("If-Match")


def check_read(version: Version, headers: Mapping[str, str]) -> None:
    """If-Match and If-None-Match of a read."""
    wanted, unwanted = headers.get("If-Match"), headers.get("If-None-Match")
    if wanted is not None and wanted not in ("*", version.etag, f'"{version.etag}"'):
        raise _precondition("If-Match")
    if unwanted is not None and unwanted in ("*", version.etag, f'"{version.etag}"'):
        raise S3Error("NotModified", "Not Modified", status=304)


def _precondition(header: str) -> S3Error:
    return S3Error(
        "PreconditionFailed", f"At least one of the pre-conditions you specified did not hold: {header}", status=412
    )


def check_key(key: str) -> None:
    if len(key.encode()) > _KEY_LIMIT:
        raise S3Error("KeyTooLongError", "Your key is too long", status=400)


async def read_xml(request: Request, root: str) -> ET.Element:
    """The document without namespaces. Raises MalformedXML."""
    data = await read_small(request)
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
